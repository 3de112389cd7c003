"""`apply`, `plan`, `status` and `runs` as processes, against the sandbox."""

from __future__ import annotations

import json
import signal
from datetime import datetime

import pytest
from rig import Command, MakeRig, github, interrupt, wait_until

from orchestrator.sandbox.options import Failure, Faults, stuck

SHOP = """
version: 1
release: shop-1
policy: {on_failure: continue}
defaults: {bucket: releases, prefix: bundles}
applications:
  db: {revision: {source: ./app}, deployment_groups: [primary]}
  api: {revision: {source: ./app}, needs: [db], deployment_groups: {canary: {}, fleet: {needs: [api/canary]}}}
  web: {revision: {github: {repository: acme/web, commit: 4f2a91c}}, needs: [api/fleet], deployment_groups: [fleet]}
  jobs: {revision: {source: ./app}, after: [db], deployment_groups: [fleet]}
"""
GROUPS = ["db/primary", "api/canary", "api/fleet", "web/fleet", "jobs/fleet"]


def test_a_release_goes_out_in_order_and_a_second_run_changes_nothing(make_rig: MakeRig) -> None:
    rig = make_rig(GROUPS)
    run = rig.command
    run.write(SHOP)
    run.bundle()
    first = run("apply", "release.yaml", "--result", "result.json", "--events", "events.jsonl")
    assert first.code == 0, first.err
    assert run.states() == dict.fromkeys(GROUPS, "succeeded")
    assert run.result()["outcome"] == "succeeded"
    ended = {f"{each.application}/{each.deployment_group}": each for each in rig.deployments()}
    assert ended["api/canary"].created >= ended["db/primary"].ended
    assert ended["api/fleet"].created >= ended["api/canary"].ended
    assert ended["web/fleet"].created >= ended["api/fleet"].ended
    assert first.out.rstrip().splitlines()[-1].startswith("outcome: succeeded")

    plan = run("plan", "release.yaml", "--detailed-exitcode")
    assert (plan.code, "0 of 5 targets to deploy" in plan.out) == (0, True)
    second = run("apply", "release.yaml", "--result", "result.json")
    assert (second.code, run.states()) == (0, dict.fromkeys(GROUPS, "unchanged"))
    assert len(rig.deployments()) == 5

    forced = run("apply", "release.yaml", "--force", "--select", "db", "--result", "result.json")
    assert (forced.code, run.states()) == (0, {"db/primary": "succeeded"})
    assert len(rig.deployments()) == 6


def test_the_events_are_numbered_and_say_what_the_result_says(make_rig: MakeRig) -> None:
    run = make_rig(GROUPS).command
    run.write(SHOP)
    run.bundle()
    ended = run("apply", "release.yaml", "--output", "json", "--events", "events.jsonl", "--result", "result.json")
    assert ended.code == 0, ended.err
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {event["v"] for event in events} == {1}
    assert (events[0]["type"], events[-1]["type"]) == ("run_started", "run_finished")
    assert all(datetime.fromisoformat(event["ts"]).tzinfo is not None for event in events)
    finished = {event["target"]: event["state"] for event in events if event["type"] == "target_finished"}
    assert finished == run.states()
    assert (run.folder / "events.jsonl").read_text() == ended.out
    journal = run.folder / ".orchestrator" / "runs" / events[0]["run"] / "journal.jsonl"
    assert journal.read_text() == ended.out


def test_a_changed_bundle_is_deployed_and_one_bundle_is_uploaded_once(make_rig: MakeRig) -> None:
    rig = make_rig(GROUPS)
    run = rig.command
    run.write(SHOP)
    run.bundle()
    assert run("apply", "release.yaml", "--select", "api").code == 0
    puts = rig.portal.call(rig.endpoint.calls.total, "PutObject")
    assert puts == 1
    run.write("<h1>new</h1>", "app/index.html")
    ended = run("apply", "release.yaml", "--select", "api", "--result", "result.json")
    assert ended.code == 0, ended.err
    assert run.states() == {"api/canary": "succeeded", "api/fleet": "succeeded"}
    revision = run.result()["targets"][0]["revision"]["s3Location"]
    assert revision["version"]
    assert revision["eTag"].strip('"')
    assert run.result()["targets"][0]["digest"].removeprefix("sha256:") in revision["key"]


