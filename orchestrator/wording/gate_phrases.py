"""Gates, approvals and hooks in words."""

from __future__ import annotations

from orchestrator.core import gate_events as gev
from orchestrator.core.events import Event
from orchestrator.core.state import RunState
from orchestrator.core.times import format_time
from orchestrator.wording.phrase import Phrase
from orchestrator.wording.text import duration, listing, one_line

OUTPUT_LINES = 5
"""Lines of a hook's output that are shown; the journal has more."""


def gate_phrase(event: Event, state: RunState) -> Phrase | None:
    match event:
        case gev.GateEvent():
            return _of_gate(event, state)
        case gev.ApprovalDecided():
            word = "approved" if event.approved else "rejected"
            text = f"gate {event.gate} {word} by {one_line(event.by)}{_reason(event.reason)}"
            return Phrase(about="", text=text, urgent=True)
        case gev.RunBlocked():
            return Phrase(about="", text=f"leaving: {one_line(event.reason)}", urgent=True)
        case gev.HookStarted():
            return Phrase(about=event.target or "", text=f"{event.when} hook: {one_line(' '.join(event.command))}")
        case gev.HookFinished():
            return _of_hook(event)
        case _:
            return None


def of_success(event: Event) -> str:
    """Of a target whose deployment has succeeded, or is about to; empty for anything else."""
    match event:
        case gev.BakeStarted(seconds=0.0):
            return "succeeded; its gates are asked"
        case gev.BakeStarted():
            alarms = f"; alarms: {listing(event.alarms, 3)}" if event.alarms else ""
            return f"baking for {duration(event.seconds)}{alarms}"
        case gev.MilestoneReached():
            return f"its deployment has reached {event.milestone}; what waits for it goes on"
        case gev.TrafficContinued():
            return f"ContinueDeployment: {'its traffic is shifted' if event.accepted else one_line(event.message)}"
        case _:
            return ""


def _of_gate(event: gev.GateEvent, state: RunState) -> Phrase | None:
    gate = f"gate {event.gate}"
    urgent = False
    match event:
        case gev.GateWaiting(kind="approval"):
            asked = f": {one_line(event.message)}" if event.message else ""
            text = f"awaiting approval{asked}: orchestrator approve {state.run} {event.gate}{_until(event, state)}"
            urgent = True
        case gev.GateWaiting():
            within = "" if event.timeout is None else f", for {duration(event.timeout)} at most"
            text = f"{gate} ({event.kind}) is asked{within}"
        case gev.GateMeasured():
            text = f"{gate} {event.verdict}: {one_line(event.reason)}"
        case gev.GatePassed():
            text = f"{gate} passed{_reason(event.reason)}"
        case gev.GateFailed():
            text, urgent = f"{gate} failed{_reason(event.reason)}", True
        case _:
            return None
    return Phrase(about=event.target or "", text=text, urgent=urgent)


def _until(event: gev.GateWaiting, state: RunState) -> str:
    asked = state.gates.asked_since(event.gate)
    deadline = None if asked is None else asked[1]
    return "" if deadline is None else f" (until {format_time(deadline)[:19]}Z)"


def _of_hook(event: gev.HookFinished) -> Phrase:
    lines = [line.rstrip() for line in event.output.splitlines() if line.strip()]
    shown = tuple(one_line(line) for line in lines[-OUTPUT_LINES:]) if not event.ok else ()
    text = f"{one_line(event.reason)} after {duration(event.seconds)}"
    return Phrase(about=event.target or "", text=text, below=shown, urgent=not event.ok)


def _reason(reason: str | None) -> str:
    return f": {one_line(reason)}" if reason else ""
