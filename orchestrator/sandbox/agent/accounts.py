"""Users and groups of an instance, as its own /etc/passwd and /etc/group have them."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.sandbox.agent.rooted import Root

_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Accounts:
    users: dict[str, int]
    groups: dict[str, int]
    homes: dict[str, str]
    """By user."""


def read_accounts(root: Root) -> Accounts:
    """Lines that are none of passwd's or group's are passed over."""
    users: dict[str, int] = {}
    homes: dict[str, str] = {}
    for fields in _lines(root, "/etc/passwd", 7):
        users.setdefault(fields[0], int(fields[2]))
        homes.setdefault(fields[0], fields[5])
    groups: dict[str, int] = {}
    for fields in _lines(root, "/etc/group", 4):
        groups.setdefault(fields[0], int(fields[2]))
    return Accounts(users, groups, homes)


def _lines(root: Root, path: str, count: int) -> list[list[str]]:
    try:
        text = root.read(path, _LIMIT).decode(errors="replace")
    except OSError:
        return []
    rows = [line.split(":") for line in text.splitlines()]
    return [row for row in rows if len(row) == count and row[0] and row[2].isdecimal()]
