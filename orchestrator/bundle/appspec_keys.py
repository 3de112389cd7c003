"""Keys that the agent passes over without a word, and what stands for what in its Ruby."""

from __future__ import annotations

from collections.abc import Collection

from orchestrator.bundle.appspec_findings import Findings, did_you_mean
from orchestrator.bundle.ruby_scalars import Symbol
from orchestrator.bundle.ruby_yaml import Value


def check_keys(mapping: Value, known: Collection[str], findings: Findings) -> None:
    """Warns of keys that stand twice, and of those that the agent doesn't know."""
    for key in mapping.doubled:
        message = f"the key {key.shown()} stands twice; the last one counts"
        findings.warning(key, "duplicate_key", message, "take one of them out")
    by_lower = {name.lower(): name for name in known}
    for key, _ in mapping.pairs:
        name = key.to_s()
        if key.is_string and name in known:
            continue
        if (right := by_lower.get(name.lower())) is not None:
            message = f"the key {key.shown()!r} is ignored: the agent knows it as {right}"
            findings.warning(key, "key_case", message, f"write `{right}:`")
        else:
            message = f"the agent doesn't know the key {key.shown()!r} here and ignores it"
            findings.warning(key, "unknown_key", message, did_you_mean(name, known))


def index(value: Value, key: str) -> tuple[bool, Value | None]:
    """Ruby's `value[key]`: whether the value can be asked at all, and the answer; None is nil.

    A text answers with the key itself when it occurs in it.
    """
    if value.is_mapping:
        found = value.get(key)
        return True, None if found is None or found.is_nil else found
    if isinstance(value.scalar, str | Symbol):
        occurs = key in value.to_s()
        return True, Value("scalar", value.line, value.column, value.place, scalar=key, written=key) if occurs else None
    return False, None


def each(value: Value) -> tuple[Value, ...] | None:
    """What Ruby's `each` goes through, of a list or mapping; None where there is no such thing.

    A mapping gives its pairs, each a list of two.
    """
    if value.is_list:
        return value.items
    if value.is_mapping:
        return tuple(
            Value("list", name.line, name.column, inner.place, items=(name, inner)) for name, inner in value.pairs
        )
    return None
