"""Links among what is installed: where they lead once they are on the instance."""

from __future__ import annotations

import posixpath

from orchestrator.bundle.appspec_findings import TOP, Findings
from orchestrator.bundle.appspec_install import InstallPlan
from orchestrator.bundle.entries import Contents

_SHOWN = 3


def look_at_links(plan: InstallPlan, contents: Contents, findings: Findings) -> None:
    """Warns of installed links that lead nowhere, or out of the bundle."""
    outside: list[str] = []
    dangling: list[str] = []
    for path, copy in plan.copies.items():
        if copy.entry is None or copy.entry.kind != "symlink":
            continue
        if contents.find(copy.origin).kind == "outside":
            outside.append(f"{copy.origin} -> {copy.entry.target}")
        elif link_is_dangling(path, plan):
            dangling.append(path)
    for link in outside[:_SHOWN]:
        message = f"the link {link} leads out of the bundle, to what the instance has there"
        findings.warning(TOP, "symlink_outside", message, "link relatively, to something in the bundle")
    for path in dangling[:_SHOWN]:
        message = f"the link {path} will lead to something that isn't installed"
        findings.warning(TOP, "symlink_dangling", message, "install the folder that holds both")


def link_is_dangling(path: str, plan: InstallPlan) -> bool:
    """Whether an installed link surely leads nowhere. What lies in folders that were there before, nobody knows."""
    seen: set[str] = set()
    while path not in seen:
        seen.add(path)
        copy = plan.copies.get(path)
        if copy is None or copy.entry is None or copy.entry.kind != "symlink":
            return copy is None and path not in plan.directories and _is_ours(path, plan)
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), copy.entry.target))
    return True


def _is_ours(path: str, plan: InstallPlan) -> bool:
    """In a directory that the deployment makes, or below a file: nothing else can be there."""
    folder = posixpath.dirname(path)
    while folder.strip("/"):
        if f"/{folder.lstrip('/')}" in plan.directories or folder in plan.directories or folder in plan.copies:
            return True
        folder = posixpath.dirname(folder)
    return False
