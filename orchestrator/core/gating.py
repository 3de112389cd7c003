"""Holds a target, or the run, at its gates until they have passed or one has failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Literal

import anyio

from orchestrator.core import gate_events as gev
from orchestrator.core.approvals import Approvals
from orchestrator.core.calling_off import cancel_after
from orchestrator.core.controls import GateSpec
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.gate_state import GateRun
from orchestrator.core.measuring import Measurement, Row
from orchestrator.core.model import Location
from orchestrator.core.ports import Gates
from orchestrator.core.recorder import Recorder

IN_TIME = 60.0
"""Seconds by which a measurement may be late and still belong to its row."""

AT_ONCE = ("after",)
"""Phases in which people are asked while measurements go on; elsewhere people first, so that what is measured is
fresh when the target goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where gates stand."""

    target: str | None
    """None: they are the run's own."""
    phase: str
    location: Location | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    hold_until: float = 0.0
    """Epoch seconds until which a bake goes on."""


@dataclass(frozen=True, slots=True)
class _Sleep:
    """What waits for its next moment."""

    wakes: float
    """Epoch seconds."""
    row: Row = field(default_factory=Row)
    held_until: float | None = None
    """Of a gate in a bake: it can't pass before."""

    @property
    def is_calm(self) -> bool:
        """There is nothing to remember: a gate in a bake that is good, or hasn't said anything yet."""
        return self.row.bad == 0 and (self.held_until is not None or self.row.good == 0)

    def until(self, late: float) -> float:
        if self.held_until is None or not self.is_calm:
            return self.wakes
        return max(self.wakes, min(self.held_until, self.wakes + late))


@dataclass(frozen=True, slots=True)
class Held:
    """How it went."""

    outcome: Literal["passed", "failed", "interrupted"]
    reason: str = ""


PASSED = Held("passed")
INTERRUPTED = Held("interrupted")


