"""The poller: full batches on a common beat, and nothing but CodeDeploy's word decides."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from itertools import pairwise
from random import Random
from typing import Any

import anyio
import pytest

from orchestrator.core.codedeploy import CodeDeploy
from orchestrator.core.errors import AnswerLostError, CallError, CredentialsError, RefusedError
from orchestrator.core.limiter import Budget
from orchestrator.core.model import Deployment
from orchestrator.core.poller import CREDENTIALS_PATIENCE, MISSES_BEFORE_GIVING_UP, Poller
from orchestrator.testing import Script, ScriptedCodeDeploy

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]
START = 1000.0
EXPIRED = CredentialsError("the token has expired", code="ExpiredTokenException")
REFUSED = RefusedError("one of the ids is invalid", code="InvalidDeploymentIdException")


class Bench:
    """A poller over the scripted CodeDeploy, and what is seen through it."""

    def __init__(self, *, seconds: float = 12.0, interval: float = 5.0, rate: float = 50.0) -> None:
        self.codedeploy = ScriptedCodeDeploy()
        self.script = Script(seconds=seconds)
        self.budget = Budget(rate=rate, ceiling=max(rate, 0.2))
        self.warnings: list[str] = []
        self.looks: list[tuple[float, str]] = []
        self.seen: dict[str, list[str]] = {}
        self.ended: dict[str, float] = {}
        self.errors: dict[str, CallError] = {}
        self.refuse: Callable[[str, Mapping[str, Any]], CallError | None] = lambda _operation, _parameters: None
        self.codedeploy.before = self._before
        client = CodeDeploy(self.codedeploy, self.budget, random=Random(1))  # noqa: S311 - jitter, not secrets
        self.poller = Poller(client, interval=interval, warn=self.warnings.append)

    def _before(self, operation: str, parameters: Mapping[str, Any]) -> CallError | None:
        if operation == "BatchGetDeployments":
            self.looks += [(anyio.current_time() - START, each) for each in parameters["deploymentIds"]]
        return self.refuse(operation, parameters)

    def make(self, count: int) -> list[str]:
        return [self.codedeploy.create(f"a{number}", "g", script=self.script).id for number in range(count)]

    async def wait(self, deployment_id: str) -> None:
        def listen(deployment: Deployment) -> None:
            self.seen.setdefault(deployment_id, []).append(deployment.raw_status)

        try:
            found = await self.poller.wait(deployment_id, listen)
        except CallError as error:
            self.errors[deployment_id] = error
        else:
            assert found.status.is_final
            self.ended[deployment_id] = anyio.current_time() - START

    async def watch(self, *ids: str) -> None:
        """Until all of them have ended."""
        with anyio.fail_after(5000):
            async with anyio.create_task_group() as services:
                services.start_soon(self.poller.run)
                async with anyio.create_task_group() as tasks:
                    for each in ids:
                        tasks.start_soon(self.wait, each)
                services.cancel_scope.cancel()


def play(virtual: Virtual, bench: Bench, count: int = 1) -> list[str]:
    async def story() -> list[str]:
        ids = bench.make(count)
        await bench.watch(*ids)
        return ids

    ids: list[str] = virtual(story())
    return ids


def test_batches_are_full_and_the_interval_is_kept(virtual: Virtual) -> None:
    bench = Bench()
    ids = play(virtual, bench, 60)
    assert sorted(bench.codedeploy.batch_sizes[:3]) == [10, 25, 25]
    assert bench.ended.keys() == set(ids)
    for each in ids:
        looks = [moment for moment, looked in bench.looks if looked == each]
        assert len(looks) == 4, "at 0, 5, 10 and 15 s"
        assert all(later - earlier >= 4.8 for earlier, later in pairwise(looks))


def test_newcomers_join_the_common_beat(virtual: Virtual) -> None:
    bench = Bench()

    async def story() -> None:
        early, late = bench.make(2)
        async with anyio.create_task_group() as services:
            services.start_soon(bench.poller.run)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(bench.wait, early)
                await anyio.sleep(2)
                tasks.start_soon(bench.wait, late)
            services.cancel_scope.cancel()

    virtual(story())
    assert bench.codedeploy.batch_sizes == [1, 2, 2, 2]


def test_a_short_budget_stretches_the_beat(virtual: Virtual) -> None:
    """Forty calls a beat at two a second take twenty seconds; polls may have half of the budget."""
    bench = Bench(seconds=100, rate=2.0)
    play(virtual, bench, 1000)
    moments = sorted({moment for moment, _ in bench.looks})
    busy = [moment for moment in moments if moment < 80]
    assert len(busy) <= 80 * 2.0 * 0.5 + 40
    assert bench.codedeploy.throttled == 0


def test_a_watch_that_is_cancelled_is_forgotten(virtual: Virtual) -> None:
    bench = Bench(seconds=100)

    async def story() -> None:
        gone, stays = bench.make(2)
        async with anyio.create_task_group() as services:
            services.start_soon(bench.poller.run)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(bench.wait, stays)
                with anyio.move_on_after(12):
                    await bench.wait(gone)
            services.cancel_scope.cancel()
        assert gone not in bench.ended
        assert max(moment for moment, looked in bench.looks if looked == gone) < 12
        assert max(moment for moment, looked in bench.looks if looked == stays) >= 100

    virtual(story())


def test_nobody_waiting_means_no_calls(virtual: Virtual) -> None:
    bench = Bench()

    async def story() -> None:
        async with anyio.create_task_group() as services:
            services.start_soon(bench.poller.run)
            await anyio.sleep(1000)
            assert not bench.looks
            (one,) = bench.make(1)
            await bench.wait(one)
            calls = len(bench.looks)
            await anyio.sleep(1000)
            assert len(bench.looks) == calls
            services.cancel_scope.cancel()

    virtual(story())
    assert bench.ended


def test_each_listener_hears_changes_and_only_those(virtual: Virtual) -> None:
    bench = Bench(seconds=32)
    (one,) = play(virtual, bench)
    assert bench.seen[one] == ["InProgress", "Succeeded"]


def test_two_may_wait_for_one_deployment(virtual: Virtual) -> None:
    bench = Bench()
    heard: list[str] = []

    async def story() -> None:
        (one,) = bench.make(1)
        async with anyio.create_task_group() as services:
            services.start_soon(bench.poller.run)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(bench.wait, one)
                tasks.start_soon(bench.poller.wait, one, lambda seen: heard.append(seen.raw_status))
            services.cancel_scope.cancel()

    virtual(story())
    assert heard == ["InProgress", "Succeeded"]
    assert set(bench.codedeploy.batch_sizes) == {1}


# --- odd answers ----------------------------------------------------------------------------------------------------


def test_an_id_that_batches_leave_out_is_asked_for_by_itself(virtual: Virtual) -> None:
    bench = Bench()
    bench.codedeploy.rewrite = lambda op, answer: {"deploymentsInfo": []} if op == "BatchGetDeployments" else answer
    ids = play(virtual, bench, 2)
    assert bench.ended.keys() == set(ids)
    assert bench.codedeploy.calls["GetDeployment"] >= 2


def test_an_id_that_does_not_exist_is_given_up_only_after_many_looks(virtual: Virtual) -> None:
    bench = Bench()

    async def story() -> None:
        (real,) = bench.make(1)
        await bench.watch("d-NOSUCH", real)

    virtual(story())
    assert isinstance(bench.errors["d-NOSUCH"], RefusedError)
    assert len([1 for _, looked in bench.looks if looked == "d-NOSUCH"]) == MISSES_BEFORE_GIVING_UP
    assert len(bench.ended) == 1


def test_lost_answers_about_one_hold_nobody_else_up(virtual: Virtual) -> None:
    """One id is left out by batches, and asking for it by itself is never answered."""
    bench = Bench(seconds=30)
    bench.refuse = lambda op, _p: AnswerLostError("timed out", operation=op) if op == "GetDeployment" else None

    async def story() -> None:
        ids = bench.make(2)
        bench.codedeploy.rewrite = lambda op, answer: (
            {"deploymentsInfo": [info for info in answer["deploymentsInfo"] if info["deploymentId"] == ids[1]]}
            if op == "BatchGetDeployments"
            else answer
        )
        with anyio.move_on_after(60):
            await bench.watch(*ids)
        assert bench.ended == {ids[1]: pytest.approx(30, abs=5.5)}

    virtual(story())


def test_an_unknown_status_is_still_running_and_said_once(virtual: Virtual) -> None:
    bench = Bench(seconds=40)

    def odd(operation: str, answer: dict[str, Any]) -> dict[str, Any]:
        infos = answer.get("deploymentsInfo", [])
        return {"deploymentsInfo": [{**i, "status": "Pondering"} if i["status"] == "InProgress" else i for i in infos]}

    bench.codedeploy.rewrite = odd
    ids = play(virtual, bench, 3)
    assert bench.ended.keys() == set(ids)
    assert [warning for warning in bench.warnings if "Pondering" in warning] == bench.warnings
    assert len(bench.warnings) == 1


def test_lost_answers_are_told_after_a_while_and_decide_nothing(virtual: Virtual) -> None:
    bench = Bench(seconds=10)
    bench.refuse = lambda op, _p: (
        AnswerLostError("no route", operation=op) if anyio.current_time() < START + 300 else None
    )
    (one,) = play(virtual, bench)
    assert bench.ended[one] >= 300
    assert len(bench.warnings) == 1
    assert "no route" in bench.warnings[0]


def test_a_refused_batch_is_asked_for_one_by_one(virtual: Virtual) -> None:
    """One bad id among good ones; said once, however long it lasts."""
    bench = Bench(seconds=60)
    bench.refuse = lambda op, p: REFUSED if op == "BatchGetDeployments" and "d-bad!" in p["deploymentIds"] else None

    async def story() -> None:
        ids = bench.make(3)
        await bench.watch(*ids, "d-bad!")
        assert bench.ended.keys() == set(ids)
        assert all(moment < 70 for moment in bench.ended.values())

    virtual(story())
    assert isinstance(bench.errors["d-bad!"], RefusedError)
    assert len(bench.warnings) == 1


# --- credentials ----------------------------------------------------------------------------------------------------


def test_credentials_that_come_back_in_time_decide_nothing(virtual: Virtual) -> None:
    bench = Bench(seconds=50)
    bench.refuse = lambda _op, _p: EXPIRED if START + 10 <= anyio.current_time() < START + 35 else None
    (one,) = play(virtual, bench)
    assert one in bench.ended
    assert len(bench.warnings) == 1


def test_credentials_that_stay_away_end_every_watch_after_the_patience(virtual: Virtual) -> None:
    bench = Bench(seconds=500)
    bench.refuse = lambda _op, _p: EXPIRED
    ids = play(virtual, bench, 30)
    assert bench.errors.keys() == set(ids)
    assert all(isinstance(error, CredentialsError) for error in bench.errors.values())
    last = max(moment for moment, _ in bench.looks)
    assert CREDENTIALS_PATIENCE <= last <= CREDENTIALS_PATIENCE + 6


def test_an_old_refusal_does_not_shorten_the_patience_of_the_next(virtual: Virtual) -> None:
    """The first watch went away while its credentials were refused; long after, another meets one refusal."""
    bench = Bench(seconds=20)
    bench.refuse = lambda _op, _p: (
        EXPIRED if anyio.current_time() - START < 10 or 500 <= anyio.current_time() - START < 507 else None
    )

    async def story() -> None:
        async with anyio.create_task_group() as services:
            services.start_soon(bench.poller.run)
            (first,) = bench.make(1)
            with anyio.move_on_after(7):
                await bench.wait(first)
            await anyio.sleep(493.5)
            second = bench.codedeploy.create("other", "g", script=bench.script).id
            await bench.wait(second)
            assert second in bench.ended
            services.cancel_scope.cancel()

    virtual(story())
