"""`acls` and `context` of a permission: what the agent's parser surely refuses."""

from __future__ import annotations

import re

from orchestrator.bundle.appspec_findings import Findings
from orchestrator.bundle.appspec_yaml import Value

_DEFAULT = frozenset({"d", "default"})
_KINDS = {"u": "user", "g": "group", "m": "mask", "o": "other"}
_KIND_NAMES = frozenset({*_KINDS, *_KINDS.values()})
_PERMISSION = re.compile(r"[rwxX0-7-]*")
_RANGE = re.compile(r"s(\d+)(?:-s(\d+))?(?::(.+))?")
_CATEGORY = re.compile(r"c(\d+)(?:\.c(\d+))?")
_MAX_CATEGORY = 1023


def check_acls(acls: Value | None, findings: Findings) -> None:
    """Entries are `[default:]<user|group|mask|other>:<name>:<rwx>`."""
    if acls is None or acls.is_nothing:
        return
    if not acls.is_list:
        findings.error(acls, "acls_type", "acls must be a list", 'write `acls: ["u:web:rw"]`')
        return
    for entry in acls.items():
        if not entry.is_string:
            findings.error(entry, "acl_entry_type", f"must be text, not {entry.text()!r}", 'such as "u:web:rw"')
        else:
            _check_acl(entry, findings)


def _check_acl(entry: Value, findings: Findings) -> None:
    text = entry.text()
    parts = text.split(":")
    if parts[0] in _DEFAULT:
        parts = parts[1:]
    if not 2 <= len(parts) <= 3 or not _PERMISSION.fullmatch(parts[-1]):
        findings.error(entry, "acl_invalid", f"{text!r} is no ACL entry", 'write it like "u:web:rw" or "d:g:web:r"')
        return
    kind = _KINDS.get(parts[0], parts[0])
    name = parts[1] if len(parts) == 3 else ""
    if parts[0] in _KIND_NAMES and kind != "mask" and not name:
        hint = "use `mode` for the owner, the group and everybody else"
        findings.error(entry, "acl_base_entry", f"{text!r} is a base entry, which acls can't hold", hint)


def check_context(context: Value | None, findings: Findings) -> None:
    """SELinux: type, and a range such as `s0-s1:c0.c5,c7`."""
    if context is None or not context.is_mapping:
        return
    kind = context.get("type")
    if kind is None or kind.is_nothing:
        findings.error(context, "context_type_missing", "context needs a type")
    value = context.get("range")
    if value is not None and not value.is_nothing and not _is_range(value):
        hint = 'such as "s0" or "s0-s1:c0.c5,c7"'
        findings.error(value, "context_range_invalid", f"range {value.text()!r} is no MLS range", hint)


def _is_range(value: Value) -> bool:
    match = _RANGE.fullmatch(value.text()) if value.is_string else None
    if match is None:
        return False
    low, high, categories = match.groups()
    if high is not None and int(high) < int(low):
        return False
    names = categories.split(",") if categories else []
    return len(set(names)) == len(names) and all(_is_category(name) for name in names)


def _is_category(name: str) -> bool:
    match = _CATEGORY.fullmatch(name)
    if match is None:
        return False
    low = int(match[1])
    high = int(match[2] or low)
    return low <= high <= _MAX_CATEGORY