def test_a_failure_ends_with_the_script_that_failed(make_rig: MakeRig) -> None:
    failure = Failure(
        target="api/canary", event="AfterInstall", script="scripts/migrate.sh", log_tail="relation exists"
    )
    rig = make_rig(GROUPS, faults=Faults(failures=(failure,)))
    run = rig.command
    run.write(SHOP)
    run.bundle()
    ended = run("apply", "release.yaml", "--result", "result.json")
    assert ended.code == 3
    assert run.states() == {
        "db/primary": "succeeded",
        "api/canary": "failed",
        "api/fleet": "skipped",
        "web/fleet": "skipped",
        "jobs/fleet": "succeeded",
    }
    skipped = next(each for each in run.result()["targets"] if each["target"] == "web/fleet")
    assert skipped["blocked_by"] == ["api/canary"]
    last = "\n".join(ended.out.splitlines()[-25:])
    for part in ("AfterInstall", "scripts/migrate.sh", "ScriptFailed", "relation exists", "HEALTH_CONSTRAINTS"):
        assert part in last


def test_a_rollback_of_codedeploys_own_is_followed(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"], auto_rollback=("DEPLOYMENT_FAILURE",))
    run = rig.command
    run.write(github(["web"]))
    assert run("apply", "release.yaml").code == 0
    rig.set_faults(Faults(failures=(Failure(target="web/g", revision="b" * 40),)))
    run.write(github(["web"]).replace("a" * 40, "b" * 40))
    ended = run("apply", "release.yaml", "--result", "result.json")
    assert (ended.code, run.states()) == (4, {"web/g": "rolled_back"})
    assert run.result()["outcome"] == "rolled_back"
    assert run.result()["targets"][0]["rollback_deployment_id"]


# --- what it must survive -------------------------------------------------------------------------------------------


@pytest.mark.long
def test_throttling_at_five_calls_a_second_fails_nothing(make_rig: MakeRig) -> None:
    names = [f"app-{number:02}" for number in range(60)]
    rig = make_rig([f"{name}/g" for name in names], faults=Faults(throttle=5), time_scale=100)
    run = rig.command
    run.write(github(names))
    ended = run("apply", "release.yaml", "--result", "result.json")
    assert ended.code == 0, ended.out + ended.err
    assert len(rig.deployments()) == 60
    throttled = rig.calls(outcome="ThrottlingException")
    assert 0 < throttled <= 0.05 * rig.calls()


def test_lost_answers_and_500s_deploy_nothing_twice(make_rig: MakeRig) -> None:
    names = [f"app-{number:02}" for number in range(40)]
    faults = Faults(error_rate=0.05, reset_before=0.05, reset_after=0.05)
    rig = make_rig([f"{name}/g" for name in names], faults=faults)
    run = rig.command
    run.write(github(names))
    ended = run("apply", "release.yaml", "--result", "result.json")
    assert ended.code == 0, ended.out + ended.err
    assert set(run.states().values()) == {"succeeded"}
    assert sorted(each.application for each in rig.deployments()) == names


def test_every_create_answer_lost_is_adopted(make_rig: MakeRig) -> None:
    names = ["a", "b", "c"]
    rig = make_rig(
        [f"{name}/g" for name in names], faults=Faults(reset_after=1.0, operations=("CreateDeployment",)), time_scale=20
    )
    run = rig.command
    run.write(github(names))
    ended = run("apply", "release.yaml", "--result", "result.json")
    assert ended.code == 0, ended.out + ended.err
    assert len(rig.deployments()) == 3


def test_odd_answers_decide_nothing(make_rig: MakeRig) -> None:
    names = [f"app-{number}" for number in range(8)]
    rig = make_rig([f"{name}/g" for name in names], faults=Faults(unknown_status=0.3, omit=0.3), time_scale=10)
    run = rig.command
    run.write(github(names))
    ended = run("apply", "release.yaml", "--result", "result.json")
    assert ended.code == 0, ended.out + ended.err
    assert set(run.states().values()) == {"succeeded"}


@pytest.mark.long
def test_a_token_that_expires_in_the_middle_says_what_still_runs(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"], faults=Faults(slow=(stuck("web/g"),)))
    run = rig.command
    run.write(github(["web"]))
    with run.start("apply", "release.yaml", "--result", "result.json") as process:
        wait_until(lambda: len(rig.deployments()) == 1, "a deployment")
        rig.set_faults(Faults(expired=True))
        out, _err = process.communicate(timeout=90)
    assert process.returncode == 3
    assert run.states() == {"web/g": "errored"}
    assert rig.deployments()[0].id in out
    assert "still running" in out


# --- signals --------------------------------------------------------------------------------------------------------


def interrupted(make_rig: MakeRig, mode: str, *signals: signal.Signals) -> tuple[Command, int, str]:
    """A long target and one that needs it, interrupted while the first runs."""
    rig = make_rig(["long/g", "next/g"], time_scale=10)
    run = rig.command
    run.write(github(["long", "next"]).replace("  next:", "  next:\n    needs: [long]"))
    with run.start("apply", "release.yaml", "--on-cancel", mode, "--result", "result.json") as process:
        wait_until(lambda: len(rig.deployments()) == 1, "a deployment")
        assert process.stderr is not None
        for number, each in enumerate(signals):
            interrupt(process, each)
            while number + 1 < len(signals) and each.name not in process.stderr.readline():
                pass
        out, _err = process.communicate(timeout=60)
    assert len(rig.deployments()) == 1
    return run, process.returncode, out


def test_the_first_signal_waits_for_what_runs(make_rig: MakeRig) -> None:
    run, code, _out = interrupted(make_rig, "wait", signal.SIGINT)
    assert (code, run.states()) == (130, {"long/g": "succeeded", "next/g": "cancelled"})
    assert run.result()["outcome"] == "cancelled"


def test_the_first_signal_stops_what_runs_when_asked_to(make_rig: MakeRig) -> None:
    run, code, _out = interrupted(make_rig, "stop", signal.SIGTERM)
    assert (code, run.states()) == (143, {"long/g": "stopped", "next/g": "cancelled"})


def test_the_first_signal_detaches_when_asked_to(make_rig: MakeRig) -> None:
    run, code, out = interrupted(make_rig, "detach", signal.SIGINT)
    assert code == 130
    assert run.states()["long/g"] == "running"
    assert run.result()["targets"][0]["deployment_id"] in out
    assert "left running" in run("runs").out


def test_the_second_signal_stops_our_deployments(make_rig: MakeRig) -> None:
    run, code, _out = interrupted(make_rig, "wait", signal.SIGINT, signal.SIGINT)
    assert (code, run.states()) == (130, {"long/g": "stopped", "next/g": "cancelled"})


# --- journals -------------------------------------------------------------------------------------------------------


def test_status_and_runs(make_rig: MakeRig) -> None:
    run = make_rig(["web/g"]).command
    run.write(github(["web"]))
    assert run("runs").out.strip() == "no runs yet"
    nothing = run("status")
    assert nothing.code == 2
    assert run("apply", "release.yaml", "--result", "result.json").code == 0
    shown = run("status", "--output", "json")
    assert json.loads(shown.out) == run.result()
    listed = run("runs")
    assert run.result()["run"] in listed.out
    assert "succeeded" in listed.out
    assert run("status", "nonsense").code == 2


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("needs: [db]", "needs: [dbb]"), "did you mean"),
        (("bucket: releases", "bukket: releases"), "bukket"),
        (("source: ./app", "source: ./nowhere"), "nowhere"),
    ],
)
def test_a_broken_manifest_makes_no_call(make_rig: MakeRig, change: tuple[str, str], says: str) -> None:
    rig = make_rig(GROUPS)
    run = rig.command
    run.bundle()
    run.write(SHOP.replace(*change))
    for name in ("plan", "apply"):
        ended = run(name, "release.yaml")
        assert ended.code == 2, ended.err
        assert says in ended.err
        assert "release.yaml:" in ended.err
    assert rig.endpoint.calls.total() == 0
    assert not (run.folder / ".orchestrator").exists()


