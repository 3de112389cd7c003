"""Events in words: one line, and for a failure the lines below it."""

from __future__ import annotations

from orchestrator.core import bundle_events as bev
from orchestrator.core import events as ev
from orchestrator.core import notification_events as nev
from orchestrator.core.freezing import moment
from orchestrator.core.model import TargetState
from orchestrator.core.state import RunState, TargetRun
from orchestrator.wording.facts import failure_lines, how_long, progress
from orchestrator.wording.gate_phrases import gate_phrase, of_success
from orchestrator.wording.phrase import Phrase
from orchestrator.wording.text import duration, listing, one_line, plural, short_digests, size
from orchestrator.wording.waiting import why

_URGENT = (
    ev.CancelRequested,
    ev.FailureLimitReached,
    ev.FreezeBegan,
    ev.FreezeOverridden,
    ev.ReleaseRollbackRequested,
    ev.RunDetached,
    ev.WarningRaised,
    ev.DeploymentRefused,
    ev.DeploymentDiagnosed,
    ev.RollbackStarted,
    ev.RollbackEnded,
    nev.NotificationFailed,
)

_QUIET_ENDS = (TargetState.SKIPPED, TargetState.CANCELLED)
"""Ends that come by the dozen, and whose reason has been told once."""

_TOLD_ANYWAY = ("Created", "Succeeded", "Failed", "Stopped")
"""Statuses that come with an event of their own."""


def phrase(record: ev.Record, state: RunState) -> Phrase | None:
    """The event in words, after it was folded into the state; None: not worth a line.

    Throttles and progress come at any rate: how often they are told is the view's own decision.
    """
    event = record.event
    if isinstance(event, ev.TargetEvent):
        target = state.targets.get(event.target)
        return None if target is None else _of_target(event, target, record.ts)
    return _of_run(event, state) or _of_bundle(event) or gate_phrase(event, state)


def _of_run(event: ev.Event, state: RunState) -> Phrase | None:  # noqa: C901, PLR0912 - a table: a case an event
    match event:
        case ev.RunStarted():
            where = f" to {one_line(event.environment)}" if event.environment else ""
            text = f"run {state.run}: {one_line(event.release)}{where}, {plural(len(event.targets), 'target')}"
        case ev.RunResumed():
            text = f"run {state.run} resumed by process {event.pid} on {one_line(event.host)}"
        case ev.CancelRequested():
            text = f"cancelled ({event.mode}): {one_line(event.reason)}; nothing new starts"
        case ev.FailureLimitReached():
            text = f"nothing new starts: {one_line(event.reason)}"
        case ev.FreezeBegan():
            until = moment(event.until)
            text = f"nothing new starts: the freeze {one_line(event.window)} has begun, and lasts until {until}"
        case ev.FreezeOverridden():
            window = f" {one_line(event.window)}" if event.window else "s"
            text = f"freeze{window} overridden: {one_line(event.reason)}"
        case ev.ReleaseRollbackRequested():
            what = "all that the run changed" if event.scope == "release" else "what failed"
            text = f"{what} goes back to what stood before it: {one_line(event.reason)}"
        case ev.ReleaseRollbackStarted():
            text = f"rolling back {plural(len(event.targets), 'target')}, as run {one_line(event.rollback_run)}"
        case ev.RunDetached():
            text = f"leaving: {one_line(event.reason)}; left running: {', '.join(event.running) or 'nothing'}"
        case ev.RunFinished():
            text = f"run {event.outcome}{_after_all(state)}"
        case ev.WarningRaised():
            text = f"warning: {one_line(event.message)}"
        case nev.NotificationFailed():
            text = f"notification {event.notification}: {one_line(event.reason)}; the release goes on without it"
        case ev.ApiThrottled():
            what = one_line(f"{event.service} {event.operation} in {event.region}")
            text = f"throttled: {what}; going on with {event.rate:.1f} calls/s ({plural(state.throttles, 'throttle')})"
        case _:
            return None
    about = event.target or "" if isinstance(event, ev.WarningRaised) else ""
    return Phrase(about=about, text=text, urgent=isinstance(event, _URGENT))


def _after_all(state: RunState) -> str:
    if state.started_at is None or state.ended_at is None:
        return ""
    return f" after {duration(state.ended_at - state.started_at)}"


