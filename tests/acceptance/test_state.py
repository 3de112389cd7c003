"""State in S3, locks, and what is done to a run from elsewhere."""

from __future__ import annotations

import random
import signal
from dataclasses import replace

import pytest
from rig import Command, MakeRig, Rig, github, wait_until

from orchestrator.sandbox.options import Faults, stuck

STATE = "s3://releases/state"
NAMES = [f"app-{number}" for number in range(6)]
CHAIN = github(NAMES).replace("  app-3:", "  app-3:\n    needs: [app-0]")


def elsewhere(rig: Rig) -> Command:
    """Another checkout, with nothing but the manifest."""
    folder = rig.command.folder / "another-machine"
    folder.mkdir()
    (folder / "release.yaml").write_bytes((rig.command.folder / "release.yaml").read_bytes())
    return replace(rig.command, folder=folder)


@pytest.mark.parametrize("seed", range(3))
def test_a_run_is_resumed_from_another_folder_over_s3(make_rig: MakeRig, seed: int) -> None:
    """Its process was killed; the lease is taken over once it was still for 30 s."""
    rig = make_rig([f"{name}/g" for name in NAMES], time_scale=20, faults=Faults(latency=0.02))
    run = rig.command
    run.write(CHAIN)
    events = run.folder / "events.jsonl"
    events.write_text("")
    moment = random.Random(seed).randint(2, 40)  # noqa: S311 - a moment, no secret
    with run.start("apply", "release.yaml", "--state", STATE, "--events", "events.jsonl") as process:
        wait_until(lambda: events.read_text().count("\n") >= moment or process.poll() is not None, "some events")
        process.kill()
        process.communicate()
    there = elsewhere(rig)
    ended = there("resume", "--state", STATE, "--result", "result.json")
    assert ended.code == 0, ended.out + ended.err
    assert set(there.states().values()) == {"succeeded"}
    assert sorted(each.application for each in rig.deployments()) == NAMES
    assert not (there.folder / ".orchestrator").exists()
    assert "succeeded" in there("runs", "--state", STATE).out


@pytest.mark.parametrize("state", [None, STATE])
def test_two_runs_of_the_same_targets_exclude_each_other(make_rig: MakeRig, state: str | None) -> None:
    rig = make_rig(["web/g", "other/g"], faults=Faults(slow=(stuck("web/g"),)))
    run = rig.command
    run.write(github(["web", "other"]))
    where = [] if state is None else ["--state", state]
    with run.start("apply", "release.yaml", *where, "--select", "web") as first:
        wait_until(lambda: len(rig.deployments()) == 1, "a deployment")
        second = run("apply", "release.yaml", *where)
        assert second.code == 6, second.err
        assert "web/g in eu-west-1" in second.err
        assert str(first.pid) in second.err
        waited = run("apply", "release.yaml", *where, "--lock-wait", "3s")
        assert waited.code == 6
        apart = run("apply", "release.yaml", *where, "--select", "other")
        assert apart.code == 0, apart.err
        first.kill()
        first.communicate()
    assert len(rig.deployments("web")) == 1


