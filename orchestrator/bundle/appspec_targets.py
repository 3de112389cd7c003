"""Where the files of a bundle land, to find two that land in one place: the agent refuses that, whatever they hold."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from orchestrator.bundle.appspec_findings import Findings
from orchestrator.bundle.appspec_yaml import Value
from orchestrator.bundle.entries import Contents

_SHOWN = 3  # conflicts per entry of `files`; one misplaced folder would make thousands


def check_targets(mappings: Sequence[tuple[Value, str, str]], contents: Contents, findings: Findings) -> None:
    """`mappings`: the entry of `files`, its source and its absolute destination."""
    files: dict[str, str] = {}
    directories: set[str] = set()
    for entry, source, destination in mappings:
        shown = 0
        for origin, target, is_file in _copies(source, destination, contents):
            if is_file and target in files:
                reason = f"{origin} and {files[target]} both go to {target}"
            elif is_file and target in directories:
                reason = f"{origin} goes to {target}, which is a directory already"
            elif not is_file and target in files:
                reason = f"the directory {origin} goes to {target}, where the file {files[target]} goes"
            else:
                reason = ""
            if reason and shown < _SHOWN:
                shown += 1
                findings.error(entry, "destination_conflict", reason, "each place takes one file only")
            if is_file:
                files.setdefault(target, origin)
            else:
                directories.add(target)


def _copies(source: str, destination: str, contents: Contents) -> Iterator[tuple[str, str, bool]]:
    """Origin, target and whether it is a file. Links inside a source are left out: they aren't judged here."""
    base = posixpath.normpath(destination)
    found = contents.find(source)
    if found.kind == "file":
        yield found.path, posixpath.join(base, posixpath.basename(source.rstrip("/"))), True
    elif found.kind == "dir":
        yield found.path or "/", base, False
        prefix = f"{found.path}/" if found.path else ""
        for entry in contents.entries():
            if entry.path.startswith(prefix) and entry.kind != "symlink":
                yield entry.path, posixpath.join(base, entry.path.removeprefix(prefix)), entry.kind == "file"
