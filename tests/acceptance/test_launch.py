"""A durable function carries releases out: the SDK's local runner, workers that are lost, and the sandbox."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from lambda_service import Fates, LambdaService, Moment
from rig import MakeRig, Rig
from rig import wait_until as wait_for_so_long

from orchestrator.core.conducting import Launched, event_of
from orchestrator.sandbox.fleet import BucketSpec, FleetSpec, GroupSpec

REGIONS = ("eu-west-1", "us-east-1")
STATE = "s3://releases/state"
TARGETS = int(os.environ.get("ORCHESTRATOR_LAUNCH_TARGETS", "60"))
KILLS_IN_STEPS = int(os.environ.get("ORCHESTRATOR_LAUNCH_KILLS", "4"))
FUNCTION = ("--function", "orchestrator:live")
TIME_SCALE = "0.02"
"""Of the pauses between two looks."""

PATIENCE = 90.0
"""Seconds: workers are processes, and the machine may have others to serve."""

wait_until = partial(wait_for_so_long, seconds=PATIENCE)

MakeLambda = Callable[..., tuple[Rig, LambdaService]]


@pytest.fixture
def make_lambda(make_rig: MakeRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeLambda]:
    monkeypatch.setenv("DURABLE_EXECUTION_TIME_SCALE", TIME_SCALE)  # the SDK's runner reads it there
    with ExitStack() as stack:

        def make(fates: Fates | None = None, *, targets: int, time_scale: float = 60.0) -> tuple[Rig, LambdaService]:
            rig = make_rig([], fleet=fleet(targets), time_scale=time_scale)
            service = LambdaService(rig.command._environment(), fates or Fates(), tmp_path / "lambda.log")
            stack.enter_context(service.serve())
            environment = {**rig.command.environment, "AWS_ENDPOINT_URL_LAMBDA": service.url}
            return replace(rig, command=replace(rig.command, environment=environment)), service

        yield make


def fleet(targets: int) -> FleetSpec:
    groups = tuple(
        GroupSpec(application=f"a{number}", deployment_group="g", region=REGIONS[number % 2])
        for number in range(targets)
    )
    return FleetSpec(groups=groups, buckets=(BucketSpec(name="releases", region=REGIONS[0]),))


def manifest(targets: int, *more: str, settings: Mapping[int, str] | None = None) -> str:
    """Chains of two in each region; one bundle that has to be made, all else without."""
    lines = ["version: 1", "release: r1", f"state: {STATE}", "defaults: {bucket: releases}", *more, "applications:"]
    for number in range(targets):
        github = "{github: {repository: acme/x, commit: " + "a" * 40 + "}}"
        setting = (settings or {}).get(number, "")
        lines += [
            f"  a{number}:",
            f"    revision: {'{source: ./app}' if number == 0 else github}",
            "    deployment_groups: {g: {region: " + REGIONS[number % 2] + setting + "}}",
        ]
        if number % 4 > 1:
            lines.append(f"    needs: [a{number - 2}]")
    return "\n".join(lines) + "\n"


def run_of(rig: Rig) -> dict[str, Any]:
    """The newest run, as `runs` tells it."""
    found: list[dict[str, Any]] = json.loads(rig.command("runs", "--state", STATE, "--output", "json").out)
    return found[0]


# --- nothing lost, nothing twice -------------------------------------------------------------------------------------


def everywhere(number: int) -> Moment:
    """At every boundary of a step; half of the steps are done again."""
    return "before" if number % 2 else "after"


@pytest.mark.long
def test_a_release_whose_workers_are_lost_again_and_again(
    make_lambda: MakeLambda, make_rig: MakeRig, tmp_path: Path
) -> None:
    random = Random(7)  # noqa: S311 - moments, no secrets
    invocations = random.sample(range(1, KILLS_IN_STEPS + 3), KILLS_IN_STEPS)
    fates = Fates(everywhere, in_steps={number: random.uniform(0.2, 1.0) for number in invocations})
    rig, service = make_lambda(fates, targets=TARGETS, time_scale=30.0)
    one_machine = make_rig([], fleet=fleet(TARGETS), time_scale=60.0)
    there = replace(one_machine.command, folder=tmp_path / "one-machine")
    for command in (rig.command, there):
        command.bundle()
        command.write(manifest(TARGETS))
    options = ["--result", "result.json", "--events", "events.jsonl"]
    with there.start("apply", "release.yaml", *options) as process:
        ended = rig.command("launch", "release.yaml", *FUNCTION, *options)
        process.communicate(timeout=120)
    log = (tmp_path / "lambda.log").read_text()
    assert ended.code == process.returncode == 0, f"{ended.err}{log}"
    assert fates.killed >= service.steps
    assert fates.killed_in_steps > 0
    made = Counter((each.application, each.region) for each in rig.deployments())
    assert made == Counter((f"a{number}", REGIONS[number % 2]) for number in range(TARGETS)), "each once"
    assert story(rig.command.folder) == story(there.folder), "the journal says the same as one machine's"
    states = [{**each, **DIFFERS} for each in rig.command.result()["targets"]]
    assert states == [{**each, **DIFFERS} for each in there.result()["targets"]]
    run = run_of(rig)
    assert (run["state"], run["outcome"]) == ("succeeded", "succeeded")
    print(
        f"{TARGETS} targets: {service.workers.invocations} invocations, {fates.killed} of them killed, "
        f"{fates.killed_in_steps} of those in the middle of a step; {service.steps} "
        f"steps, {service.checkpoints} checkpoints of {service.checkpoint_bytes} bytes in all, the largest result of a "
        f"step {service.largest_result} bytes"
    )


DIFFERS = dict.fromkeys(("deployment_id", "started_at", "ended_at", "revision"))
"""What no two runs have in common."""

EFFECTS = ("deployment_intended", "deployment_started", "deployment_ended", "target_finished", "revision_pinned")


def story(folder: Path) -> dict[str, list[str]]:
    """For each target what became of it, each thing once: a worker may be lost between an intent and its answer."""
    found: dict[str, list[str]] = {}
    numbers = []
    for line in (folder / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        numbers.append(event["seq"])
        for target in event.get("targets") or [event.get("target")]:
            if event["type"] in EFFECTS and event["type"] not in found.setdefault(target, []):
                found[target].append(event["type"])
    assert numbers == list(range(1, len(numbers) + 1)), "each event once, in order"
    return found


# --- a run as any other ----------------------------------------------------------------------------------------------

CAB = "gates: {cab: {type: approval, timeout: 4h}}"


def test_an_approval_wakes_it_and_people_see_it_everywhere(make_lambda: MakeLambda) -> None:
    rig, service = make_lambda(targets=4)
    rig.command.bundle()
    rig.command.write(manifest(4, CAB, settings={1: ", gates: {before: [cab]}"}))
    ended = rig.command("launch", "release.yaml", *FUNCTION, "--detach")
    assert ended.code == 8, ended.err
    assert "orchestrator:live goes on with it; to end it: orchestrator cancel" in ended.out
    found = run_of(rig)
    run = found["run"]
    assert found["state"] == "launched"

    wait_until(lambda: service.is_asleep(run), "only the person is waited for")
    assert sorted(each.application for each in rig.deployments()) == ["a0", "a2"], "the other part is over"
    shown = rig.command("status", run, "--state", STATE)
    assert f"orchestrator approve {run} cab" in shown.out, shown.out
    approved = rig.command("approve", run, "cab", "--state", STATE)
    assert (approved.code, "the run goes on" in approved.out) == (0, True), approved.out + approved.err
    assert service.woken == 1
    wait_until(lambda: service.result_of(run) is not None, "the end of the execution")
    assert service.result_of(run) == {"run": run, "outcome": "succeeded"}
    over = rig.command("resume", run, "--state", STATE)
    assert (over.code, "there is nothing to resume" in over.err) == (0, True), over.err


def test_it_is_cancelled_from_anywhere_and_ctrl_c_only_ends_the_following(make_lambda: MakeLambda) -> None:
    rig, service = make_lambda(targets=4, time_scale=1.0)
    rig.command.bundle()
    rig.command.write(manifest(4))
    with rig.command.start("launch", "release.yaml", *FUNCTION, "--events", "events.jsonl") as process:
        wait_until(lambda: len(rig.deployments()) == 2, "both parts have begun")
        wait_until(service.workers.terminate, "a worker that can be told to go")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 8, err
    assert "to end it: orchestrator cancel" in out
    run = run_of(rig)["run"]
    cancelled = rig.command("cancel", run, "--state", STATE)
    assert (cancelled.code, "is being cancelled (stop)" in cancelled.out) == (0, True), cancelled.out
    wait_until(lambda: service.result_of(run) is not None, "the end of the execution")
    assert service.result_of(run) == {"run": run, "outcome": "cancelled"}
    assert {each.status for each in rig.deployments()} == {"Stopped"}
    assert len(rig.deployments()) == 2
    assert service.workers.failed == 0, "SIGTERM ended a look, and nothing else"


def test_what_can_t_be_launched_is_said_and_leaves_nothing(make_lambda: MakeLambda) -> None:
    rig, service = make_lambda(targets=2)
    rig.command.bundle()
    rig.command.write(manifest(2).replace(f"state: {STATE}\n", ""))
    local = rig.command("launch", "release.yaml", *FUNCTION)
    assert local.code == 2
    assert "where no function reaches them" in local.err
    assert rig.command("launch", "release.yaml", "--function", "a:b:c", "--state", STATE).code == 2
    assert rig.calls() == 0, "nothing was asked"
    environment = {**rig.command.environment, "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:9"}
    unreachable = replace(rig.command, environment=environment)("launch", "release.yaml", *FUNCTION, "--state", STATE)
    assert unreachable.code == 3, unreachable.err
    assert "go on from here: orchestrator resume" in unreachable.err
    run = run_of(rig)["run"]
    assert rig.command("resume", run, "--state", STATE).code == 2, "it is its parts that are resumed"
    assert rig.command("resume", f"{run}-p1", "--state", STATE).code == 0
    assert (len(rig.deployments()), service.started) == (1, {})
    # The function does the rest, although what it is started with is another version's.
    event = event_of(Launched(run=run, state=STATE, parts=(f"{run}-p1", f"{run}-p2")))
    service.invoke(run, json.dumps({**event, "protocol": 0}).encode())
    wait_until(lambda: f"{run}-g2" in service.started and service.result_of(f"{run}-g2") is not None, "the end")
    assert service.result_of(run)["outcome"] == "continued"
    assert service.result_of(f"{run}-g2")["outcome"] == "succeeded"
    assert len(rig.deployments()) == 2