def test_a_group_that_is_not_there_is_named(make_rig: MakeRig) -> None:
    run = make_rig(["web/g"]).command
    run.write(github(["web", "wob", "wub"]))
    ended = run("apply", "release.yaml")
    assert ended.code == 2
    assert "'wob'" in ended.err
    assert "'wub'" in ended.err


def test_wrong_options(make_rig: MakeRig) -> None:
    run = make_rig(["web/g"]).command
    run.write(github(["web"]))
    for arguments in (
        ["apply"],
        ["apply", "nowhere.yaml"],
        ["apply", "release.yaml", "--select", "wob"],
        ["apply", "release.yaml", "--exclude", "web"],
        ["apply", "release.yaml", "--poll-interval", "soon"],
        ["apply", "release.yaml", "--on-cancel", "perhaps"],
        ["apply", "release.yaml", "-e", "prod"],
        ["apply", "release.yaml", "--result", "no/such/folder/r.json"],
        ["apply", "release.yaml", "--state", "s3://nowhere/state"],
        ["apply", "release.yaml", "--state", "https://nowhere/state"],
        ["apply", "release.yaml", "--lock-wait", "soon"],
        ["aply", "release.yaml"],
    ):
        ended = run(*arguments)
        assert ended.code == 2, (arguments, ended)
        assert ended.err.strip()
        assert "Traceback" not in ended.err


def test_no_endpoint_at_all_is_an_error_with_a_hint(command: Command) -> None:
    """Nothing listens there: reads give up after a while, and nothing was started."""
    command.environment = {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    }
    command.write(github(["web"]))
    ended = command("plan", "release.yaml")
    assert ended.code == 3
    assert "127.0.0.1:9" in ended.err


def test_no_credentials(command: Command) -> None:
    command.environment = {
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "HOME": str(command.folder),
    }
    command.write(github(["web"]))
    ended = command("plan", "release.yaml")
    assert ended.code == 3
    assert "credentials" in ended.err.lower()