def _of_bundle(event: ev.Event) -> Phrase | None:
    match event:
        case bev.UploadStarted():
            groups = f" for {plural(len(event.targets), 'group')}" if len(event.targets) > 1 else ""
            return Phrase(about=event.application, text=f"preparing the bundle{groups} in {event.region}")
        case bev.BundlePacked():
            packed = f"packed {plural(event.entries, 'entry', 'entries')}"
            return Phrase(about=event.application, text=f"{packed}, {size(event.bytes)} in {duration(event.seconds)}")
        case bev.BundleUploaded():
            where = short_digests(one_line(f"s3://{event.bucket}/{event.key}"))
            if event.skipped:
                return Phrase(about=event.application, text=f"upload skipped, already there: {where}")
            done = f"uploaded {size(event.bytes)} in {duration(event.seconds)} to {where}"
            if event.copied_from is not None:
                origin = short_digests(one_line(event.copied_from))
                done = f"copied {size(event.bytes)} in {duration(event.seconds)} from {origin} to {where}"
            return Phrase(about=event.application, text=done)
        case _:
            return None


def _of_target(event: ev.TargetEvent, target: TargetRun, now: float) -> Phrase | None:
    below: tuple[str, ...] = ()
    match event:
        case ev.TargetBlocked():
            text = f"waits: {one_line(event.reason)}"
        case ev.DeploymentRefused(code="NotSent"):
            text = f"CreateDeployment wasn't sent: {one_line(event.message)}"
        case ev.DeploymentRefused():
            text = f"CreateDeployment was refused: {one_line(event.code)}: {one_line(event.message)}"
        case ev.StopRequested():
            answer = "accepted" if event.accepted else f"refused: {one_line(event.message)}"
            text = f"stopping {event.deployment_id} ({one_line(event.reason)}): {answer}"
        case ev.DeploymentDiagnosed():
            text = f"{plural(event.failed, 'instance')} failed"
            below = tuple(failure_lines(event.instances, event.failed, "  "))
        case ev.TargetRetried():
            when = f"attempt {event.retry + 1} in {duration(event.wait)}"
            text = f"{event.deployment_id} failed; {when}: {one_line(event.reason)}"
        case ev.TargetFinished():
            text = _finished(event, target, now)
        case _:
            text = _of_deployment(event) or of_success(event)
    return Phrase(about=target.id, text=text, below=below, urgent=_is_urgent(event)) if text else None


def _of_deployment(event: ev.TargetEvent) -> str:
    match event:
        case ev.DeploymentStarted():
            return f"{event.deployment_id} {'found again' if event.adopted else 'started'}"
        case ev.DeploymentProgressed():
            return "" if event.status in _TOLD_ANYWAY else _progress(event)
        case ev.DeploymentEnded():
            error = _joined(event.error_code, event.error_message)
            # without an error, the end of the target says it all
            return f"{event.deployment_id} {one_line(event.status)}: {error}" if error else ""
        case ev.RollbackStarted():
            who = "rolling back" if event.of_release else "CodeDeploy rolls back"
            return f"{who}: {_joined(event.rollback_deployment_id, event.message)}"
        case ev.RollbackEnded():
            return f"rollback {_joined(f'{event.rollback_deployment_id} {event.status}', event.error_message)}"
        case _:
            return ""


def _progress(event: ev.DeploymentProgressed) -> str:
    done = progress(event.overview)
    return f"{event.deployment_id} {one_line(event.status)}" + (f", {done} instances" if done else "")


def _finished(event: ev.TargetFinished, target: TargetRun, now: float) -> str:
    took = how_long(target, now)
    reason = why(target)
    if event.blocked_by and event.reason:
        reason = f"{reason} (blocked by {listing(event.blocked_by, 3)})"
    return _joined(f"{event.state} after {took}" if took else str(event.state), reason)


def _is_urgent(event: ev.TargetEvent) -> bool:
    if isinstance(event, ev.TargetFinished):
        return not event.state.is_good and event.state not in _QUIET_ENDS
    return isinstance(event, _URGENT)


def _joined(*parts: str | None) -> str:
    return ": ".join(one_line(part) for part in parts if part)