class Gating:
    """One for a run."""

    def __init__(self, recorder: Recorder, gates: Gates, approvals: Approvals) -> None:
        self._recorder = recorder
        self._gates = gates
        self._approvals = approvals
        self._busy: Counter[str | None] = Counter()
        """Measurements and bakes that go on, by their targets."""
        self._asleep: dict[str | None, dict[tuple[str, str], _Sleep]] = {}
        """Those of them that wait for their next moment, by target, then phase and gate (a bake has no gate's name)."""

    def waits_for_people(self) -> dict[str | None, list[str]]:
        """Targets (None: the run) that only approvals hold, with the names of those."""
        return {target: gates for target, gates in self._approvals.waiting().items() if not self._busy[target]}

    def begun(self) -> set[str | None]:
        """The targets (None: the run) that stand at a gate, or bake."""
        return {target for target, count in self._busy.items() if count > 0} | set(self._approvals.waiting())

    def sleeps_until(self, target: str | None, late: float) -> float | None:
        """Epoch seconds until which nothing of it has to be done; None: something is being asked just now.

        `late`: seconds that a gate in a bake may be left alone for, as long as it's good.
        """
        asleep = self._asleep.get(target, {})
        if len(asleep) < self._busy[target]:
            return None
        return min((sleep.until(late) for sleep in asleep.values()), default=inf)

    def record_rows(self) -> None:
        """What the next process has to know of measurements that have begun to tell something."""
        found = [(target, *key, sleep) for target, each in self._asleep.items() for key, sleep in each.items()]
        for target, phase, gate, sleep in found:
            if gate and not sleep.is_calm:
                self._recorder.record(
                    gev.GatePaused(
                        gate=gate,
                        target=target,
                        phase=phase,
                        good=sleep.row.good,
                        bad=sleep.row.bad,
                        next_at=sleep.wakes,
                    )
                )

    async def pass_all(self, place: Place, gates: Sequence[GateSpec], *, over: anyio.Event) -> Held:
        """Returns when all have passed, the first has failed, or `over` was set. Raises `StateError` only."""
        waves = [gates]
        if place.phase not in AT_ONCE:
            waves = [[gate for gate in gates if gate.is_approval == people] for people in (True, False)]
        for wave in waves:
            if not wave and place.hold_until <= self._recorder.clock():
                continue
            held = INTERRUPTED if over.is_set() else await self._pass_together(place, wave, over)
            if held.outcome != "passed":
                return held
        return PASSED

    async def _pass_together(self, place: Place, gates: Sequence[GateSpec], over: anyio.Event) -> Held:
        failed: list[str] = []
        is_done = False
        async with anyio.create_task_group() as all_of_it:
            all_of_it.start_soon(cancel_after, over, all_of_it.cancel_scope)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._hold, place)
                for gate in gates:
                    tasks.start_soon(self._pass, place, gate, failed, tasks.cancel_scope)
            is_done = True
            all_of_it.cancel_scope.cancel()
        if failed:
            return Held("failed", failed[0])
        return PASSED if is_done else INTERRUPTED

    async def _hold(self, place: Place) -> None:
        seconds = place.hold_until - self._recorder.clock()
        if seconds > 0:
            with _counted(self._busy, place.target), self._sleeping(place, "", _Sleep(place.hold_until)):
                await anyio.sleep(seconds)

    async def _pass(self, place: Place, spec: GateSpec, failed: list[str], others: anyio.CancelScope) -> None:
        gate = self._begin(place, spec)
        if gate.passed is None:
            if spec.is_approval:
                passed, reason = await self._approvals.wait(gate)
            else:
                with _counted(self._busy, place.target):
                    passed, reason = await self._measure(place, spec, gate)
            kind = gev.GatePassed if passed else gev.GateFailed
            self._recorder.record(kind(gate=spec.name, target=place.target, phase=place.phase, reason=reason))
        if gate.passed is False:
            failed.append(f"gate {spec.name}: {gate.reason}")
            others.cancel()

    def _begin(self, place: Place, spec: GateSpec) -> GateRun:
        """Where it stands already, or from here on."""
        gates = self._recorder.state.gates.gates
        key = (place.target, place.phase, spec.name)
        if key not in gates:
            self._recorder.record(
                gev.GateWaiting(
                    gate=spec.name,
                    target=place.target,
                    phase=place.phase,
                    kind=spec.kind,
                    timeout=spec.timeout,
                    held=max(0.0, place.hold_until - self._recorder.clock()),
                    message=spec.settings.get("message"),
                )
            )
        return gates[key]

    # --- measuring ---------------------------------------------------------------------------------------------------

    async def _measure(self, place: Place, spec: GateSpec, gate: GateRun) -> tuple[bool, str]:
        """Whether it passed, and why. A row starts anew in a resumed run, unless the next look was only due now."""
        row, pause = _row_of(gate, spec, self._recorder.clock())
        if pause > 0:
            with self._sleeping(place, spec.name, _Sleep(self._recorder.clock() + pause, row)):
                await anyio.sleep(pause)
        while True:
            row = row.after(await self._ask(place, spec, gate))
            assert row.last is not None  # noqa: S101 - it was measured just now
            self._tell(place, spec, gate, row.last)
            now = self._recorder.clock()
            is_late = gate.deadline is not None and now >= gate.deadline
            match row.decide(spec, held=now < place.hold_until, is_late=is_late):
                case "passed":
                    return True, row.last.reason
                case "failed":
                    return False, row.why_failed(spec, waited=gate.timeout or 0.0)
                case "pending":
                    pause = _pause(place, spec, gate, now)
                    held = place.hold_until if now < place.hold_until else None
                    with self._sleeping(place, spec.name, _Sleep(now + pause, row, held_until=held)):
                        await anyio.sleep(pause)

    @contextmanager
    def _sleeping(self, place: Place, gate: str, sleep: _Sleep) -> Iterator[None]:
        mine, key = self._asleep.setdefault(place.target, {}), (place.phase, gate)
        mine[key] = sleep
        try:
            yield
        finally:
            mine.pop(key, None)

    async def _ask(self, place: Place, spec: GateSpec, gate: GateRun) -> Measurement:
        """At most as long as the gate has; what goes wrong with the asking decides nothing."""
        limit = spec.limit
        if gate.deadline is not None:
            limit = max(1.0, min(limit, gate.deadline - self._recorder.clock()))
        try:
            with anyio.fail_after(limit):
                return await self._gates.measure(spec, place.location, place.facts)
        except TimeoutError:
            return Measurement("unknown", f"no answer within {limit:.0f} s")
        except (OrchestratorError, OSError) as error:
            return Measurement("unknown", str(error))

    def _tell(self, place: Place, spec: GateSpec, gate: GateRun, found: Measurement) -> None:
        if gate.verdict == found.verdict and (found.verdict == "good" or gate.reason == found.reason):
            return  # what is good for another reason is still good
        self._recorder.record(
            gev.GateMeasured(
                gate=spec.name, target=place.target, phase=place.phase, verdict=found.verdict, reason=found.reason
            )
        )


@contextmanager
def _counted(counter: Counter[str | None], key: str | None) -> Iterator[None]:
    counter[key] += 1
    try:
        yield
    finally:
        counter[key] -= 1


def _row_of(gate: GateRun, spec: GateSpec, now: float) -> tuple[Row, float]:
    """The row to go on with, and the seconds until its next measurement: what an earlier process has left in time."""
    left = gate.paused
    if left is None or now > left.next_at + max(IN_TIME, spec.interval):
        return Row(), 0.0
    return Row(left.good, left.bad), max(0.0, left.next_at - now)


def _pause(place: Place, spec: GateSpec, gate: GateRun, now: float) -> float:
    """To the next measurement: its interval, or a moment that decides."""
    moments = [moment for moment in (place.hold_until, gate.deadline) if moment is not None and moment > now]
    return min([spec.interval, *(moment - now for moment in moments)])
