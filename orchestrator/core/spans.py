"""What a target has spent its time with: its history as spans, read from the state alone, for every view."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from orchestrator.core.model import TargetState
from orchestrator.core.state import RunState, TargetRun

S = TargetState

SpanKind = Literal["needs", "upload", "queue", "blocked", "starting", "running", "attempt", "baking", "rolling_back"]
"""needs: waits for other targets; queue: for a free slot, or for another attempt; attempt: ran, failed, and was tried
again. Where it waits for targets and for its bundle at once, it is `upload` that is told."""

_PLAIN: dict[TargetState, SpanKind] = {
    S.UPLOADING: "upload",
    S.BLOCKED: "blocked",
    S.STARTING: "starting",
    S.RUNNING: "running",
    S.BAKING: "baking",
    S.ROLLING_BACK: "rolling_back",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Times are epoch seconds."""

    kind: SpanKind
    start: float
    end: float


def spans_of(target: TargetRun, state: RunState, now: float) -> tuple[Span, ...]:
    """From the run's start to the target's end, or to `now`; without spans of no length, and without its ends."""
    until = now if state.ended_at is None else state.ended_at
    history = [*target.history, (None, max(until, target.history[-1][1]) if target.history else until)]
    met = _needs_met_at(target, state)
    found: list[Span] = []
    for (name, start), (then, end) in pairwise(history):
        if name is S.PENDING:
            found += _pending(start, end, met)
        elif name is S.RUNNING and then is S.PENDING:
            found.append(Span("attempt", start, end))
        elif name in _PLAIN:
            found.append(Span(_PLAIN[name], start, end))
    return tuple(span for span in found if span.end > span.start)


def _pending(start: float, end: float, met: float | None) -> tuple[Span, ...]:
    if met is None or met >= end:
        return (Span("needs", start, end),)
    if met <= start:
        return (Span("queue", start, end),)
    return (Span("needs", start, met), Span("queue", met, end))


def _needs_met_at(target: TargetRun, state: RunState) -> float | None:
    """Told by an event once it had its slots; before that by the ends of what it waits for."""
    if target.needs_met_at is not None:
        return target.needs_met_at
    met = state.started_at
    for name in (*target.needs, *target.after):
        other = state.targets.get(name)
        if other is None:
            continue
        if name in target.needs and not other.lets_others_go:
            return None
        if other.ended_at is None:
            return None
        met = max(met or 0.0, other.ended_at)
    return met
