"""A deployment's whole course, worked out when it is created: what is the case at a moment is then only looked up.

No task and no timer stands behind a deployment. A stop is a new schedule made from the old one.
Times are epoch seconds; `inf` is never.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from orchestrator.sandbox.health import Health

NEVER = float("inf")

EVENTS = (
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
)
EVENTS_WITH_LOAD_BALANCER = (
    "BeforeBlockTraffic",
    "BlockTraffic",
    "AfterBlockTraffic",
    *EVENTS,
    "BeforeAllowTraffic",
    "AllowTraffic",
    "AfterAllowTraffic",
)

End = Literal["Succeeded", "Failed", "Skipped"]
Status = Literal["Created", "Queued", "InProgress", "Succeeded", "Failed", "Stopped"]

TOO_FEW_HEALTHY = (
    "The overall deployment failed because too many individual instances failed deployment, too few healthy "
    "instances are available for deployment, or some instances in your deployment group are experiencing problems."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnostics:
    """Why an event failed, as GetDeploymentTarget shows it."""

    error_code: str
    script: str
    message: str
    log_tail: str


SUCCESS = Diagnostics(error_code="Success", script="", message="Succeeded", log_tail="")


@dataclass(frozen=True, slots=True)
class Step:
    """One lifecycle event on one instance."""

    name: str
    start: float
    """NEVER for one that is skipped."""
    end: float
    outcome: End
    diagnostics: Diagnostics | None = None

    def status(self, now: float) -> str:
        if now >= self.end:
            return self.outcome
        return "InProgress" if now >= self.start else "Pending"


@dataclass(frozen=True, slots=True)
class Track:
    """One instance's part of a deployment."""

    instance: str
    steps: tuple[Step, ...]
    start: float
    end: float
    outcome: End

    def status(self, now: float) -> str:
        if now >= self.end:
            return self.outcome
        return "InProgress" if now >= self.start else "Pending"


