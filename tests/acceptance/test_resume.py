"""Runs that are killed, and gone on with by another process."""

from __future__ import annotations

import json
import random
import signal

import pytest
from rig import Command, MakeRig, Rig, github, wait_until

from orchestrator.sandbox.options import Faults

NAMES = [f"app-{number}" for number in range(6)]
CHAIN = (
    github(NAMES)
    .replace("  app-3:", "  app-3:\n    needs: [app-0]")
    .replace("  app-5:", "  app-5:\n    needs: [app-3]")
)


def killed(rig: Rig, moment: int) -> None:
    """Starts a run and kills it after so many events."""
    events = rig.command.folder / "events.jsonl"
    events.write_text("")
    with rig.command.start("apply", "release.yaml", "--events", "events.jsonl") as process:
        wait_until(lambda: events.read_text().count("\n") >= moment or process.poll() is not None, "some events")
        process.kill()
        process.communicate()


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_run_is_finished_and_nothing_is_deployed_twice(make_rig: MakeRig, seed: int) -> None:
    rig = make_rig([f"{name}/g" for name in NAMES], time_scale=20, faults=Faults(latency=0.02))
    run = rig.command
    run.write(CHAIN)
    moment = random.Random(seed).randint(1, 40)  # noqa: S311 - a moment, no secret
    killed(rig, moment)
    ended = run("resume", "--result", "result.json")
    assert ended.code == 0, ended.out + ended.err
    assert set(run.states().values()) == {"succeeded"}
    assert sorted(each.application for each in rig.deployments()) == NAMES


def test_twice_killed_and_then_resumed_when_all_is_over(make_rig: MakeRig) -> None:
    rig = make_rig([f"{name}/g" for name in NAMES], time_scale=20)
    run = rig.command
    run.write(CHAIN)
    killed(rig, 12)
    with run.start("resume") as process:
        wait_until(lambda: len(rig.deployments()) >= 4 or process.poll() is not None, "deployments")
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert run("resume", "--result", "result.json").code == 0
    again = run("resume")
    assert again.code == 0
    assert "nothing to resume" in again.err
    assert sorted(each.application for each in rig.deployments()) == NAMES


def test_a_lost_answer_and_a_kill_are_one_deployment(make_rig: MakeRig) -> None:
    """CreateDeployment is carried out, its answer is lost, and the process is killed while it looks for it."""
    rig = make_rig(["web/g"], time_scale=5, faults=Faults(reset_after=1.0, operations=("CreateDeployment",)))
    run = rig.command
    run.write(github(["web"]))
    with run.start("apply", "release.yaml") as process:
        wait_until(lambda: len(rig.deployments()) == 1, "a deployment")
        process.kill()
        process.communicate()
    rig.set_faults(Faults())
    ended = run("resume", "--result", "result.json")
    assert (ended.code, run.states()) == (0, {"web/g": "succeeded"})
    assert len(rig.deployments()) == 1


def detached(make_rig: MakeRig) -> tuple[Rig, Command]:
    """A run that was left after its first deployment; the second target hasn't started."""
    rig = make_rig(["first/g", "second/g"], time_scale=5)
    run = rig.command
    run.bundle("second")
    run.write(
        "version: 1\nrelease: r\ndefaults: {bucket: releases}\napplications:\n"
        "  first: {revision: {github: {repository: a/b, commit: abc1234}}, deployment_groups: [g]}\n"
        "  second: {revision: {source: ./second}, needs: [first], deployment_groups: [g]}\n"
    )
    with run.start("apply", "release.yaml", "--on-cancel", "detach") as process:
        wait_until(lambda: len(rig.deployments()) == 1, "a deployment")
        process.terminate()
        process.communicate(timeout=30)
    return rig, run


def test_a_detached_run_is_gone_on_with(make_rig: MakeRig) -> None:
    rig, run = detached(make_rig)
    assert run("resume", "--result", "result.json").code == 0
    assert run.states() == {"first/g": "succeeded", "second/g": "succeeded"}
    assert len(rig.deployments()) == 2


def test_for_leaves_and_says_that_it_still_runs(make_rig: MakeRig) -> None:
    rig, run = detached(make_rig)
    left = run("resume", "--for", "1s", "--result", "result.json")
    assert (left.code, run.result()["outcome"]) == (8, "running")
    assert run("resume", "--result", "result.json").code == 0
    assert len(rig.deployments()) == 2


def test_a_changed_manifest_is_refused_with_the_difference(make_rig: MakeRig) -> None:
    rig, run = detached(make_rig)
    manifest = (run.folder / "release.yaml").read_text()
    run.write(manifest.replace("needs: [first], ", "needs: [first], description: new, "))
    refused = run("resume")
    assert refused.code == 2
    assert "second/g" in refused.err
    assert "--accept-manifest" in refused.err
    assert len(rig.deployments()) == 1
    accepted = run("resume", "--accept-manifest", "--result", "result.json")
    assert accepted.code == 0, accepted.err
    assert rig.deployments()[1].description.endswith("new")


def test_a_changed_bundle_is_refused(make_rig: MakeRig) -> None:
    rig = make_rig(["first/g", "second/g"], time_scale=5)
    run = rig.command
    run.bundle("second")
    run.write(
        "version: 1\nrelease: r\ndefaults: {bucket: releases}\napplications:\n"
        "  second: {revision: {source: ./second}, deployment_groups: [g]}\n"
    )
    killed(rig, 2)
    journal = next((run.folder / ".orchestrator" / "runs").iterdir()) / "journal.jsonl"
    first = journal.read_text().splitlines()[0]
    journal.write_text(first + "\n")  # as if the kill had come before the upload
    assert json.loads(first)["type"] == "run_started"
    made = len(rig.deployments())
    run.write("changed", "second/index.html")
    refused = run("resume")
    assert refused.code == 2
    assert "has changed" in refused.err
    assert len(rig.deployments()) == made
