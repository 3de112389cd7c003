"""What the permissions of an AppSpec reach, and where the agent fails on them at Install."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.bundle import appspec_paths as paths
from orchestrator.bundle.appspec_findings import Findings
from orchestrator.bundle.appspec_install import InstallPlan
from orchestrator.bundle.appspec_links import link_is_dangling
from orchestrator.bundle.appspec_types import ALL, Permission

_SHOWN = 3
_NO_NAME = re.compile(r"[\s:/,]|^-|^$")
_SHELL = re.compile(r"[\s&;()|<>'\"`$\\*?\[\]#~]")


@dataclass(frozen=True, slots=True)
class Applied:
    permission: Permission
    targets: tuple[str, ...]
    """Absolute paths on the instance."""


class _NoTextError(Exception):
    """A pattern that is no text was compared with a name."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def apply_permissions(
    permissions: tuple[Permission, ...], plan: InstallPlan, findings: Findings
) -> tuple[Applied, ...]:
    """In the order of the AppSpec."""
    taken: set[str] = set()
    applied: list[Applied] = []
    for permission in permissions:
        try:
            targets = tuple(_targets(permission, plan, findings))
        except _NoTextError as error:
            message = f"{error.key} must be text, in quotes"
            findings.error(permission.at, "permission_list_type", message, stage="install")
            continue
        twice = next((target for target in targets if target in taken), None)
        if twice is not None:
            message = f"another permission has set {twice} already, and each path can be set once"
            hint = "put all settings of a path into one entry"
            findings.error(permission.at, "permission_target_twice", message, hint, stage="install")
        taken.update(targets)
        _check_targets(permission, targets, plan, findings)
        applied.append(Applied(permission, targets))
    return tuple(applied)


def _targets(permission: Permission, plan: InstallPlan, findings: Findings) -> Iterator[str]:
    target = paths.expand(permission.object)
    if target not in plan.copies:
        found = list(_below(target, permission, plan))
        if any(path in plan.copies for path in found):
            _check_default_acl(permission, findings)
        yield from found
    elif "file" in permission.types:
        _check_on_file(permission, findings)
        _check_default_acl(permission, findings)
        yield target


def _check_on_file(permission: Permission, findings: Findings) -> None:
    if permission.pattern != ALL:
        message = f"object {permission.object!r} is a file, so it can't have a pattern"
        findings.error(permission.at, "permission_pattern_on_file", message, "take `pattern` out", stage="install")
    elif permission.excepted:
        message = f"object {permission.object!r} is a file, so it can't have exceptions"
        findings.error(permission.at, "permission_except_on_file", message, "take `except` out", stage="install")


def _check_default_acl(permission: Permission, findings: Findings) -> None:
    if any(entry.default for entry in permission.acls or ()):
        message = "default ACL entries go on directories only, and this permission reaches files"
        findings.error(permission.at, "acl_default_on_file", message, "add `type: [directory]`", stage="install")


def _below(target: str, permission: Permission, plan: InstallPlan) -> Iterator[str]:
    base = target if target.endswith("/") else f"{target}/"
    places = [*plan.copies] if "file" in permission.types else []
    places += plan.directories if "directory" in permission.types else []
    for path in places:
        if path.startswith(base) and _is_meant(path.removeprefix(base), permission):
            yield path


def _is_meant(name: str, permission: Permission) -> bool:
    if permission.pattern != ALL and not _matches(name, permission.pattern, "pattern"):
        return False
    return not any(_matches(name, pattern, "except") for pattern in permission.excepted)


def _matches(name: str, pattern: str | None, key: str) -> bool:
    """`*` is any run of characters, everything else itself; only names of the first level are looked at."""
    if "/" in name:
        return False
    if pattern is None:
        raise _NoTextError(key)
    return glob_regex(pattern).fullmatch(name) is not None


def glob_regex(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in re.split(r"\*+", pattern)), re.DOTALL)


def _check_targets(permission: Permission, targets: tuple[str, ...], plan: InstallPlan, findings: Findings) -> None:
    if not targets:
        _warn_of_nothing(permission, plan, findings)
        return
    for key in permission.not_names:
        message = f"{key} must be a name in quotes, not a number or a list"
        hint = f"names work, ids don't: `{key}: web`"
        findings.error(permission.at, f"permission_{key}_type", message, hint, stage="install")
    for key, name in (("owner", permission.owner), ("group", permission.group)):
        if name is not None and _NO_NAME.search(name):
            message = f"{key} {name!r} can't be a name; owner and group have a key each"
            findings.error(permission.at, f"permission_{key}_unknown", message, stage="install")
    _check_links(permission, targets, plan, findings)
    _check_shell(permission, targets, findings)
    for pattern in permission.excepted:
        if not any(_excepts(pattern, path, permission) for path in (*plan.copies, *plan.directories)):
            message = f"except {pattern!r} matches nothing: it is compared with names directly in object"
            findings.warning(permission.at, "except_matches_nothing", message)


def _excepts(pattern: str | None, path: str, permission: Permission) -> bool:
    target = paths.expand(permission.object)
    base = target if target.endswith("/") else f"{target}/"
    return path.startswith(base) and pattern is not None and _matches(path.removeprefix(base), pattern, "except")


def _warn_of_nothing(permission: Permission, plan: InstallPlan, findings: Findings) -> None:
    message = f"nothing that is installed matches object {permission.object!r}"
    hint = "it is what files are installed below, and not that folder itself"
    if permission.pattern != ALL:
        message += f" with pattern {permission.pattern!r}"
        hint = "a pattern is compared with names directly in object; only * is special in it"
    elif any(character in permission.object for character in "*?["):
        hint = "object is no pattern: name the folder, and use `pattern`"
    elif paths.expand(permission.object) in plan.directories:
        hint = "to reach the folder itself, make its parent the object, and its name the pattern"
    findings.warning(permission.at, "permission_matches_nothing", message, hint)


def _check_links(permission: Permission, targets: tuple[str, ...], plan: InstallPlan, findings: Findings) -> None:
    """Modes and owners go through a link, to what it leads to on the instance."""
    if not permission.sets_something:
        return
    for path in [path for path in targets if link_is_dangling(path, plan)][:_SHOWN]:
        message = f"{path} is a link to something that isn't installed, so its permissions can't be set"
        hint = "leave the link out of the permission, or install what it leads to"
        findings.error(permission.at, "permission_on_dangling_symlink", message, hint, stage="install")


def _check_shell(permission: Permission, targets: tuple[str, ...], findings: Findings) -> None:
    if not permission.acls and permission.context is None:
        return
    for path in [path for path in targets if _SHELL.search(path)][:_SHOWN]:
        message = f"{path} goes through a shell unquoted, so acls and context can't be set on it"
        findings.error(permission.at, "acl_not_shell_safe", message, "set them in a script", stage="install")