@dataclass(frozen=True, slots=True)
class Schedule:
    """All of it. `outcome` counts from `ended` on."""

    created: float
    queued: float
    started: float
    ended: float
    outcome: Literal["Succeeded", "Failed", "Stopped"]
    tracks: tuple[Track, ...]
    error: tuple[str, str] | None = None
    """Code and message."""
    moments: tuple[float, ...] = field(init=False)
    """When anything changes that GetDeployment shows, in order."""

    def __post_init__(self) -> None:
        changes = {self.created, self.queued, self.started, self.ended}
        for track in self.tracks:
            changes.update((track.start, track.end))
        object.__setattr__(self, "moments", tuple(sorted(changes - {NEVER})))

    def moment(self, now: float) -> int:
        """The same number, the same answer of GetDeployment."""
        return bisect_right(self.moments, now)

    def status(self, now: float) -> Status:
        if now >= self.ended:
            return self.outcome
        if now >= self.started:
            return "InProgress"
        return "Queued" if now >= self.queued else "Created"

    def overview(self, now: float) -> dict[str, int]:
        counts = Counter(track.status(now) for track in self.tracks)
        return {name: counts[name] for name in ("Pending", "InProgress", "Succeeded", "Failed", "Skipped", "Ready")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What a schedule is made from."""

    created: float
    lead: float
    """Seconds in Created and in Queued, each."""
    instances: Sequence[str]
    """In the order in which they are deployed to."""
    events: Sequence[str]
    health: Health
    seconds: Callable[[str, int], float]
    """How long the event of that index takes on that instance."""
    failure: Callable[[str, str], Diagnostics | None]
    """What makes that instance fail at that event, if anything does."""


def build(course: Course) -> Schedule:
    """Instance after instance, as many at once as the minimum of healthy ones allows."""
    queued = course.created + course.lead
    started = queued + course.lead
    if not course.health.is_possible:
        return _refused(
            course, "HEALTH_CONSTRAINTS_INVALID", "The minimum of healthy instances leaves none to deploy to."
        )
    tracks: dict[str, Track] = {}
    flying: list[tuple[float, int]] = []
    untried = list(enumerate(course.instances))[::-1]
    now, failed = started, 0
    while flying or untried:
        while untried and len(flying) < course.health.slots(failed):
            number, instance = untried.pop()
            track = tracks[instance] = _track(course, instance, now)
            heapq.heappush(flying, (track.end, number))
        if not flying:
            break  # too many failed: nothing more may start
        now, number = heapq.heappop(flying)
        failed += tracks[course.instances[number]].outcome == "Failed"
    for _, instance in untried:
        tracks[instance] = _untouched(course.events, instance, now)
    is_success = not untried and course.health.is_success(failed)
    return Schedule(
        created=course.created,
        queued=queued,
        started=started,
        ended=now,
        outcome="Succeeded" if is_success else "Failed",
        tracks=tuple(tracks[instance] for instance in course.instances),
        error=None if is_success else ("HEALTH_CONSTRAINTS", TOO_FEW_HEALTHY),
    )


def refused(created: float, code: str, message: str) -> Schedule:
    """A deployment that fails before it touches an instance."""
    return Schedule(created, created, created, created, "Failed", (), (code, message))


def succeeded(created: float) -> Schedule:
    """A deployment that finds nothing to do."""
    return Schedule(created, created, created, created, "Succeeded", ())


def stop(schedule: Schedule, now: float, drain: float, *, code: str, message: str) -> Schedule:
    """The same up to `now`. Running events have `drain` seconds to end, and count as failed; nothing else starts."""
    is_running = any(track.start <= now < track.end for track in schedule.tracks)
    ended = now + drain if is_running else now
    return Schedule(
        created=schedule.created,
        queued=min(schedule.queued, ended),
        started=min(schedule.started, ended),
        ended=ended,
        outcome="Stopped",
        tracks=tuple(_stop_track(track, now, ended) for track in schedule.tracks),
        error=(code, message),
    )


def _refused(course: Course, code: str, message: str) -> Schedule:
    at = course.created + 2 * course.lead
    tracks = tuple(_untouched(course.events, instance, at) for instance in course.instances)
    return Schedule(course.created, course.created + course.lead, at, at, "Failed", tracks, (code, message))


def _track(course: Course, instance: str, start: float) -> Track:
    steps: list[Step] = []
    at = start
    outcome: End = "Succeeded"
    for index, event in enumerate(course.events):
        if outcome == "Failed":
            steps.append(Step(event, NEVER, at, "Skipped"))
            continue
        end = at + course.seconds(instance, index)
        diagnostics = course.failure(instance, event)
        outcome = "Failed" if diagnostics else "Succeeded"
        steps.append(Step(event, at, end, outcome, diagnostics or SUCCESS))
        at = end
    return Track(instance, tuple(steps), start, at, outcome)


def _untouched(events: Sequence[str], instance: str, end: float) -> Track:
    return Track(instance, tuple(Step(event, NEVER, end, "Skipped") for event in events), NEVER, end, "Skipped")


def _stop_track(track: Track, now: float, ended: float) -> Track:
    if track.end <= now:
        return track
    steps = tuple(_stop_step(step, now, ended) for step in track.steps)
    if track.start <= now:
        return replace(track, steps=steps, end=ended, outcome="Failed")
    return replace(track, steps=steps, start=NEVER, end=ended, outcome="Skipped")


def _stop_step(step: Step, now: float, ended: float) -> Step:
    if step.end <= now:
        return step
    if step.start <= now:
        stopped = Diagnostics(
            error_code="UnknownError",
            script="",
            message="The deployment was stopped before the event ended.",
            log_tail="",
        )
        return Step(step.name, step.start, ended, "Failed", stopped)
    return Step(step.name, NEVER, ended, "Skipped")
