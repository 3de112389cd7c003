"""`permissions` of an AppSpec: the shape of it. What it reaches, `appspec_install.py` finds out."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.bundle.appspec_acls import read_acls, read_context
from orchestrator.bundle.appspec_findings import Findings
from orchestrator.bundle.appspec_keys import check_keys, each
from orchestrator.bundle.appspec_types import ALL, ObjectType, Os, Permission
from orchestrator.bundle.ruby_scalars import strip, to_s
from orchestrator.bundle.ruby_yaml import Value

_KEYS = ("object", "pattern", "except", "type", "owner", "group", "mode", "acls", "context")
_TYPES: tuple[ObjectType, ...] = ("file", "directory")
_MODE_HINT = 'write four digits in quotes, such as "0644"'


def read_permissions(permissions: Value | None, findings: Findings, *, os: Os | None) -> tuple[Permission, ...]:
    """The entries that are whole."""
    if permissions is None or permissions.is_falsy:
        if permissions is not None and not permissions.is_nil:
            findings.warning(permissions, "wrong_type_ignored", "permissions is false, and counts as left out")
        return ()
    entries = each(permissions)
    if entries is None or (permissions.is_mapping and entries):
        message = "permissions must be a list of entries with an object"
        findings.error(permissions, "permissions_type", message, "put a dash before each object")
        return ()
    if os == "windows" and entries:
        message = "permissions work on Linux only: the agent on Windows refuses them"
        findings.error(permissions, "permissions_on_windows", message, "set them in a script of AfterInstall")
    read = [_read_permission(entry, findings) for entry in entries]
    return tuple(permission for permission in read if permission is not None)


def _read_permission(entry: Value, findings: Findings) -> Permission | None:
    if not entry.is_mapping:
        findings.error(entry, "permission_entry_type", "must be a mapping with an object")
        return None
    check_keys(entry, _KEYS, findings)
    path = _read_object(entry, findings)
    excepted = _read_except(entry.get("except"), findings)
    types = _read_types(entry.get("type"), findings)
    mode = _read_mode(entry.get("mode"), findings)
    acls = read_acls(entry.get("acls"), findings)
    context = read_context(entry.get("context"), findings)
    owner, group = _read_name(entry, "owner", findings), _read_name(entry, "group", findings)
    if path is None:
        return None
    return Permission(
        object=path,
        pattern=_read_pattern(entry.get("pattern")),
        excepted=excepted,
        types=types,
        owner=owner.text,
        group=group.text,
        mode=mode,
        acls=acls,
        context=context,
        not_names=tuple(name for name, read in (("owner", owner), ("group", group)) if read.is_wrong),
        at=entry,
    )


def _read_object(entry: Value, findings: Findings) -> str | None:
    value = entry.get("object")
    text = strip(value.to_s()) if value is not None and not value.is_nil else ""
    if value is None or not text:
        findings.error(value or entry, "permission_object_missing", "object is missing")
        return None
    if "\0" in text:
        findings.error(value, "permission_object_type", "object holds a NUL character", stage="install")
        return None
    return text


def _read_pattern(value: Value | None) -> str | None:
    if value is None or value.is_falsy:
        return ALL
    return str(value.scalar) if value.is_string else None


def _read_except(value: Value | None, findings: Findings) -> tuple[str | None, ...]:
    if value is None or value.is_falsy:
        return ()
    items = each(value)
    if items is None:
        findings.error(value, "permission_list_type", "except must be a list", 'write `except: ["*.sh"]`')
        return ()
    return tuple(str(item.scalar) if item.is_string else None for item in items)


def _read_types(value: Value | None, findings: Findings) -> frozenset[ObjectType]:
    if value is None or value.is_falsy:
        return frozenset(_TYPES)
    items = each(value)
    if items is None:
        findings.error(value, "permission_list_type", "type must be a list", "write `type: [file]`")
        return frozenset()
    for item in items:
        if not item.is_string or item.scalar not in _TYPES:
            message = f"type must be file or directory, not {item.shown()!r}"
            findings.error(item, "permission_type_invalid", message, "write `[file]`, `[directory]` or both")
    return frozenset(name for name in _TYPES if any(item.scalar == name for item in items))


def _read_mode(value: Value | None, findings: Findings) -> str | None:
    """The agent takes one to four octal digits of what Ruby prints; `0644` without quotes prints 420."""
    if value is None or value.is_nil:
        return None
    printed = value.to_s()
    if len(printed) > 4 or any(digit not in "01234567" for digit in printed):
        message = f"mode {value.shown()!r} isn't one to four octal digits"
        if value.is_plain and isinstance(value.scalar, int) and printed != value.written:
            message = f"mode {value.shown()} without quotes is read as the number {printed[:20]}"
        findings.error(value, "permission_mode_invalid", message, _MODE_HINT)
        return None
    mode = printed.zfill(3)
    if int(mode, 8) & 0o777 == 0:
        message = f"mode {value.shown()!r} takes every permission away"
        findings.warning(value, "mode_locks_out", message, _MODE_HINT)
    elif isinstance(value.scalar, int) and printed != value.written:
        message = f"mode {value.written} without quotes is read as a number, and the file gets mode {printed.zfill(4)}"
        findings.warning(value, "mode_read_as_decimal", message, _MODE_HINT)
    return mode


@dataclass(frozen=True, slots=True)
class _Name:
    text: str | None = None
    is_wrong: bool = False


def _read_name(entry: Value, key: str, findings: Findings) -> _Name:
    """A user's or group's: text, and only looked up when the permission reaches something."""
    value = entry.get(key)
    if value is None or value.is_falsy:
        return _Name()
    if not value.is_string:
        return _Name(is_wrong=True)
    text = to_s(value.scalar)
    if text.isdigit():
        findings.warning(value, f"permission_{key}_unknown", f"{key} {text!r} is taken for a name, not for an id")
    return _Name(text)
