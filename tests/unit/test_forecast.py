"""When a run is likely to end, and why not sooner."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from world import target

from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.forecast import forecast
from orchestrator.core.model import Concurrency, Outcome, Target, TargetState
from orchestrator.core.plan import Step, step_to_dict
from orchestrator.core.state import RunState


class Story:
    """A run, told event by event; `at` is the second of the next one."""

    def __init__(self, *targets: Target, concurrency: Concurrency | None = None) -> None:
        self.state = RunState()
        steps = [Step(target=each, action="deploy", timeout=600.0) for each in targets]
        limits = {"deployments": concurrency.deployments if concurrency else None}
        self.tell(
            0.0,
            ev.RunStarted(
                release="shop",
                environment="prod",
                manifest="release.yaml",
                manifest_digest="sha256:0",
                targets=tuple(step_to_dict(step) for step in steps),
                policy={},
                concurrency=limits,
                version="1",
                host="h",
                pid=1,
            ),
        )

    def tell(self, at: float, *events: ev.Event) -> None:
        for event in events:
            self.state.apply(ev.Record(seq=self.state.last_seq + 1, ts=at, run="r1", event=event))

    def start(self, name: str, at: float) -> None:
        revision: dict[str, str] = {}
        self.tell(
            at,
            ev.DeploymentIntended(
                target=name,
                token="t",
                attempt=1,
                application_name=name,
                deployment_group_name="g",
                region="eu-west-1",
                role_arn=None,
                revision=revision,
            ),
            ev.DeploymentStarted(target=name, token="t", deployment_id=f"d-{name}"),
        )

    def finish(self, name: str, at: float) -> None:
        self.tell(at, ev.TargetFinished(target=name, state=TargetState.SUCCEEDED))


def chain() -> Story:
    story = Story(target("db/g"), target("api/g", needs=["db/g"]), target("web/g", after=["api/g"]), target("x/g"))
    story.tell(0.0, ev.DurationsExpected(seconds={"db/g": 60.0, "api/g": 120.0, "x/g": 100.0, "gone/g": 5.0}))
    return story


def test_before_anything_has_started() -> None:
    found = forecast(chain().state, 10.0)
    assert found.critical == ("db/g", "api/g", "web/g")
    assert found.starts == {"db/g": 10.0, "api/g": 70.0, "web/g": 190.0, "x/g": 10.0}
    assert found.ends_at == 10.0 + 60 + 120 + 100  # nobody knows how long web/g takes: as long as the middle one


def test_while_it_runs() -> None:
    story = chain()
    story.start("db/g", 0.0)
    story.finish("db/g", 90.0)
    story.start("api/g", 90.0)
    found = forecast(story.state, 100.0)
    assert found.remaining["api/g"] == 110.0
    assert "db/g" not in found.remaining
    assert found.starts["web/g"] == 210.0
    assert found.critical == ("db/g", "api/g", "web/g")


def test_longer_than_ever_is_about_to_end() -> None:
    story = chain()
    story.start("db/g", 0.0)
    assert forecast(story.state, 500.0).ends["db/g"] == 500.0


def test_without_earlier_runs_the_progress_of_instances_tells() -> None:
    story = Story(target("a/g"), target("b/g", needs=["a/g"]))
    assert forecast(story.state, 1.0).ends_at is None
    story.start("a/g", 0.0)
    assert forecast(story.state, 30.0).ends_at is None
    overview = {"Succeeded": 1, "InProgress": 3}
    story.tell(30.0, ev.DeploymentProgressed(target="a/g", deployment_id="d", status="InProgress", overview=overview))
    found = forecast(story.state, 30.0)
    assert found.ends == {"a/g": 120.0, "b/g": 240.0}


def test_few_places_for_much_work() -> None:
    story = Story(*(target(f"a{n}/g") for n in range(10)), concurrency=Concurrency(deployments=2))
    story.tell(0.0, ev.DurationsExpected(seconds={f"a{n}/g": 60.0 for n in range(10)}))
    assert forecast(story.state, 0.0).ends_at == 300.0


def test_what_will_not_start_any_more_is_not_waited_for() -> None:
    story = chain()
    story.start("db/g", 0.0)
    story.tell(5.0, ev.CancelRequested(mode="wait", reason="interrupted"))
    found = forecast(story.state, 10.0)
    assert found.ends == {"db/g": 60.0}
    assert found.ends_at == 60.0


def over(story: Story) -> None:
    for name in story.state.targets:
        story.start(name, 1.0)
        story.finish(name, 2.0)
    story.tell(3.0, ev.RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0))


def approval(story: Story) -> None:
    story.tell(1.0, gev.GateWaiting(target="web/g", gate="cab", kind="approval", phase="before"))


def freeze(story: Story) -> None:
    story.tell(1.0, ev.FreezeBegan(window="friday", until=1e9))


@pytest.mark.parametrize("happens", [over, approval, freeze])
def test_no_end_can_be_told(happens: Callable[[Story], None]) -> None:
    story = chain()
    happens(story)
    assert forecast(story.state, 10.0).ends_at is None


def test_afterwards_the_chain_is_that_of_what_really_took_longest() -> None:
    story = chain()
    for name, start, end in (("x/g", 0, 300), ("db/g", 0, 10), ("api/g", 10, 20), ("web/g", 20, 30)):
        story.start(name, start)
        story.finish(name, end)
    story.tell(300.0, ev.RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0))
    assert forecast(story.state, 1000.0).critical == ("x/g",)


def test_a_run_without_targets() -> None:
    found = forecast(RunState(), 0.0)
    assert (found.critical, found.ends_at) == ((), None)
