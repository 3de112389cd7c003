"""Notifications beside a run: what is told when, and that no receiver is in its way. Virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import anyio
import pytest
from conftest import Virtual

from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core import notification_events as nev
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.notification_specs import MOMENTS, Moment, NotificationSpec, specs_to_list
from orchestrator.core.notifications import NotDeliveredError, Notice, Told
from orchestrator.core.notifying import ATTEMPTS, HURRIED, LAST, Notifier
from orchestrator.core.recorder import Recorder
from orchestrator.core.state import RunState, fold
from orchestrator.testing import EPOCH, MemoryJournal

WEB, API = "web/g", "api/g"


@dataclass
class Scripted:
    """A receiver that takes `takes` seconds, and answers with its faults first."""

    keeps_up: bool = False
    interval: float = 0.0
    takes: float = 0.01
    faults: list[NotDeliveredError] = field(default_factory=list)
    told: list[tuple[Moment | None, str]] = field(default_factory=list)
    """What was delivered, with the run's outcome at that time."""
    tries: list[float] = field(default_factory=list)

    async def tell(
        self, notice: Notice, state: RunState, told: Told, opened: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self.tries.append(anyio.current_time())
        await anyio.sleep(self.takes)
        if self.faults:
            raise self.faults.pop(0)
        self.told.append((notice.moment, str(state.outcome)))
        if told.handle is None:
            opened({"id": len(self.tries)})

    @property
    def moments(self) -> list[Moment | None]:
        return [moment for moment, _ in self.told]


class Run:
    """A run of two targets whose events the test gives."""

    def __init__(self, *receivers: Scripted | str, events: Sequence[Moment] = MOMENTS) -> None:
        self.journal = MemoryJournal()
        self.receivers = receivers
        self.specs = tuple(
            NotificationSpec(name=f"n{number}", kind="webhook", events=tuple(events))
            for number in range(len(receivers))
        )
        self.recorder = self._recorder(RunState())
        self.recorder.record(self.started())

    def started(self) -> ev.RunStarted:
        targets = ({"id": WEB, "application": "web", "deployment_group": "g"}, {"id": API, "application": "api"})
        return ev.RunStarted(
            release="shop",
            environment="prod",
            manifest="m",
            manifest_digest="",
            targets=tuple({"deployment_group": "g", **each} for each in targets),
            policy={},
            concurrency={},
            version="0",
            host="h",
            pid=1,
            notifications=tuple(specs_to_list(self.specs)),
        )

    def _recorder(self, state: RunState) -> Recorder:
        return Recorder(run="r1", state=state, journal=self.journal, sinks=(), clock=lambda: EPOCH)

    def looked_in_on(self) -> None:
        """As another process does, from the journal alone."""
        self.recorder = self._recorder(fold(self.journal.records))

    def resumed(self) -> None:
        """As another process goes on."""
        self.looked_in_on()
        self.recorder.record(ev.RunResumed(version="0", host="h", pid=2))

    @property
    def state(self) -> RunState:
        return self.recorder.state

    def end(self, outcome: Outcome = Outcome.SUCCEEDED) -> None:
        self.recorder.record(ev.RunFinished(outcome=outcome, exit_code=0))

    def fail(self, target: str = WEB) -> None:
        self.recorder.record(ev.TargetFinished(target=target, state=TargetState.FAILED, reason="broken"))

    async def attend(self, *steps: Callable[[], None] | float, limit: float = LAST, died: bool = False) -> None:
        """Records and sleeps in turn while notifications are sent, and then sends the last of them."""
        notifier = Notifier(self.recorder, list(zip(self.specs, self.receivers, strict=True)))
        async with anyio.create_task_group() as beside:
            notifier.begin()
            beside.start_soon(notifier.run)
            for step in steps:
                if isinstance(step, float):
                    await anyio.sleep(step)
                else:
                    step()
            await notifier.finish(limit, died=died)
            beside.cancel_scope.cancel()

    def events(self, *kinds: type[ev.Event]) -> list[ev.Event]:
        return [record.event for record in self.journal.records if isinstance(record.event, kinds)]


def test_each_event_is_told_once_and_in_order(virtual: Virtual[None]) -> None:
    receiver = Scripted()
    run = Run(receiver)
    virtual(run.attend(1.0, run.fail, 1.0, lambda: run.end(Outcome.FAILED)))
    assert receiver.told == [("started", "running"), ("failed", "running"), ("finished", "failed")]
    assert run.events(nev.NotificationOpened) == [nev.NotificationOpened(notification="n0", handle={"id": 1})]
    assert run.events(nev.NotificationClosed) == [nev.NotificationClosed(notification="n0", outcome="failed")]
    assert run.state.notifications.unclosed(run.state) == ()


def test_what_comes_while_it_is_told_is_told_together(virtual: Virtual[None]) -> None:
    receiver = Scripted(takes=3.0)
    run = Run(receiver)
    virtual(run.attend(0.5, run.fail, 0.5, lambda: run.fail(API), 9.0, run.end))
    assert receiver.moments == ["started", "failed", "finished"]


def test_a_message_that_is_kept_up_follows_progress_but_not_too_often(virtual: Virtual[None]) -> None:
    receiver = Scripted(keeps_up=True, interval=2.0)
    run = Run(receiver)
    ready = lambda: run.recorder.record(ev.TargetReady(target=WEB, waited=0.0))  # noqa: E731 - a step
    steps: list[Callable[[], None] | float] = [step for _ in range(100) for step in (ready, 0.1)]
    virtual(run.attend(0.1, *steps, run.end))
    assert receiver.moments[0] == "started"
    assert receiver.moments[-1] == "finished"
    assert 5 <= len(receiver.told) <= 7  # ten seconds, two for each


def test_only_what_was_asked_for_opens_it_and_then_its_end_is_told(virtual: Virtual[None]) -> None:
    receiver, kept = Scripted(), Scripted(keeps_up=True)
    run = Run(receiver, kept, events=["failed"])
    virtual(run.attend(1.0, run.fail, 1.0, lambda: run.end(Outcome.CANCELLED)))
    assert receiver.moments == ["failed", "finished"]
    assert kept.moments == ["failed", "finished"]


def test_failed_is_also_about_the_end_of_a_run(virtual: Virtual[None]) -> None:
    for outcome, told in ((Outcome.FAILED, ["finished"]), (Outcome.ROLLED_BACK, ["finished"]), (Outcome.SUCCEEDED, [])):
        receiver = Scripted()
        run = Run(receiver, events=["failed"])
        virtual(run.attend(1.0, lambda run=run, outcome=outcome: run.end(outcome)))  # type: ignore[misc]
        assert receiver.moments == told
        assert run.state.notifications.unclosed(run.state) == ()


def test_approvals_rollbacks_and_leaving_are_told(virtual: Virtual[None]) -> None:
    receiver = Scripted()
    run = Run(receiver)
    asked = gev.GateWaiting(gate="cab", target=WEB, phase="before", kind="approval")
    back = ev.ReleaseRollbackStarted(rollback_run="r2", targets=(WEB,))
    left = ev.RunDetached(reason="--for is over", running=("d-1",))
    virtual(
        run.attend(
            *(step for event in (asked, back, left) for step in (lambda event=event: run.recorder.record(event), 1.0))
        )
    )
    assert receiver.moments == ["started", "approval", "rollback", "waiting"]
    run.resumed()
    run.fail()
    run.end()
    assert set(run.state.notifications.moments) == set(MOMENTS)
    assert run.events(nev.NotificationClosed) == []


# --- receivers in trouble --------------------------------------------------------------------------------------------


def test_passing_faults_are_tried_again_ever_more_slowly(virtual: Virtual[None]) -> None:
    receiver = Scripted(takes=0.0, faults=[NotDeliveredError("HTTP 503") for _ in range(3)])
    run = Run(receiver)
    virtual(run.attend(30.0, run.end))
    assert [later - before for before, later in zip(receiver.tries[:3], receiver.tries[1:4], strict=True)] == [1, 2, 4]
    assert receiver.moments == ["started", "finished"]
    assert run.events(nev.NotificationFailed) == []


def test_a_receiver_is_left_alone_as_long_as_it_says(virtual: Virtual[None]) -> None:
    receiver = Scripted(takes=0.0, faults=[NotDeliveredError("HTTP 429", retry_after=77.0)])
    run = Run(receiver)
    virtual(run.attend(100.0, run.end))
    assert receiver.tries[1] - receiver.tries[0] == 77


def test_what_is_refused_for_good_is_not_tried_again_and_said_once(virtual: Virtual[None]) -> None:
    receiver = Scripted(faults=[NotDeliveredError("channel_not_found", final=True) for _ in range(3)])
    run = Run(receiver)
    virtual(run.attend(1.0, run.fail, 1.0, run.end))
    assert len(receiver.tries) == 3  # one for each event
    assert run.events(nev.NotificationFailed) == [nev.NotificationFailed(notification="n0", reason="channel_not_found")]
    assert run.state.notifications.unclosed(run.state) == run.specs


def test_attempts_are_bounded(virtual: Virtual[None]) -> None:
    receiver = Scripted(takes=0.0, faults=[NotDeliveredError("HTTP 500") for _ in range(100)])
    run = Run(receiver)
    virtual(run.attend(1000.0, died=True))
    assert len(receiver.tries) == 2 * ATTEMPTS  # the beginning, and that we leave before its end


@pytest.mark.parametrize("limit", [LAST, HURRIED])
def test_one_that_hangs_delays_neither_the_run_nor_the_others_nor_the_end(
    virtual: Virtual[tuple[float, float]], limit: float
) -> None:
    hung, good = Scripted(takes=1e6), Scripted()
    run = Run(hung, good)

    async def timed() -> tuple[float, float]:
        began = anyio.current_time()
        ends: list[float] = []
        await run.attend(5.0, run.fail, 5.0, run.end, lambda: ends.append(anyio.current_time()), limit=limit)
        return ends[0] - began, anyio.current_time() - began

    ended, left = virtual(timed())
    assert ended == 10.0
    assert left <= 10.0 + limit
    assert good.moments == ["started", "failed", "finished"]
    assert run.events(nev.NotificationFailed) == [
        nev.NotificationFailed(notification="n0", reason=f"not within the last {limit:.0f} s")
    ]


def test_who_is_told_that_it_is_enough_leaves_at_once(virtual: Virtual[float]) -> None:
    hung = Scripted(takes=1e6)
    run = Run(hung)
    run.end()

    async def hurried() -> float:
        notifier = Notifier(run.recorder, [(run.specs[0], hung)])
        notifier.begin()
        enough = anyio.Event()
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(notifier.finish, LAST)  # as if nobody had said so
            await anyio.sleep(1.0)
            tasks.cancel_scope.cancel()  # which doesn't reach it: it is shielded
        assert anyio.current_time() - began == LAST
        async with anyio.create_task_group() as tasks:
            began = anyio.current_time()
            await_enough = lambda: notifier.finish(LAST, enough=enough)  # noqa: E731 - started below
            tasks.start_soon(await_enough)
            await anyio.sleep(1.0)
            enough.set()
        return anyio.current_time() - began

    assert virtual(hurried()) == 1.0
    assert len(run.events(nev.NotificationFailed)) == 1
    assert run.journal.durable == len(run.journal.records)


def test_a_fault_of_ours_in_a_receiver_takes_nothing_with_it(virtual: Virtual[None]) -> None:
    class Broken(Scripted):
        async def tell(self, *_: Any) -> None:
            raise KeyError("a bug")

    run = Run(Broken())
    virtual(run.attend(1.0, run.end))
    assert run.events(nev.NotificationFailed) == [
        nev.NotificationFailed(notification="n0", reason="internal error: KeyError")
    ]


def test_one_without_its_secret_says_so(virtual: Virtual[None]) -> None:
    run = Run("SLACK_BOT_TOKEN is not set")
    virtual(run.attend(1.0, run.end))
    assert run.events(nev.NotificationFailed) == [
        nev.NotificationFailed(notification="n0", reason="SLACK_BOT_TOKEN is not set")
    ]


def test_a_journal_that_cannot_be_written_any_more_is_not_made_worse(virtual: Virtual[None]) -> None:
    receiver = Scripted()
    run = Run(receiver)

    def breaks() -> None:
        run.journal.broken = True

    virtual(run.attend(1.0, breaks, run.end))
    assert receiver.moments == ["started", "finished"]


# --- after a death ---------------------------------------------------------------------------------------------------


def test_a_resume_goes_on_with_the_same_message_and_closes_it(virtual: Virtual[None]) -> None:
    first, second = Scripted(keeps_up=True), Scripted(keeps_up=True)
    run = Run(first)
    virtual(run.attend(1.0, died=True))
    assert first.moments == ["started", "waiting"]
    run.resumed()
    run.receivers = (second,)
    virtual(run.attend(1.0, run.end))
    assert second.moments == ["resumed", "finished"]
    assert len(run.events(nev.NotificationOpened)) == 1
    assert run.events(nev.NotificationClosed) == [nev.NotificationClosed(notification="n0", outcome="succeeded")]


def test_what_has_ended_and_was_not_closed_is_closed_by_the_next_look(virtual: Virtual[None]) -> None:
    """The process died between the run's end and its last delivery."""
    run = Run(Scripted())
    virtual(run.attend(1.0))
    run.end()
    late = Scripted()
    run.looked_in_on()
    run.receivers = (late,)
    assert run.state.notifications.unclosed(run.state) == run.specs
    virtual(run.attend())
    assert late.moments == ["finished"]
    assert run.state.notifications.unclosed(run.state) == ()


def test_processes_that_only_look_in_on_a_run_tell_what_they_see_and_nothing_of_themselves(
    virtual: Virtual[None],
) -> None:
    """As the durable function's steps do: nothing of their coming and going is recorded."""
    each, kept = Scripted(), Scripted(keeps_up=True)
    run = Run(each, kept)
    virtual(run.attend(1.0))
    for happens in (lambda: None, run.fail, lambda: None, run.end):
        run.looked_in_on()
        virtual(run.attend(1.0, happens, 1.0))
    assert each.moments == kept.moments == ["started", "failed", "finished"]
    assert len(run.events(nev.NotificationOpened)) == len(run.events(nev.NotificationClosed)) == 2


def test_what_a_silent_process_has_launched_is_opened_by_the_first_look(virtual: Virtual[None]) -> None:
    receiver = Scripted()
    run = Run(receiver)
    for happens in (lambda: None, lambda: None, run.end):
        run.looked_in_on()
        virtual(run.attend(1.0, happens, 1.0))
    assert receiver.moments == ["started", "finished"]


def test_a_missing_secret_is_told_by_whoever_begins_and_not_at_every_look(virtual: Virtual[None]) -> None:
    run = Run("GITHUB_TOKEN is not set")
    virtual(run.attend(1.0))
    run.looked_in_on()
    virtual(run.attend(1.0))
    assert len(run.events(nev.NotificationFailed)) == 1


def test_a_rollback_of_a_run_that_was_closed_opens_it_again(virtual: Virtual[None]) -> None:
    receiver = Scripted(keeps_up=True)
    run = Run(receiver)
    virtual(run.attend(1.0, run.end))
    run.recorder.record(ev.ReleaseRollbackRequested(reason="by hand"))
    told = run.state.notifications.told["n0"]
    assert (told.closed, told.outcome) == (False, "succeeded")
    run.resumed()
    assert not run.state.notifications.told["n0"].closed


def test_a_journal_keeps_it_all(virtual: Virtual[None]) -> None:
    run = Run(Scripted())
    virtual(run.attend(1.0, run.fail, run.end))
    again = [ev.record_from_dict(json.loads(record.to_json())) for record in run.journal.records]
    assert fold(again).notifications == run.state.notifications


# --- at random -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps_up", [True, False])
def test_whatever_dies_and_fails_the_last_process_closes_what_any_has_opened(
    virtual: Virtual[None], keeps_up: bool
) -> None:
    """Processes are killed at random moments, over receivers that are slow and fail at random; the last one is well."""
    for seed in range(60):
        random = Random(seed)  # noqa: S311 - a scenario, no secret
        receivers = [Scripted(keeps_up=keeps_up, interval=random.choice([0.0, 2.0])) for _ in range(3)]
        run = Run(*receivers, events=random.sample(MOMENTS, random.randint(1, len(MOMENTS))))
        for life in range(random.randint(0, 3)):
            for receiver in receivers:
                receiver.takes = random.choice([0.01, 1.0, 20.0, 1e6])
                receiver.faults = [
                    NotDeliveredError("?", final=random.random() < 0.2) for _ in range(random.randint(0, 4))
                ]
            if life:
                run.resumed()
            virtual(_killed(run, random))
        run.resumed()
        for receiver in receivers:
            receiver.takes, receiver.faults = 0.01, []
        outcome = random.choice([Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED])
        virtual(run.attend(3.0, partial(run.end, outcome)))
        assert run.state.notifications.unclosed(run.state) == (), seed
        for spec, receiver in zip(run.specs, receivers, strict=True):
            opened = any(each.notification == spec.name for each in run.events(nev.NotificationOpened))  # type: ignore[attr-defined]
            assert (receiver.told[-1:] == [("finished", str(outcome))]) == opened, seed
            assert opened or not spec.wants("finished", run.state), seed


async def _killed(run: Run, random: Random) -> None:
    """A process that is gone after a while, in the middle of whatever it did."""
    with anyio.move_on_after(random.uniform(0, 30)):
        await run.attend(
            *(step for _ in range(5) for step in (random.uniform(0, 4), random.choice([run.fail, lambda: None]))),
            limit=random.choice([0.0, LAST]),
        )
