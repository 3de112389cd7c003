"""Releases that go back: by the policy, on cancel, and by `rollback`."""

from __future__ import annotations

import json
import signal

import pytest
from rig import MakeRig, Rig, wait_until

from orchestrator.sandbox.options import Failure, Faults, stuck

OLD, NEW = "a" * 40, "b" * 40
STATE = "s3://releases/state"


def chain(commit: str, policy: str = "{}") -> str:
    """`web` needs `api`, which needs `db`."""
    lines = ["version: 1", "release: shop", f"policy: {policy}", "applications:"]
    for name, needs in (("db", ""), ("api", "db"), ("web", "api")):
        lines += [f"  {name}:", f"    revision: {{github: {{repository: acme/x, commit: {commit}}}}}"]
        lines += [f"    needs: [{needs}]", "    deployment_groups: [g]"]
    return "\n".join(lines) + "\n"


def standing(make_rig: MakeRig, time_scale: float = 50.0) -> Rig:
    """Three groups in which the old commit stands; the manifest asks for the new one."""
    rig = make_rig(["db/g", "api/g", "web/g"], time_scale=time_scale)
    rig.command.write(chain(OLD))
    assert rig.command("apply", "release.yaml").code == 0
    rig.command.write(chain(NEW))
    return rig


def commits(rig: Rig) -> dict[str, str]:
    """What each group was deployed last."""
    return {each.application: each.revision["gitHubLocation"]["commitId"] for each in rig.deployments()}


def order(rig: Rig, commit: str) -> list[str]:
    made = [each for each in rig.deployments() if each.revision["gitHubLocation"]["commitId"] == commit]
    return [each.application for each in made]


def bad_new(target: str) -> Faults:
    """The new commit fails there, the old one doesn't."""
    return Faults(failures=(Failure(target=target, revision=NEW),))


@pytest.mark.parametrize("scope", ["release", "target"])
def test_a_failed_release_goes_back(make_rig: MakeRig, scope: str) -> None:
    rig = standing(make_rig)
    run = rig.command
    run.write(chain(NEW, f"{{rollback: {scope}}}"))
    rig.set_faults(bad_new("web/g"))
    ended = run("apply", "release.yaml", "--result", "result.json")
    result = run.result()
    if scope == "release":
        assert (ended.code, result["outcome"]) == (4, "rolled_back"), ended.out + ended.err
        assert commits(rig) == {"db": OLD, "api": OLD, "web": OLD}
        assert order(rig, OLD)[3:] == ["web", "api", "db"]
        assert set(run.states().values()) == {"rolled_back"}
    else:
        assert (ended.code, result["outcome"]) == (3, "failed"), ended.out + ended.err
        assert commits(rig) == {"db": NEW, "api": NEW, "web": OLD}
        assert run.states() == {"db/g": "succeeded", "api/g": "succeeded", "web/g": "rolled_back"}
    made = {each.id for each in rig.deployments()}
    back = [each["rollback_deployment_id"] for each in result["targets"]]
    assert set(filter(None, back)) <= made
    assert "exit code 1" in ended.out, "why it failed is still in the last lines"
    listed = json.loads(run("runs", "--output", "json").out)
    assert len(listed) == 3, "the rollback is a run of its own"
    assert run("resume").code == ended.code


def test_what_has_no_earlier_revision_is_named(make_rig: MakeRig) -> None:
    rig = make_rig(["db/g", "api/g", "web/g"])
    run = rig.command
    run.write(chain(NEW, "{rollback: release}"))
    rig.set_faults(bad_new("web/g"))
    ended = run("apply", "release.yaml", "--result", "result.json")
    assert ended.code == 5, ended.out + ended.err
    assert "not rolled back: no earlier successful deployment" in ended.out
    assert run.result()["outcome"] == "rollback_failed"
    assert len(rig.deployments()) == 3


def test_a_rollback_that_fails_for_one_target_is_5(make_rig: MakeRig) -> None:
    rig = standing(make_rig)
    run = rig.command
    run.write(chain(NEW, "{rollback: release}"))
    rig.set_faults(Faults(failures=(Failure(target="web/g"),)))
    ended = run("apply", "release.yaml", "--result", "result.json")
    assert ended.code == 5, ended.out + ended.err
    # What waits for a target that didn't go back stays: to go on would break what that one still needs.
    assert commits(rig) == {"db": NEW, "api": NEW, "web": OLD}
    assert "not rolled back" in ended.out
    again = run("rollback", "--result", "result.json")
    assert again.code == 5
    rig.set_faults(Faults())
    third = run("rollback", "--result", "result.json")
    assert third.code == 4, third.out + third.err
    assert commits(rig) == {"db": OLD, "api": OLD, "web": OLD}