def test_the_locks_of_a_dead_process_on_this_machine_are_no_obstacle(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"], faults=Faults(slow=(stuck("web/g"),)))
    run = rig.command
    run.write(github(["web"]))
    with run.start("apply", "release.yaml") as process:
        wait_until(lambda: len(rig.deployments()) == 1, "a deployment")
        process.kill()
        process.communicate()
    left = run("resume", "--for", "1s")
    assert left.code == 8, left.err


def test_a_lock_that_is_waited_for(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"], time_scale=8)
    run = rig.command
    run.write(github(["web"]))
    with run.start("apply", "release.yaml") as first:
        wait_until(lambda: len(rig.deployments()) == 1, "a deployment")
        second = run("apply", "release.yaml", "--lock-wait", "60s", "--result", "result.json")
        first.communicate(timeout=60)
    assert second.code == 0, second.err
    assert "waiting for the lock" in second.err
    assert run.states() == {"web/g": "unchanged"}, "the plan was made anew once the lock was ours"


@pytest.mark.parametrize("state", [None, STATE])
def test_cancel_from_another_process(make_rig: MakeRig, state: str | None) -> None:
    rig = make_rig(["web/g"], faults=Faults(slow=(stuck("web/g"),)))
    run = rig.command
    run.write(github(["web"]))
    where = [] if state is None else ["--state", state]
    with run.start("apply", "release.yaml", *where, "--result", "result.json") as process:
        wait_until(lambda: len(rig.deployments()) == 1, "a deployment")
        asked = run("cancel", *where)
        assert asked.code == 0, asked.err
        process.communicate(timeout=60)
    assert process.returncode == 3
    assert run.states() == {"web/g": "stopped"}
    assert "over" in run("cancel", *where).out


def test_a_cancel_that_nobody_takes_is_done_by_the_resume(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"], faults=Faults(slow=(stuck("web/g"),)))
    run = rig.command
    run.write(github(["web"]))
    with run.start("apply", "release.yaml") as process:
        wait_until(lambda: len(rig.deployments()) == 1, "a deployment")
        process.kill()
        process.communicate()
    asked = run("cancel")
    assert asked.code == 6
    assert "orchestrator resume" in asked.out
    resumed = run("resume", "--result", "result.json")
    assert resumed.code == 3
    assert run.states() == {"web/g": "stopped"}


def test_unlock(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"], faults=Faults(slow=(stuck("web/g"),)))
    run = rig.command
    run.write(github(["web"]))
    assert "nothing is locked" in run("unlock", "--yes", "--state", STATE).out
    with run.start("apply", "release.yaml", "--state", STATE) as process:
        wait_until(lambda: len(rig.deployments()) == 1, "a deployment")
        process.kill()
        process.communicate()
    declined = run("unlock", "--state", STATE, stdin="n\n")
    assert (declined.code, "nothing was unlocked" in declined.err) == (6, True)
    assert run("unlock", "--yes", "--state", STATE, "nonsense").code == 2
    taken = run("unlock", "--yes", "--state", STATE)
    assert taken.code == 0
    assert "web/g in eu-west-1" in taken.out
    left = run("resume", "--state", STATE, "--for", "1s")
    assert left.code == 8, left.err


def test_a_ci_runners_way_of_ending_a_job_leaves_nothing_unknown(make_rig: MakeRig) -> None:
    """SIGINT, SIGTERM, SIGKILL, a moment apart; then a resume finds everything."""
    rig = make_rig([f"{name}/g" for name in NAMES], time_scale=20)
    run = rig.command
    run.write(CHAIN)
    with run.start("apply", "release.yaml") as process:
        wait_until(lambda: len(rig.deployments()) >= 2, "deployments")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            process.send_signal(number)
        process.communicate()
    ended = run("resume", "--result", "result.json")
    assert ended.code in {0, 3}, ended.err
    known = {each["deployment_id"] for each in run.result()["targets"]}
    assert {each.id for each in rig.deployments()} <= known


@pytest.mark.long
def test_credentials_that_are_lost_also_for_the_state_end_with_3(make_rig: MakeRig) -> None:
    """Nothing can be recorded any more; the output and the result say what runs on, and a resume finds all of it."""
    rig = make_rig(["web/g"], faults=Faults(slow=(stuck("web/g"),)))
    run = rig.command
    run.write(github(["web"]))
    with run.start("apply", "release.yaml", "--state", STATE, "--result", "result.json") as process:
        wait_until(lambda: len(rig.deployments()) == 1, "a deployment")
        made = rig.deployments()[0].id
        wait_until(lambda: made in run("status", "--state", STATE).out, "the id in the journal")
        rig.set_faults(Faults(expired=True, services=frozenset({"codedeploy", "s3", "sts"})))
        _out, err = process.communicate(timeout=120)
    assert process.returncode == 3, err
    assert f"note: left running: {made} (web/g)" in err
    assert "note: resume with: orchestrator resume" in err
    assert run.states() == {"web/g": "errored"}
    assert f"still running: {made}" in run.result()["targets"][0]["reason"]
    rig.set_faults(Faults(slow=(stuck("web/g"),)))
    left = run("resume", "--state", STATE, "--for", "1s", "--result", "result.json")
    assert left.code == 8, left.err
    assert run.result()["targets"][0]["deployment_id"] == made
    assert len(rig.deployments()) == 1


def test_detach_leaves_once_all_has_started_and_a_resume_finishes(make_rig: MakeRig) -> None:
    rig = make_rig([f"{name}/g" for name in NAMES], time_scale=5)
    run = rig.command
    run.write(CHAIN)
    left = run("apply", "release.yaml", "--state", STATE, "--detach", "--result", "result.json")
    assert left.code == 8, left.err
    assert "resume with: orchestrator resume" in left.out
    assert sorted(each.application for each in rig.deployments()) == [name for name in NAMES if name != "app-3"]
    ended = elsewhere(rig)("resume", "--state", STATE)
    assert ended.code == 0, ended.err
    assert sorted(each.application for each in rig.deployments()) == NAMES


def test_all_is_stopped_within_five_seconds_also_when_polls_are_throttled(make_rig: MakeRig) -> None:
    names = [f"app-{number}" for number in range(6)]
    rig = make_rig([f"{name}/g" for name in names], faults=Faults(slow=(stuck("*"),)))
    run = rig.command
    run.write(github(names))
    options = ["--on-cancel", "stop", "--poll-interval", "50ms", "--result", "result.json"]
    with run.start("apply", "release.yaml", *options) as process:
        wait_until(lambda: len(rig.deployments()) == len(names), "all deployments")
        rig.set_faults(Faults(slow=(stuck("*"),), throttle=4.0))
        wait_until(lambda: rig.calls(outcome="ThrottlingException") > 1, "throttled polls")
        process.send_signal(signal.SIGINT)
        wait_until(lambda: rig.calls("StopDeployment", "ok") == len(names), "every stop", 5.0)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert set(run.states().values()) == {"stopped"}


def test_what_cannot_be_stopped_is_listed_with_what_would_stop_it(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"], faults=Faults(slow=(stuck("web/g"),)))
    run = rig.command
    run.write(github(["web"]))
    with run.start("apply", "release.yaml", "--on-cancel", "stop") as process:
        wait_until(lambda: len(rig.deployments()) == 1, "a deployment")
        rig.set_faults(Faults(slow=(stuck("web/g"),), reset_before=1.0, operations=("StopDeployment",)))
        assert process.stderr is not None
        for says in ("once more stops", "once more leaves", "leaving at once"):
            process.send_signal(signal.SIGTERM)
            while says not in process.stderr.readline():
                pass
            wait_until(lambda: rig.calls("StopDeployment") > 0, "a stop that gets no answer")
        out, _err = process.communicate(timeout=60)
    made = rig.deployments()[0].id
    assert process.returncode == 143
    assert f"left running: {made} (web/g)" in out
    assert f"stop with: aws deploy stop-deployment --deployment-id {made}" in out
