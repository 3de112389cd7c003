"""When a run is likely to end, and which chain of targets decides that: read from the state alone, for every view.

Estimates come from how long deployments took in earlier runs, and from how far the running ones have got. They are
guesses: limits on how much may run at once count only as far as they are sure to hold the run up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from orchestrator.core.model import TargetState
from orchestrator.core.state import RunState, TargetRun

S = TargetState

_DONE = ("Succeeded", "Skipped", "Failed")
"""Instances that have come to an end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """All times are epoch seconds."""

    starts: Mapping[str, float]
    """When targets that haven't started are likely to."""
    ends: Mapping[str, float]
    """When unfinished targets are likely to end."""
    remaining: Mapping[str, float]
    """Seconds of its own that each unfinished target still needs, without what it waits for."""
    critical: tuple[str, ...]
    """The targets that decide when the run ends, or ended: each waited for the one before it."""
    ends_at: float | None
    """None: the run is over, nothing is known, or it waits for people or for the end of a freeze."""


def forecast(state: RunState, now: float) -> Forecast:
    """`now`: epoch seconds. Targets whose duration nobody knows count as the middle one of the others."""
    remaining = _remaining(state, now)
    starts, ends = _schedule(state, remaining, now)
    at = {name: _end(target, ends) for name, target in state.targets.items()}
    return Forecast(
        starts=starts,
        ends=ends,
        remaining=remaining,
        critical=_critical(state, at),
        ends_at=None if _is_open_ended(state) or not ends else max(*ends.values(), _by_limit(state, remaining, now)),
    )


def _is_open_ended(state: RunState) -> bool:
    people = any(gate.kind == "approval" for target in (None, *state.targets) for gate in state.gates.open_at(target))
    return state.ended_at is not None or state.frozen is not None or people


# --- what each still needs -------------------------------------------------------------------------------------------


def _remaining(state: RunState, now: float) -> dict[str, float]:
    """Of those that go on or will start; nothing where nothing is known of any."""
    going = [target for target in state.targets.values() if _goes_on(target, state)]
    usual = _usual(state, going, now)
    if usual is None:
        return {}
    return {target.id: _own(target, usual, now) for target in going}


def _goes_on(target: TargetRun, state: RunState) -> bool:
    if target.state.is_final:
        return False
    return state.why_closed is None or target.is_live or target.state in {S.RUNNING, S.BAKING, S.ROLLING_BACK}


def _usual(state: RunState, going: list[TargetRun], now: float) -> float | None:
    known = [target.expected for target in state.targets.values() if target.expected is not None]
    known += [by_now for target in state.targets.values() if (by_now := _took(target)) is not None]
    known += [found for target in going if (found := _by_progress(target, now)) is not None]
    return median(known) if known else None


def _took(target: TargetRun) -> float | None:
    if target.state is not S.SUCCEEDED or target.deployment_started_at is None or target.ended_at is None:
        return None
    return target.ended_at - target.deployment_started_at


def _own(target: TargetRun, usual: float, now: float) -> float:
    if target.state is S.BAKING and target.bake_until is not None:
        return max(0.0, target.bake_until - now)
    whole = target.expected if target.expected is not None else _by_progress(target, now)
    whole = usual if whole is None else whole
    if target.deployment_started_at is None:
        return whole
    return max(0.0, whole - (now - target.deployment_started_at))


def _by_progress(target: TargetRun, now: float) -> float | None:
    """The whole, by the share of its instances that are done."""
    total = sum(target.overview.values())
    done = sum(target.overview.get(status, 0) for status in _DONE)
    if target.deployment_started_at is None or not done or not total:
        return None
    return (now - target.deployment_started_at) * total / done


# --- when ------------------------------------------------------------------------------------------------------------


def _schedule(state: RunState, remaining: Mapping[str, float], now: float) -> tuple[dict[str, float], dict[str, float]]:
    """Starts and ends. The plan's order is that of needs, so that what is waited for has been seen."""
    starts: dict[str, float] = {}
    ends: dict[str, float] = {}
    for name, seconds in remaining.items():
        target = state.targets[name]
        waits = max((ends.get(each, now) for each in (*target.needs, *target.after)), default=now)
        start = max(now, waits) if target.deployment_started_at is None else now
        if target.deployment_started_at is None:
            starts[name] = start
        ends[name] = start + seconds
    return starts, ends


def _by_limit(state: RunState, remaining: Mapping[str, float], now: float) -> float:
    """No sooner than this: so much work in so few places."""
    places = state.limits.get("deployments")
    return now + sum(remaining.values()) / places if places else now


# --- the longest chain -----------------------------------------------------------------------------------------------


def _end(target: TargetRun, ends: Mapping[str, float]) -> float | None:
    return target.ended_at if target.state.is_final else ends.get(target.id)


def _critical(state: RunState, at: Mapping[str, float | None]) -> tuple[str, ...]:
    """Backwards from the one that ends last, each time to the one that it waited for longest."""
    known = {name: end for name, end in at.items() if end is not None and _counts(state.targets[name])}
    chain: list[str] = []
    last = max(known, key=lambda name: known[name], default=None)
    while last is not None:
        chain.append(last)
        target = state.targets[last]
        before = [name for name in (*target.needs, *target.after) if name in known]
        last = max(before, key=lambda name: known[name], default=None)
    return tuple(reversed(chain))


def _counts(target: TargetRun) -> bool:
    """What was never going to run took no time from anybody."""
    return not target.state.is_final or target.started_at is not None