def test_on_cancel_rollback_stops_and_goes_back(make_rig: MakeRig) -> None:
    rig = standing(make_rig)
    run = rig.command
    rig.set_faults(Faults(slow=(stuck("api/g"),)))
    with run.start("apply", "release.yaml", "--on-cancel", "rollback", "--result", "result.json") as process:
        wait_until(lambda: len(rig.deployments("api")) == 2, "the second deployment")
        rig.set_faults(Faults())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 4
    assert run.states() == {"db/g": "rolled_back", "api/g": "rolled_back", "web/g": "cancelled"}
    assert order(rig, OLD)[3:] == ["api", "db"]


@pytest.mark.parametrize("state", [None, STATE])
def test_a_finished_run_is_rolled_back_later(make_rig: MakeRig, state: str | None) -> None:
    rig = standing(make_rig)
    run = rig.command
    where = [] if state is None else ["--state", state]
    assert run("apply", "release.yaml", *where).code == 0
    shown = run("rollback", "--dry-run", *where)
    assert shown.code == 0
    assert [line.split()[2] for line in shown.out.splitlines() if " < " in line] == ["web/g", "api/g", "db/g"]
    assert json.loads(run("rollback", "--dry-run", "--output", "json", *where).out)["targets"][0]["target"] == "web/g"
    assert commits(rig)["web"] == NEW, "a dry run does nothing"
    ended = run("rollback", *where, "--result", "result.json")
    assert ended.code == 4, ended.out + ended.err
    assert commits(rig) == {"db": OLD, "api": OLD, "web": OLD}
    again = run("rollback", *where)
    assert again.code == 4
    assert "nothing that could go back" in again.err
    assert len(rig.deployments()) == 9


def test_what_was_deployed_to_since_is_refused(make_rig: MakeRig) -> None:
    rig = standing(make_rig)
    run = rig.command
    assert run("apply", "release.yaml").code == 0
    run.write(chain("c" * 40))
    first = json.loads(run("runs", "--output", "json").out)[0]["run"]
    assert run("apply", "release.yaml", "--select", "web").code == 0
    refused = run("rollback", first)
    assert refused.code == 6
    assert "web/g: d-" in refused.err
    assert "--force" in refused.err
    assert run("rollback", first, "--force").code == 4
    assert commits(rig) == {"db": OLD, "api": OLD, "web": OLD}


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_rollback_that_is_killed_is_gone_on_with(make_rig: MakeRig, moment: int) -> None:
    """After so many of its own deployments."""
    rig = standing(make_rig, time_scale=10)
    run = rig.command
    run.write(chain(NEW, "{rollback: release}"))
    rig.set_faults(bad_new("web/g"))
    with run.start("apply", "release.yaml") as process:
        wait_until(lambda: len(rig.deployments()) == 6 + moment, "the rollback's deployments", 60)
        process.kill()
        process.communicate()
    ended = run("resume", "--result", "result.json")
    assert ended.code == 4, ended.out + ended.err
    assert order(rig, OLD)[3:] == ["web", "api", "db"]
    assert set(run.states().values()) == {"rolled_back"}


def test_the_run_to_roll_back_is_carried_on_elsewhere(make_rig: MakeRig) -> None:
    rig = standing(make_rig)
    run = rig.command
    rig.set_faults(Faults(slow=(stuck("api/g"),)))
    with run.start("apply", "release.yaml") as process:
        wait_until(lambda: len(rig.deployments("api")) == 2, "the second deployment")
        refused = run("rollback")
        assert refused.code == 6, refused.err
        rig.set_faults(Faults())
        process.kill()
        process.communicate()
    ended = run("rollback", "--result", "result.json")
    assert ended.code == 4, ended.out + ended.err
    assert run.states()["web/g"] == "skipped"
    assert commits(rig) == {"db": OLD, "api": OLD, "web": OLD}
