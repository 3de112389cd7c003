"""`permissions` of an AppSpec: the shape of it. What it matches is not looked at."""

from __future__ import annotations

from orchestrator.bundle.appspec_acls import check_acls, check_context
from orchestrator.bundle.appspec_findings import Findings
from orchestrator.bundle.appspec_yaml import Value

_TYPES = frozenset({"file", "directory"})


def check_permissions(permissions: Value | None, findings: Findings) -> None:
    if permissions is None or permissions.is_nothing:
        return
    if not permissions.is_list:
        findings.error(permissions, "permissions_type", "permissions must be a list of entries with an object")
        return
    for entry in permissions.items():
        if not entry.is_mapping:
            findings.error(entry, "permission_entry_type", "must be a mapping with an object")
            continue
        _check_object(entry, findings)
        _check_type(entry.get("type"), findings)
        _check_mode(entry.get("mode"), findings)
        check_acls(entry.get("acls"), findings)
        check_context(entry.get("context"), findings)


def _check_object(entry: Value, findings: Findings) -> None:
    value = entry.get("object")
    if value is None or value.is_nothing or not value.text().strip():
        findings.error(entry if value is None else value, "permission_object_missing", "object is missing")


def _check_type(value: Value | None, findings: Findings) -> None:
    if value is None or value.is_nothing:
        return
    if not value.is_list:
        findings.error(value, "permission_list_type", "type must be a list", "write `type: [file]`")
        return
    for item in value.items():
        if not item.is_string or item.text() not in _TYPES:
            findings.error(item, "permission_type_invalid", f"type must be file or directory, not {item.text()!r}")


def _check_mode(value: Value | None, findings: Findings) -> None:
    """The agent takes one to four octal digits of what Ruby prints; `0644` without quotes prints 420."""
    if value is None or value.is_nothing:
        return
    scalar = value.scalar() if value.is_scalar else None
    printed = str(scalar)
    hint = 'write four digits in quotes, such as "0644"'
    if scalar is None or len(printed) > 4 or any(digit not in "01234567" for digit in printed):
        findings.error(value, "permission_mode_invalid", f"mode {value.text()!r} isn't one to four octal digits", hint)
    elif not printed:
        findings.warning(value, "mode_locks_out", "mode is empty, which takes every permission away", hint)
    elif value.is_plain and printed != value.text():
        message = f"mode {value.text()} without quotes is read as octal, and the file gets mode {printed.zfill(4)}"
        findings.warning(value, "mode_read_as_decimal", message, hint)
