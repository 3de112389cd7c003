"""The fleet file's faults: what goes wrong on which instances of which groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import yaml

from orchestrator.sandbox.fleetnodes import Notes, Reader, flag, listed, number, one_of, seconds, share, text, whole
from orchestrator.sandbox.lifecycle import ALL_EVENTS, NEVER
from orchestrator.sandbox.options import AlarmFault, ErrorCode, Failure, Lost, Slow

Found = Failure | Slow | Lost | AlarmFault

_EVENT = one_of(ALL_EVENTS, "lifecycle event")


def _which(node: yaml.Node, place: str, notes: Notes) -> int | str | None:
    """A place in the group, or a name."""
    written = text(node, place, notes)
    return int(written) if written is not None and written.isdecimal() else written


FAULT: Mapping[str, Reader] = {
    "target": text,
    "instances": listed(_which),
    "deployments": whole(1),
    "revision": text,
    "chance": share,
    "fails": _EVENT,
    "error_code": one_of(get_args(ErrorCode), "error code"),
    "script": text,
    "message": text,
    "log": text,
    "slow": number(0, above=True),
    "stuck": flag,
    "event": _EVENT,
    "lost": _EVENT,
    "midway": flag,
    "alarm": text,
    "after": seconds,
}
_KINDS = ("fails", "slow", "stuck", "lost", "alarm")
_ONLY_WITH = {
    "error_code": ("fails",),
    "script": ("fails",),
    "message": ("fails",),
    "log": ("fails",),
    "event": ("slow", "stuck"),
    "midway": ("lost",),
    "after": ("alarm",),
}


def fault_of(given: Mapping[str, Any], node: yaml.Node, place: str, notes: Notes) -> Found | None:
    """From the keys that were read; None, and a note, if they make no fault."""
    kinds = [kind for kind in _KINDS if kind in given]
    if len(kinds) != 1:
        named = f"it has {' and '.join(kinds)}" if kinds else "it has none of them"
        if isinstance(node, yaml.MappingNode):
            notes.add(node, place, f"a fault is exactly one of {', '.join(_KINDS)}; {named}")
        return None
    (kind,) = kinds
    for key, owners in _ONLY_WITH.items():
        if key in given and kind not in owners:
            notes.add(node, place, f"{key} goes with {' or '.join(owners)}, not with {kind}")
    if "target" not in given or (kind == "stuck" and not given["stuck"]):
        return None
    shared = {
        name: given[name] for name in ("target", "instances", "deployments", "revision", "chance") if name in given
    }
    return _made(kind, given, shared)


def _made(kind: str, given: Mapping[str, Any], shared: Mapping[str, Any]) -> Found:
    match kind:
        case "fails":
            names = {"error_code": "error_code", "script": "script", "message": "message", "log": "log_tail"}
            told = {field: given[key] for key, field in names.items() if key in given}
            return Failure(event=given["fails"], **told, **shared)
        case "lost":
            return Lost(event=given["lost"], is_midway=given.get("midway", False), **shared)
        case "alarm":
            return AlarmFault(alarm=given["alarm"], after=given.get("after", 10.0), **shared)
        case _:
            return Slow(factor=given.get("slow", NEVER), event=given.get("event"), **shared)
