"""`orchestrator sandbox --fleet`, a process of its own, as the stock AWS CLI sees it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rig import Command, github, interrupt

FLEET = """
seed: 3
time_scale: 300
region: eu-west-1
speeds: {lead: 1s, event: 20s, drain: 1s, provision: 20s}
groups:
  shop/fleet:
    instances: [{count: 3, zone: eu-west-1a}, {name: bad, zone: eu-west-1b}]
    deployment_config: CodeDeployDefault.HalfAtATime
    auto_rollback: [DEPLOYMENT_FAILURE]
  shop/green: {blue_green: {ready_wait: 48h}}
instances:
  - {name: db, count: 2, tags: {role: db}}
faults:
  - {target: shop/fleet, revision: v2, instances: [0, 1, bad], fails: AfterInstall, script: migrate.sh, log: no table}
"""
Aws = Callable[..., Any]


@contextmanager
def rehearsing(command: Command) -> Iterator[Aws]:
    """Gives `aws deploy …`, whose answer is JSON."""
    (command.folder / "fleet.yaml").write_text(FLEET)

    def aws(*words: str) -> Any:
        line = " ".join(f"'{word}'" for word in words)
        found = command.shell(f". ./sandbox.env; $AWS deploy {line} --output json", AWS_PAGER="")
        assert found.code == 0, found.err
        return json.loads(found.out) if found.out.strip() else None

    with command.start("sandbox", "--fleet", "fleet.yaml", "--env-file", "sandbox.env") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("sandbox: http://")
        yield aws
        interrupt(process)
        process.communicate(timeout=30)
    assert process.returncode == 0


def until(aws: Aws, deployment_id: str, *statuses: str) -> Any:
    """Looked for by hand: the CLI's own waiter looks every 15 s."""
    while True:
        info = aws("get-deployment", "--deployment-id", deployment_id)["deploymentInfo"]
        if info["status"] in statuses:
            return info


def ended(aws: Aws, deployment_id: str) -> Any:
    return until(aws, deployment_id, "Succeeded", "Failed", "Stopped")


def deploy(aws: Aws, group: str, commit: str) -> str:
    location = f"repository=acme/shop,commitId={commit}"
    names = ("--application-name", "shop", "--deployment-group-name", group)
    return str(aws("create-deployment", *names, "--github-location", location)["deploymentId"])


def test_a_rehearsal_of_a_failure_and_of_blue_green(command: Command) -> None:
    with rehearsing(command) as aws:
        good = deploy(aws, "fleet", "v1")
        assert ended(aws, good)["status"] == "Succeeded"
        bad, green = deploy(aws, "fleet", "v2"), deploy(aws, "green", "v1")
        info = ended(aws, bad)
        assert info["errorInformation"]["code"] == "HEALTH_CONSTRAINTS"
        assert info["deploymentOverview"]["Failed"] == 2  # the first two; the third and the last were left alone
        assert ended(aws, info["rollbackInfo"]["rollbackDeploymentId"])["creator"] == "codeDeployRollback"
        until(aws, green, "Ready")
        aws("continue-deployment", "--deployment-id", green, "--deployment-wait-type", "READY_WAIT")
        assert ended(aws, green)["status"] == "Succeeded"
        aws("wait", "deployment-successful", "--deployment-id", green)
        line = f". ./sandbox.env; $AWS deploy wait deployment-successful --deployment-id {bad}"
        assert command.shell(line).code == 255


def test_tags_choose_from_the_fleet(command: Command) -> None:
    with rehearsing(command) as aws:
        role = ("--service-role-arn", "arn:aws:iam::000000000000:role/r")
        names = ("--application-name", "shop", "--deployment-group-name", "db")
        aws("create-deployment-group", *names, *role, "--ec2-tag-filters", "Key=role,Value=db,Type=KEY_AND_VALUE")
        deployment_id = deploy(aws, "db", "v1")
        assert ended(aws, deployment_id)["status"] == "Succeeded"
        assert len(aws("list-deployment-targets", "--deployment-id", deployment_id)["targetIds"]) == 2


def test_a_broken_fleet_starts_nothing(command: Command) -> None:
    (command.folder / "fleet.yaml").write_text("sede: 1\ngroups:\n  shop/fleet: {instance: 3}\n")
    ended = command("sandbox", "--fleet", "fleet.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert "fleet.yaml:1:1: unknown key 'sede' (did you mean 'seed'?)" in ended.err
    assert "fleet.yaml:3:16: groups.shop/fleet: unknown key 'instance' (did you mean 'instances'?)" in ended.err
    assert command("sandbox", "--fleet", "missing.yaml").code == 2


def test_apply_rehearses_with_a_fleet(command: Command) -> None:
    command.write(github(["web"], state="./state"))
    fleet = "time_scale: 0\nfaults:\n  - {target: web/*, instances: [0], fails: ValidateService, log: no answer}\n"
    (command.folder / "fleet.yaml").write_text(fleet)
    ended = command("apply", "release.yaml", "--sandbox", "--fleet", "fleet.yaml")
    assert ended.code == 3
    assert "no answer" in ended.err + ended.out
    refused = command("apply", "release.yaml", "--fleet", "fleet.yaml")
    assert (refused.code, "give --sandbox" in refused.err) == (2, True)
    (command.folder / "fleet.yaml").write_text("groups:\n  web/h: {}\n")
    unknown = command("apply", "release.yaml", "--sandbox", "--fleet", "fleet.yaml")
    assert unknown.code == 2
    assert "fleet.yaml:2:3: groups: the manifest has no group web/h (did you mean 'web/g'?)" in unknown.err
