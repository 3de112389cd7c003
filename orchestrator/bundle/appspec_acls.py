"""`acls` and `context` of a permission, as the agent's parser takes them."""

from __future__ import annotations

import re
from typing import Literal

from orchestrator.bundle.appspec_findings import Findings
from orchestrator.bundle.appspec_keys import check_keys, each, index
from orchestrator.bundle.appspec_types import AclEntry, Context
from orchestrator.bundle.ruby_yaml import Value

_DEFAULT = ("d", "default")
_Kind = Literal["user", "group", "mask", "other"]
_KINDS: dict[str, _Kind] = {
    "u": "user",
    "user": "user",
    "g": "group",
    "group": "group",
    "m": "mask",
    "mask": "mask",
    "o": "other",
    "other": "other",
}
_SHAPE_HINT = 'write it like "u:web:rw" or "d:g:web:r"'
_SENSITIVITY = re.compile(r"s([0-9]+)")
_CATEGORY = re.compile(r"c([0-9]+)")
_MAX_CATEGORY = 1023


def read_acls(acls: Value | None, findings: Findings) -> tuple[AclEntry, ...] | None:
    """Entries are `[d:]<u|g|m|o>:<name>:<rwx>`; None when there are no acls."""
    if acls is None or acls.is_nil:
        return None
    entries = each(acls)
    if entries is None or (acls.is_mapping and entries):
        findings.error(acls, "acls_type", "acls must be a list", 'write `acls: ["u:web:rw"]`')
        return None
    read: list[AclEntry] = []
    for entry in entries:
        if not entry.is_string:
            findings.error(entry, "acl_entry_type", f"must be text, not {entry.shown()!r}", 'such as "u:web:rw"')
            continue
        found = _read_acl(entry, findings)
        if found is not None and any(found.whom == other.whom for other in read):
            findings.warning(entry, "acl_duplicate", f"{entry.shown()!r} names whom another entry names already")
        read += [found] if found is not None else []
    return tuple(read)


def _read_acl(entry: Value, findings: Findings) -> AclEntry | None:
    text = str(entry.scalar)
    shape = _shape(text.split(":"))
    permission = _permission(text.rsplit(":", 1)[-1])
    if shape is None or permission is None:
        findings.error(entry, "acl_invalid", f"{text!r} is no ACL entry", _SHAPE_HINT)
        return None
    default, kind, name = shape
    if not default and kind != "mask" and not name:
        hint = "use `mode` for the owner, the group and everybody else"
        findings.error(entry, "acl_base_entry", f"{text!r} is a base entry, which acls can't hold", hint)
        return None
    return AclEntry(default=default, kind=kind, name=name, permission=permission)


def _shape(parts: list[str]) -> tuple[bool, _Kind, str] | None:
    """Default or not, the kind and the name, from the two to four parts of an entry."""
    if not 2 <= len(parts) <= 4 or (len(parts) == 4 and parts[0] not in _DEFAULT):
        return None
    default = len(parts) == 4
    kind: _Kind | None = None
    if len(parts) >= 3:
        word = parts[-3]
        if word in _DEFAULT:
            if default:
                return None
            default = True
        elif (kind := _KINDS.get(word)) is None:
            return None
    kind, name = _kind_or_name(kind, parts[-2])
    return None if kind in {"mask", "other"} and name else (default, kind, name)


def _kind_or_name(kind: _Kind | None, word: str) -> tuple[_Kind, str]:
    """The part before the permission: the name, or `m` and `o` in an entry without a kind."""
    as_kind = _KINDS.get(word)
    if as_kind in {"mask", "other"}:
        return (kind, as_kind) if kind is not None else (as_kind, "")
    return kind or "user", word


def _permission(text: str) -> str | None:
    if len(text) == 1 and text in "01234567":
        bits = int(text)
        return "".join(letter if bits & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
    if any(letter not in "rwx-" for letter in text):
        return None
    return "".join(letter if letter in text else "-" for letter in "rwx")


def read_context(context: Value | None, findings: Findings) -> Context | None:
    """SELinux: type, and a range such as `s0-s1:c0.c5,c7`."""
    if context is None or context.is_nil:
        return None
    asked, kind = index(context, "type")
    if not asked:
        findings.error(context, "context_type", "context must be a mapping with a type")
        return None
    if kind is None:
        findings.error(context, "context_type_missing", "context needs a type")
        return None
    if context.is_mapping:
        check_keys(context, ("name", "type", "range"), findings)
    _, user = index(context, "name")
    _, value = index(context, "range")
    if value is not None and (not value.is_string or not _is_range(str(value.scalar))):
        hint = 'such as "s0" or "s0-s1:c0.c5,c7"'
        findings.error(value, "context_range_invalid", f"range {value.shown()!r} is no MLS range", hint)
        return None
    return Context(
        type=kind.to_s(),
        user=None if user is None else user.to_s(),
        range=None if value is None else value.to_s(),
    )


def _is_range(text: str) -> bool:
    sensitivities, colon, categories = text.partition(":")
    low, dash, high = sensitivities.partition("-")
    first = _SENSITIVITY.fullmatch(low)
    last = _SENSITIVITY.fullmatch(high) if dash else first
    if first is None or last is None or _value(last[1]) < _value(first[1]):
        return False
    return not colon or (categories != "" and _are_categories(categories))


def _are_categories(text: str) -> bool:
    seen: set[int] = set()
    for part in text.rstrip(",").split(",") if text.strip(",") else []:
        low, dot, high = part.partition(".")
        first = _category(low)
        last = _category(high) if dot else first
        if first is None or last is None or last < first:
            return False
        numbers = set(range(first, last + 1))
        if seen & numbers:
            return False
        seen |= numbers
    return True


def _category(text: str) -> int | None:
    match = _CATEGORY.fullmatch(text)
    number = _value(match[1]) if match else None
    return number if number is not None and number <= _MAX_CATEGORY else None


def _value(digits: str) -> int:
    return int(digits[:1000])
