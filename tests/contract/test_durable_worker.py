"""The SDK's own local runner makes of a conductor's decisions what virtual time makes of them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aws_durable_execution_sdk_python import durable_execution
from aws_durable_execution_sdk_python_testing.runner import DurableFunctionTestRunner
from durable_runner import close_scheduler

from orchestrator.core.conducting import Conductor, Launched, Look, Order, event_of
from orchestrator.durable import DurableWorker, Settings, make_handler, to_the_end

RUN = "20261126-010101-abcdef"


@dataclass
class Story:
    """What each look finds, by part; and what was done, each thing as often as it was."""

    looks: dict[str, list[Look]]
    asked: list[bool] = field(default_factory=list)
    """Whether something lies there when a callback is written down."""
    done: list[Any] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    callbacks: list[str] = field(default_factory=list)

    def look(self, order: Order) -> Look:
        with self.lock:
            self.done.append((order.run, order.failed_elsewhere, order.go_back))
            return self.looks[order.run].pop(0)


class Told(DurableWorker):
    """The real one, but for what a look finds."""

    def __init__(self, context: Any, launched: Launched, story: Story) -> None:
        super().__init__(context, launched, Settings())
        self.story = story

    def _look(self, context: Any, order: Order) -> Look:
        async def work() -> dict[str, Any]:
            return self.story.look(order).to_dict()

        return Look.from_dict(self._step(f"look {order.run}", work, context))

    async def _note(self, callback: str) -> bool:
        self.story.callbacks.append(callback)
        return self.story.asked.pop(0)

    async def finish(self) -> str:
        async def work() -> str:
            self.story.done.append("finish")
            return "succeeded"

        return str(self._step("finish", work))

    async def go_on_afresh(self, generation: int) -> None:
        self.story.done.append(generation)


class Virtual:
    """The same decisions without the SDK."""

    def __init__(self, story: Story) -> None:
        self.story = story

    async def look(self, orders: Sequence[Order]) -> Sequence[Look]:
        return [self.story.look(order) for order in orders]

    async def pause(self, seconds: int, *, wakeable: bool) -> bool:
        return wakeable and self.story.asked.pop(0)

    async def finish(self) -> str:
        self.story.done.append("finish")
        return "succeeded"

    async def go_on_afresh(self, generation: int) -> None:
        self.story.done.append(generation)


def tell(asked: Sequence[bool]) -> Story:
    looks = {
        "a": [Look(at=0.0, due=1.0), Look(at=1.0, due=61.0), Look(at=61.0, over=True, failed=1, goes_back="release")],
        "b": [
            Look(at=0.0, due=31.0),
            Look(at=31.0, over=True, changed=True),
            Look(at=62.0, over=True, goes_back="release"),
        ],
    }
    return Story(looks, list(asked))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_EXECUTION_TIME_SCALE", "0.02")


@pytest.fixture
def run_it(quick: None) -> Iterator[Callable[[Story], dict[str, Any]]]:
    runners = []

    def run(story: Story) -> dict[str, Any]:
        launched = Launched(run=RUN, state="s3://b/s", parts=("a", "b"))

        @durable_execution
        def handler(event: Any, context: Any) -> dict[str, str]:
            return {"outcome": to_the_end(Conductor(launched, Told(context, launched, story)).run())}

        runner = DurableFunctionTestRunner(handler)
        runners.append(runner)
        result = runner.run(input=json.dumps(event_of(launched)), timeout=60)
        assert result.result is not None, result
        found: dict[str, Any] = json.loads(result.result)
        return found

    yield run
    for runner in runners:
        runner.close()  # type: ignore[no-untyped-call]  # the SDK's
        close_scheduler(runner._scheduler)


def test_replays_do_nothing_twice_and_decide_as_virtual_time_does(run_it: Callable[[Story], dict[str, Any]]) -> None:
    real, virtual = tell([True, True]), tell([True, True])
    launched = Launched(run=RUN, state="s3://b/s", parts=("a", "b"))
    assert run_it(real) == {"outcome": to_the_end(Conductor(launched, Virtual(virtual)).run())}
    assert real.done[-1] == virtual.done[-1] == "finish"
    assert sorted(map(str, real.done)) == sorted(map(str, virtual.done)), "the branches of a map have no order"


def test_a_callback_wakes_it_and_its_time_out_goes_on(quick: None) -> None:
    """The pause of 22 s is cut short from outside; that of 1 s isn't."""
    story = Story({RUN: [Look(at=0.0, due=22.0), Look(at=3.0, due=4.0), Look(at=4.0, over=True)]}, [False])
    launched = Launched(run=RUN, state="s3://b/s", parts=(RUN,))

    @durable_execution
    def handler(event: Any, context: Any) -> dict[str, str]:
        return {"outcome": to_the_end(Conductor(launched, Told(context, launched, story)).run())}

    with DurableFunctionTestRunner(handler) as runner:
        arn = runner.run_async(input="{}", timeout=60)
        deadline = time.monotonic() + 10
        while not story.callbacks and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        began = time.monotonic()
        runner.send_callback_success(story.callbacks[0], b'"asked"')
        result = runner.wait_for_result(arn, timeout=30)
        assert time.monotonic() - began < 10
    close_scheduler(runner._scheduler)
    assert json.loads(result.result or "") == {"outcome": "succeeded"}
    assert [each for each in story.done if each != "finish"] == [(RUN, 0, None)] * 3


def test_what_launch_has_not_made_is_refused(quick: None) -> None:
    handler = make_handler(Settings())
    with DurableFunctionTestRunner(handler) as runner:
        result = runner.run(input=json.dumps({"hello": "world"}), timeout=30)
    close_scheduler(runner._scheduler)
    assert result.error is not None
    assert "this starts no run" in str(result.error.message)
