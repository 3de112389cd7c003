"""`wait` as a process: whatever somebody else has started, watched to its end."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest
from awscli import open_client
from markup import read
from rig import MakeRig, Rig, interrupt, wait_until

from orchestrator.sandbox.options import Failure, Faults, stuck

LOST = "d-UNKNOWN00"


def create(rig: Rig, *applications: str, commit: str = "a" * 40) -> list[str]:
    """Deployments of the groups `g` that somebody else has started."""
    client = open_client("codedeploy", rig.command.environment)
    try:
        return [_create(client, each, commit) for each in applications]
    finally:
        client.close()


def _create(client: Any, application: str, commit: str) -> str:
    answer = client.create_deployment(
        applicationName=application,
        deploymentGroupName="g",
        revision={"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/x", "commitId": commit}},
    )
    return str(answer["deploymentId"])


def statuses(rig: Rig) -> list[str]:
    return [each.status for each in rig.deployments()]


def last_lines(out: str, count: int = 20) -> str:
    return "\n".join(out.splitlines()[-count:])


# --- where the ids come from ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["arguments", "lines", "json", "jsons", "list"])
def test_ids_come_as_arguments_or_on_stdin_in_any_form(make_rig: MakeRig, form: str) -> None:
    rig = make_rig(["a/g", "b/g"])
    ids = create(rig, "a", "b")
    texts = {
        "lines": "\n".join(ids) + "\n",
        "json": json.dumps({"deployments": ids}),
        "jsons": "".join(json.dumps({"deploymentId": each}, indent=4) + "\n" for each in ids),
        "list": json.dumps(ids),
    }
    if form == "arguments":
        ended = rig.command("wait", *ids, ids[0], "--result", "result.json")
    else:
        ended = rig.command("wait", "--result", "result.json", stdin=texts[form])
    assert ended.code == 0, ended.err
    assert rig.command.states() == {"a/g": "succeeded", "b/g": "succeeded"}
    assert [each["deployment_id"] for each in rig.command.result()["targets"]] == ids
    assert ended.out.splitlines()[-1].startswith("outcome: succeeded (2 succeeded)")
    assert not (rig.command.folder / ".orchestrator").exists()


def test_the_stock_cli_is_piped_in(make_rig: MakeRig) -> None:
    rig = make_rig(["a/g"])
    script = (
        "$AWS deploy create-deployment --application-name a --deployment-group-name g"
        f" --github-location repository=acme/x,commitId={'a' * 40} | $ORCHESTRATOR wait"
    )
    ended = rig.command.shell(script)
    assert ended.code == 0, ended.err
    assert rig.deployments()[0].id in ended.out
    assert statuses(rig) == ["Succeeded"]


def test_many_at_once_are_asked_about_in_batches(make_rig: MakeRig) -> None:
    names = [f"app-{number:02}" for number in range(60)]
    rig = make_rig([f"{name}/g" for name in names], time_scale=20)
    ids = create(rig, *names)
    ended = rig.command("wait", "--output", "json", stdin=" ".join(ids))
    assert ended.code == 0, ended.err
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert sum(each["type"] == "target_finished" for each in events) == 60
    assert rig.calls("GetDeployment") == 0
    assert rig.calls("BatchGetDeployments") <= 40


def test_what_is_no_id_is_refused_before_any_call(make_rig: MakeRig) -> None:
    rig = make_rig(["a/g"])
    for stdin, says in {
        "": "no deployment ids",
        "garbage": "'garbage' is no deployment id",
        "{}": "no deploymentId",
        '{"deploymentId": ': "no JSON",
        "\0\x1b[31m": "is no deployment id",
    }.items():
        ended = rig.command("wait", stdin=stdin)
        assert ended.code == 2, stdin
        assert says in ended.err
        assert "\x1b" not in ended.err
    assert rig.endpoint.calls.total() == 0


def test_an_unknown_id_is_named(make_rig: MakeRig) -> None:
    rig = make_rig(["a/g"], faults=Faults(slow=(stuck("a/g"),)))
    ended = rig.command("wait", *create(rig, "a"), LOST)
    assert ended.code == 2
    assert LOST in ended.err
    assert rig.deployments()[0].id not in ended.err
    assert "hint: " in ended.err


def test_without_a_region_nothing_is_asked(make_rig: MakeRig) -> None:
    rig = make_rig(["a/g"])
    kept = {name: value for name, value in rig.command.environment.items() if "REGION" not in name}
    rig.command.environment = {**kept, "HOME": str(rig.command.folder)}
    ended = rig.command("wait", LOST)
    assert ended.code == 2
    assert "AWS_REGION" in ended.err
    rig.command.write("[profile ci]\nregion = eu-west-1\n", ".aws/config")
    rig.command.write("[ci]\naws_access_key_id = x\naws_secret_access_key = y\n", ".aws/credentials")
    rig.command.environment = {**rig.command.environment, "AWS_PROFILE": "ci"}
    ended = rig.command("wait", LOST)
    assert "no such deployment in eu-west-1" in ended.err


# --- how they end ---------------------------------------------------------------------------------------------------


def test_a_failure_ends_with_the_script_and_its_log(make_rig: MakeRig) -> None:
    failure = Failure(
        target="bad/g", event="AfterInstall", script="scripts/migrate.sh", log_tail="one\nrelation \x1b[2Jexists"
    )
    rig = make_rig(["good/g", "bad/g"], faults=Faults(failures=(failure,)))
    ended = rig.command("wait", *create(rig, "good", "bad"), "--result", "result.json", "--report", "report.html")
    assert ended.code == 3
    assert rig.command.states() == {"good/g": "succeeded", "bad/g": "failed"}
    last = last_lines(ended.out)
    for part in ("AfterInstall", "scripts/migrate.sh", "ScriptFailed", "relation", "HEALTH_CONSTRAINTS"):
        assert part in last
    assert (
        "scripts/migrate.sh"
        in read((rig.command.folder / "report.html").read_text()).one("section", id="failures").text
    )
    assert "\x1b" not in ended.out + ended.err
    assert max(len(line) for line in ended.out.splitlines() if "bad/g" in line and "failed  " in line) <= 80


def test_a_stopped_deployment_fails_the_build(make_rig: MakeRig) -> None:
    rig = make_rig(["a/g"], faults=Faults(slow=(stuck("a/g"),)))
    ids = create(rig, "a")
    with rig.command.start("wait", *ids, "--result", "result.json") as process:
        wait_until(lambda: rig.calls("BatchGetDeployments") >= 2, "a look")
        client = open_client("codedeploy", rig.command.environment)
        client.stop_deployment(deploymentId=ids[0])
        client.close()
        out, _err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert rig.command.states() == {"a/g": "stopped"}
    assert out.splitlines()[-1].startswith("outcome: failed (1 stopped)")


def test_a_rollback_of_codedeploys_own_is_followed_to_its_end(make_rig: MakeRig) -> None:
    rig = make_rig(["a/g"], auto_rollback=("DEPLOYMENT_FAILURE",))
    first = create(rig, "a")
    assert rig.command("wait", *first).code == 0
    rig.set_faults(Faults(failures=(Failure(target="a/g", revision="b" * 40),)))
    ended = rig.command("wait", *create(rig, "a", commit="b" * 40), "--result", "result.json")
    assert ended.code == 4
    assert rig.command.states() == {"a/g": "rolled_back"}
    assert rig.command.result()["targets"][0]["rollback_deployment_id"] in ended.out


def test_throttled_looks_fail_nothing(make_rig: MakeRig) -> None:
    names = [f"app-{number:02}" for number in range(30)]
    rig = make_rig([f"{name}/g" for name in names], time_scale=20)
    ids = create(rig, *names)
    rig.set_faults(Faults(throttle=1, error_rate=0.2))
    ended = rig.command("wait", *ids, "--result", "result.json", "--poll-interval", "200ms")
    assert ended.code == 0, ended.err
    assert set(rig.command.states().values()) == {"succeeded"}
    assert rig.calls(outcome="ThrottlingException") > 0


# --- leaving --------------------------------------------------------------------------------------------------------


def leave(rig: Rig, ids: Sequence[str], *options: str, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    with rig.command.start("wait", *ids, *options) as process:
        wait_until(lambda: rig.calls("BatchGetDeployments") >= 2, "a look")
        interrupt(process, number)
        out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess([], process.returncode, out, err)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_deployment_alone(make_rig: MakeRig, number: signal.Signals) -> None:
    rig = make_rig(["a/g"], faults=Faults(slow=(stuck("a/g"),)))
    ids = create(rig, "a")
    ended = leave(rig, ids, number=number)
    assert ended.returncode == 128 + number
    assert rig.deployments()[0].ended is None
    assert rig.calls("StopDeployment") == 0
    assert f"follow with: orchestrator wait {ids[0]}" in ended.stdout
    assert "Traceback" not in ended.stderr


def test_a_signal_stops_the_deployment_when_asked_to(make_rig: MakeRig) -> None:
    rig = make_rig(["a/g"], faults=Faults(slow=(stuck("a/g"),)))
    ended = leave(rig, create(rig, "a"), "--on-cancel", "stop", number=signal.SIGINT)
    assert ended.returncode == 130
    assert statuses(rig) == ["Stopped"]


def test_leaving_after_a_while_is_exit_code_8(make_rig: MakeRig) -> None:
    rig = make_rig(["a/g", "b/g"], faults=Faults(slow=(stuck("a/g"),)))
    ids = create(rig, "a", "b")
    ended = rig.command("wait", *ids, "--for", "3s", "--result", "result.json")
    assert ended.code == 8, ended.err
    assert rig.command.result()["outcome"] == "running"
    assert rig.command.states() == {"a/g": "running", "b/g": "succeeded"}
    assert f"follow with: orchestrator wait {ids[0]}\n" in ended.out
    assert rig.deployments()[0].ended is None
