"""The course of deployments, event by event: plain data with due moments, no task and no timer.

Time passes by looking: `advance` does all that was due until now, in the order of its moments, as if somebody had been
there. What is to come stands in each deployment's queue, which can be made anew from the rest (`queue_of`); so a
deployment can be put away and gone on with later, and what an executor runs outside reports when it has ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Literal

from orchestrator.sandbox import rollout
from orchestrator.sandbox.alarms import Alarms, alarm_message
from orchestrator.sandbox.casting import Casting, Refusal
from orchestrator.sandbox.course import Course
from orchestrator.sandbox.deployments import Deployment
from orchestrator.sandbox.lifecycle import ECS_EVENTS, NEVER, SUCCESS, Diagnostics, broken
from orchestrator.sandbox.rollout import ImpossibleHealthError
from orchestrator.sandbox.stages import (
    ALARM,
    DEADLINE,
    DEPLOYMENT,
    IMPOSSIBLE,
    STAGES,
    Stage,
    close,
    failure_of,
    label_of,
    queue_of,
    until_of,
)

HookError = Literal["unknown", "over"]

_TOO_LONG = "The deployment has taken longer than a deployment may."
_STOPPED = broken("The deployment was stopped before the event ended.")
_CUT_OFF = broken("The deployment ended before the event did.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """An event that an executor is to run."""

    deployment: Deployment
    number: int
    """Of the track."""
    at: int
    """The index of the event."""


class Engine:
    """Of one account and region."""

    def __init__(self, course: Course, casting: Casting, alarms: Alarms) -> None:
        self._course = course
        self._casting = casting
        self._alarms = alarms
        self._jobs: list[Job] = []

    def take_jobs(self) -> list[Job]:
        """The events that an executor has to take up since this was last asked."""
        jobs, self._jobs = self._jobs, []
        return jobs

    # --- from outside

    def enter(self, deployment: Deployment) -> None:
        """A new one."""
        self._wait(deployment, deployment.created + self._course.lead)

    def advance(self, deployment: Deployment, now: float) -> bool:
        """Does all that is due until `now`. Whether there was anything."""
        queue, version = deployment.queue, deployment.version
        while queue and queue[0][0] <= now:
            at, number = heappop(queue)
            if number >= 0:
                if deployment.tracks[number].due == at:
                    self._event_over(deployment, number, at)
            elif number == DEPLOYMENT and deployment.due == at:
                deployment.due = NEVER
                self._go_on(deployment, at)
            elif number == DEADLINE and deployment.deadline == at:
                self._out_of_time(deployment, at)
            elif number == ALARM and deployment.alarm_due == at:
                deployment.alarm_due = NEVER
                self.stop(deployment, at, "ALARM_ACTIVE", alarm_message(deployment.alarm))
        return deployment.version != version

    def stop(self, deployment: Deployment, now: float, code: str, message: str, *, drains: bool = True) -> None:
        """Nothing else starts. Running events have a moment to end, and count as failed."""
        if deployment.stopping is not None or deployment.ended is not None:
            return
        deployment.version += 1
        deployment.stopping = (code, message)
        is_running = any(track.status == "InProgress" for track in deployment.tracks)
        for track in deployment.tracks:
            track.due = NEVER
        self._wait(deployment, now + self._course.drain if is_running and drains else now)

    def go_on(self, deployment: Deployment, now: float) -> None:
        """Ends the wait in Ready, or the one before the originals are terminated."""
        deployment.version += 1
        deployment.due = NEVER
        self._next_stage(deployment, now)

    def is_waiting(self, deployment: Deployment, stage: Literal["ready", "terminate"]) -> bool:
        """Whether `go_on` has something to end."""
        stages = STAGES[deployment.kind]
        return (
            deployment.ended is None
            and deployment.stopping is None
            and 0 <= deployment.stage < len(stages)
            and stages[deployment.stage] == stage
        )

    def report(self, deployment: Deployment, number: int, at: int, outcome: Diagnostics | None, now: float) -> None:
        """How an event ended that runs outside, not before its due. Too late a report changes nothing."""
        track = deployment.tracks[number]
        if deployment.ended is None and deployment.stopping is None and track.at == at and track.is_external:
            track.is_external = False
            track.outcome = outcome
            self._end_at(deployment, number, max(now, track.earliest))

    def report_hook(self, deployment: Deployment, hook: str, now: float, *, is_success: bool) -> HookError | None:
        """What a function says that is the hook of an event."""
        for number, track in enumerate(deployment.tracks):
            if hook and track.hook == hook and track.status == "InProgress" and deployment.stopping is None:
                track.outcome = None if is_success else self._course.hook_failed
                self._end_at(deployment, number, now)
                return None
        is_known = any(self._course.hook_of(deployment, at) == hook for at in range(len(ECS_EVENTS)))
        return "over" if is_known else "unknown"

    def resume(self, deployment: Deployment, now: float) -> None:
        """One that was put away: what ran outside begins again, as nobody knows how far it got."""
        deployment.queue = queue_of(deployment)
        for number, track in enumerate(deployment.tracks):
            if track.is_external:
                self._begin(deployment, number, now)

    def lose(self, deployment: Deployment, number: int, now: float) -> None:
        """The instance goes away in the middle of a deployment: what its agent was doing stays unfinished."""
        track = deployment.tracks[number]
        if track.status == "InProgress" and deployment.stopping is None and track.steps[track.at].start is not None:
            track.is_external = False
            track.outcome = self._course.lost
            self._end_at(deployment, number, now + self._course.lost_after)

    def find(self, deployment: Deployment, number: int, now: float) -> None:
        """The instance is back: a command that waits is begun; one that was lost in the middle has failed."""
        track = deployment.tracks[number]
        if track.status != "InProgress" or deployment.stopping is not None:
            return
        if track.steps[track.at].start is None:
            self._begin(deployment, number, now)
        elif track.outcome == self._course.lost:
            track.outcome = self._course.restarted
            self._end_at(deployment, number, now)

    # --- stages

    def _go_on(self, deployment: Deployment, at: float) -> None:
        """What comes when nothing but the deployment itself was waited for."""
        deployment.version += 1
        stages = STAGES[deployment.kind]
        if deployment.stopping is not None:
            self._end(deployment, at, "Stopped", deployment.stopping, _STOPPED)
        elif deployment.status == "Created":
            deployment.status = "Queued"
            self._wait(deployment, at + self._course.lead)
        elif deployment.status == "Queued":
            self._start(deployment, at)
        elif deployment.wave is not None:
            self._fill(deployment, at)  # the next zone
        elif stages[deployment.stage] == "ready":
            message = "The deployment waited for its traffic to be rerouted for as long as it was to."
            self._end(deployment, at, "Stopped", ("TIMEOUT", message), _STOPPED)
        else:
            self._next_stage(deployment, at)

    def _start(self, deployment: Deployment, at: float) -> None:
        deployment.status, deployment.started = "InProgress", at
        try:
            deployment.tracks = self._casting.cast(deployment)
        except Refusal as refusal:
            self._end(deployment, at, "Failed", (refusal.code, refusal.message))
            return
        deployment.deadline = at + self._course.longest(deployment)
        deployment.alarm, after = self._course.alarm(deployment)
        deployment.alarm_due = at + after
        for due, number in ((deployment.deadline, DEADLINE), (deployment.alarm_due, ALARM)):
            if due < NEVER:
                heappush(deployment.queue, (due, number))
        if (message := self._alarms.against(deployment)) is not None:
            self._end(deployment, at, "Stopped", ("ALARM_ACTIVE", message))
            return
        self._next_stage(deployment, at)

    def _next_stage(self, deployment: Deployment, at: float) -> None:
        deployment.stage += 1
        deployment.status = "InProgress"
        stages = STAGES[deployment.kind]
        if deployment.stage >= len(stages):
            self._end(deployment, at, "Succeeded", None)
            return
        match stages[deployment.stage]:
            case "provision":
                self._wait(deployment, at + self._course.provision(deployment))
            case "ready":
                self._ready(deployment, at)
            case "terminate":
                wait = self._course.termination_wait(deployment)
                deployment.has_termination_started = wait is not None
                self._wait(deployment, at + (wait or 0.0))
            case "deploy" | "install" | "reroute" | "block" as stage:
                self._roll(deployment, at, stage)

    def _ready(self, deployment: Deployment, at: float) -> None:
        """Reroutes at once, or waits for ContinueDeployment."""
        wait = self._course.ready_wait(deployment)
        if wait is None:
            self._next_stage(deployment, at)
            return
        deployment.status = "Ready"
        self._wait(deployment, at + wait)

    def _roll(self, deployment: Deployment, at: float, stage: Stage) -> None:
        tracks = deployment.tracks
        label = label_of(deployment, stage)
        numbers = [n for n, track in enumerate(tracks) if track.label == label and track.status != "Failed"]
        if not numbers:
            self._next_stage(deployment, at)  # nothing is outdated, or there are no originals
            return
        for number in numbers:
            track = tracks[number]
            track.until = until_of(deployment, stage, len(track.steps))
        try:
            deployment.wave = self._wave(deployment, numbers, stage)
        except ImpossibleHealthError:
            self._end(deployment, at, "Failed", ("HEALTH_CONSTRAINTS_INVALID", IMPOSSIBLE))
            return
        self._fill(deployment, at)

    def _wave(self, deployment: Deployment, numbers: list[int], stage: Stage) -> rollout.Wave:
        is_first = deployment.is_server and stage in ("deploy", "install")
        if not is_first:
            is_strict = stage == "block"
            return rollout.later_wave(numbers, deployment.tracks, deployment.rule, is_strict=is_strict)
        return rollout.wave(
            numbers,
            deployment.tracks,
            deployment.rule,
            total=deployment.fleet,
            zonal=deployment.zonal,
            healthy_elsewhere=deployment.healthy_elsewhere,
        )

    # --- instances, as many at once as may be

    def _fill(self, deployment: Deployment, at: float) -> None:
        """Starts what may start; when nothing runs any more, goes on to the next zone or stage."""
        wave = deployment.wave
        if wave is None:
            return
        while (number := wave.next(deployment.tracks)) is not None:
            deployment.tracks[number].status = "InProgress"
            self._begin(deployment, number, at)
        if wave.flying:
            return
        if not wave.zones[0].untried and len(wave.zones) > 1 and not wave.is_broken:
            self._next_zone(deployment, wave, at)
            return
        deployment.wave = None
        if wave.zones[0].untried or not wave.is_success:
            self._end(deployment, at, "Failed", failure_of(deployment))
            return
        self._next_stage(deployment, at)

    def _next_zone(self, deployment: Deployment, wave: rollout.Wave, at: float) -> None:
        seconds = wave.monitor if wave.is_past_first else wave.first_monitor
        wave.is_past_first = True
        wave.zones.pop(0)
        self._wait(deployment, at + self._course.scaled(seconds))

    def _begin(self, deployment: Deployment, number: int, at: float) -> None:
        track = deployment.tracks[number]
        step = track.steps[track.at]
        fate = self._course.fate(deployment, track, step.name)
        deployment.version += 1
        track.updated, track.outcome, track.hook = at, fate.outcome, fate.hook
        track.is_external, track.earliest = fate.is_external, at + fate.seconds
        if fate.begins:
            step.status, step.start = "InProgress", at
        if fate.is_external:
            track.due = NEVER
            self._jobs.append(Job(deployment=deployment, number=number, at=track.at))
        else:
            self._end_at(deployment, number, at + fate.seconds)

    def _event_over(self, deployment: Deployment, number: int, at: float) -> None:
        track = deployment.tracks[number]
        track.due, track.updated, track.hook = NEVER, at, ""
        step, outcome = track.steps[track.at], track.outcome
        step.end, step.diagnostics = at, outcome or SUCCESS
        step.status = "Succeeded" if outcome is None else "Failed"
        deployment.version += 1
        track.at += 1
        if outcome is None and track.at < track.until:
            self._begin(deployment, number, at)
            return
        if outcome is not None:
            track.status = "Failed"
            track.skip_rest()
        else:
            track.status = "Succeeded" if track.at == len(track.steps) else "Ready"
        if deployment.wave is not None:
            deployment.wave.landed(track, is_success=outcome is None)
        self._fill(deployment, at)

    # --- ends

    def _out_of_time(self, deployment: Deployment, at: float) -> None:
        deployment.deadline = NEVER
        is_stuck = any(track.status == "InProgress" and track.due == NEVER for track in deployment.tracks)
        if not is_stuck:  # what a fault holds on to for ever is held on to
            self._end(deployment, at, "Failed", ("TIMEOUT", _TOO_LONG), _CUT_OFF)

    def _end(
        self,
        deployment: Deployment,
        at: float,
        status: Literal["Succeeded", "Failed", "Stopped"],
        error: tuple[str, str] | None,
        cut_off: Diagnostics = _CUT_OFF,
    ) -> None:
        deployment.version += 1
        deployment.status, deployment.error, deployment.ended = status, error, at
        deployment.wave = None
        deployment.due = deployment.deadline = deployment.alarm_due = NEVER
        deployment.queue.clear()
        for track in deployment.tracks:
            close(track, at, cut_off)

    # --- the queue

    def _wait(self, deployment: Deployment, until: float) -> None:
        deployment.due = until
        if until < NEVER:
            heappush(deployment.queue, (until, DEPLOYMENT))

    def _end_at(self, deployment: Deployment, number: int, due: float) -> None:
        deployment.tracks[number].due = due
        if due < NEVER:
            heappush(deployment.queue, (due, number))
