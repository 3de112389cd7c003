"""The fleet file: read whole, broken in every way, brought together with a manifest, and played."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pages
import pytest
from click.testing import CliRunner
from service import GITHUB, REGION, Service, serving

from orchestrator.cli.main import cli
from orchestrator.sandbox.fleet import FleetSpec, GroupSpec
from orchestrator.sandbox.fleetfile import read_fleet
from orchestrator.sandbox.fleetmerge import merged_faults, merged_fleet
from orchestrator.sandbox.fleetnodes import FleetFileError
from orchestrator.sandbox.options import Failure, Faults, SandboxOptions

pytestmark = pytest.mark.anyio

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def written(folder: Path, text: str) -> Path:
    path = folder / "fleet.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def fleet_of(*targets: str) -> FleetSpec:
    groups = (target.split("/") for target in targets)
    return FleetSpec(groups=tuple(GroupSpec(application=a, deployment_group=g, region=REGION) for a, g in groups))


def test_the_example_of_the_docs_is_read_whole(tmp_path: Path) -> None:
    (example,) = [block for block in pages.blocks(pages.page("sandbox"), "yaml") if "time_scale:" in block]
    file = read_fleet(written(tmp_path, example))
    fleet = merged_fleet(file, FleetSpec())
    faults = merged_faults(file, Faults())
    assert SandboxOptions(faults=faults, speeds=file.speeds, functions=file.functions, alarms=file.alarms).seed == 0
    assert {group.platform for group in fleet.groups} == {"Server", "ECS", "Lambda"}
    assert any(group.blue_green for group in fleet.groups)
    assert fleet.configs[0].zonal
    assert len(fleet.instances) == 3
    assert {type(fault).__name__ for fault in (*faults.failures, *faults.slow, *faults.lost, *faults.alarms)} == {
        "Failure",
        "Slow",
        "Lost",
        "AlarmFault",
    }
    assert faults.throttled == {"BatchGetDeployments": 2.0}
    assert file.repositories["acme/web"] == tmp_path / "../web"


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    fleet = fleet_of("shop/fleet")
    for text in ("", "# nothing\n", "groups: {}\n"):
        file = read_fleet(written(tmp_path, text))
        assert merged_fleet(file, fleet) == fleet
        assert merged_faults(file, Faults()) == Faults()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sede: 1", "1:1: unknown key 'sede' (did you mean 'seed'?)"),
        ("seed: x", "1:7: seed: 'x' is no whole number"),
        ("time_scale: -1", "1:13: time_scale: -1 is out of range: from 0"),
        ("time_scale: fast", "1:13: time_scale: 'fast' is no number"),
        ("time_scale:", "1:12: time_scale: expected a number, got nothing"),
        ("seed: [1]", "1:7: seed: expected a whole number, got a list"),
        ("- 1", "1:1: expected a mapping"),
        ("seed: 1\nseed: 2", "2:1: seed is there twice"),
        ("a: [", "1:5: expected the node content"),
        ("groups: {shop: {}}", "1:10: groups: 'shop' isn't application/deployment_group"),
        ("groups: {a/b: {instances: 1001}}", "1:27: groups.a/b.instances: 1001 is out of range: from 0 to 1000"),
        ("groups: {a/b: {instances: [{zon: x}]}}", "(did you mean 'zone'?)"),
        ("groups: {a/b: {instances: [{count: 0}]}}", "groups.a/b.instances[0].count: 0 is out of range"),
        ("groups: {a/b: {instances: [{platform: Linux}]}}", "unknown platform 'Linux' (did you mean 'linux'?)"),
        ("groups: {a/b: {auto_rollback: [DEPLOYMENT_FAIL]}}", "(did you mean 'DEPLOYMENT_FAILURE'?)"),
        ("groups: {a/b: {compute_platform: ECS}}", "1:15: groups.a/b: compute_platform ECS needs an ecs_service"),
        ("groups: {a/b: {compute_platform: Lambda, instances: 1}}", "Lambda has none"),
        ("groups: {a/b: {blue_green: {ready_wait: 1 hour}}}", "'1 hour' is no duration: 500ms, 90s, 45m, 1h30m"),
        ("instances: [{name: a}]", "1:13: instances[0]: tags are missing: no group would find it"),
        ("instances: [{on_premises: true, tags: {a: b}}]", "an on-premises instance needs a name"),
        ("speeds: {event: 3s-1s}", "'3s-1s' is neither a duration nor two of them"),
        ("speeds: {events: {ApplicationStrat: 1s}}", "(did you mean 'ApplicationStart'?)"),
        ("deployment_configs: {slow: {}}", "1:28: deployment_configs.slow: minimum_healthy is missing"),
        ("deployment_configs: {slow: {minimum_healthy: 100%}}", "'100%' isn't a number of hosts"),
        ("faults: [{target: a/b}]", "1:10: faults[0]: a fault is exactly one of fails, slow, stuck, lost, alarm; "),
        ("faults: [{fails: Install}]", "1:10: faults[0]: target is missing"),
        ("faults: [{target: a/b, fails: Install, slow: 2}]", "it has fails and slow"),
        ("faults: [{target: a/b, lost: Install, after: 1s}]", "after goes with alarm, not with lost"),
        ("faults: [{target: a/b, fails: Instal}]", "(did you mean 'Install'?)"),
        ("faults: [{target: a/b, fails: Install, chance: 120%}]", "120% is out of range: 0 to 1, or 0% to 100%"),
        ("calls: {throttle: 0}", "1:19: calls.throttle: 0 is out of range: more than 0"),
        ("calls: {error_rate: often}", "'often' is no probability"),
        ("calls: {services: [code]}", "1:20: calls.services[0]: unknown service 'code'"),
        ("functions: {check: {reports: success}}", "unknown report 'success'"),
        ("alarms: {p99: red}", "1:15: alarms.p99: unknown state 'red'; there are off, on, unreadable"),
        ("repositories: {web: ../web}", "'web' isn't owner/name"),
    ],
)  # fmt: skip
def test_every_mistake_has_its_position_and_its_words(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(FleetFileError) as caught:
        read_fleet(path)
    assert str(caught.value).startswith(f"{path}:")
    assert message in str(caught.value)


def test_all_mistakes_come_at_once_in_their_order(tmp_path: Path) -> None:
    path = written(tmp_path, "sede: 1\nspeeds:\n  lead: soon\nfaults:\n  - {}\n")
    with pytest.raises(FleetFileError) as caught:
        read_fleet(path)
    lines = str(caught.value).splitlines()
    assert [line.removeprefix(f"{path}:").split(":")[0] for line in lines] == ["1", "3", "5", "5"]


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FleetFileError, match="UTF-8"):
        read_fleet(path)
    with pytest.raises(FleetFileError, match="No such file"):
        read_fleet(tmp_path / "missing.yaml")


def test_aliases_that_explode_are_read_in_no_time(tmp_path: Path) -> None:
    bomb = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    with pytest.raises(FleetFileError, match="unknown key 'a29'"):
        read_fleet(written(tmp_path, bomb))
    nested = "groups:\n  a/b:\n    instances: &i [{count: 1}]\n  a/c: {instances: *i}\n"
    assert len(merged_fleet(read_fleet(written(tmp_path, nested)), FleetSpec()).groups) == 2


def test_the_manifests_groups_are_described(tmp_path: Path) -> None:
    text = """
        groups:
          shop/*: {instances: 5, auto_rollback: [DEPLOYMENT_FAILURE]}
          shop/canary: {instances: [{name: one, zone: a, tags: {k: v}}, {count: 2, zone: b}], load_balancer: tg}
    """
    fleet = merged_fleet(read_fleet(written(tmp_path, text)), fleet_of("shop/canary", "shop/fleet", "other/x"))
    canary, fleet_group, other = fleet.groups
    assert [one.zone for one in canary.machines] == ["a", "b", "b"]
    assert (canary.instances, canary.load_balancer, canary.auto_rollback) == (3, "tg", ("DEPLOYMENT_FAILURE",))
    assert (fleet_group.instances, fleet_group.machines) == (5, ())
    assert (other.instances, other.auto_rollback) == (3, ())


def test_a_group_that_the_manifest_has_not(tmp_path: Path) -> None:
    path = written(tmp_path, "groups:\n  shop/flet: {}\n  web/*: {}\n")
    with pytest.raises(FleetFileError) as caught:
        merged_fleet(read_fleet(path), fleet_of("shop/fleet"))
    first, second = str(caught.value).splitlines()
    assert first == f"{path}:2:3: groups: the manifest has no group shop/flet (did you mean 'shop/fleet'?)"
    assert second == f"{path}:3:3: groups: the manifest has no group web/*"


def test_options_win_over_the_file(tmp_path: Path) -> None:
    text = (
        "calls: {throttle: 5, error_rate: 10%, expired_for: 30s, services: [s3]}\nfaults: [{target: a/b, stuck: yes}]"
    )
    given = Faults(throttle=2, failures=(Failure(target="x/y"),))
    faults = merged_faults(read_fleet(written(tmp_path, text)), given)
    assert (faults.throttle, faults.error_rate, faults.failures) == (2, 0.1, given.failures)
    assert (faults.expired, faults.expired_until, faults.services) == (True, 30.0, frozenset({"s3"}))
    assert faults.slow[0].factor == float("inf")


async def played(tmp_path: Path, text: str) -> Any:
    file = read_fleet(written(tmp_path, text))
    fleet = merged_fleet(replace(file, region=REGION), FleetSpec())
    options = SandboxOptions(speeds=file.speeds, faults=merged_faults(file, Faults()), alarms=file.alarms)
    return serving(fleet, options)


async def targets(aws: Service, deployment_id: str) -> dict[str, str]:
    """Name -> status."""
    ids = (await aws.call("ListDeploymentTargets", deploymentId=deployment_id))["targetIds"]
    answer = await aws.call("BatchGetDeploymentTargets", deploymentId=deployment_id, targetIds=ids)
    names = {one.id: one.name for one in aws.controls.instances()}
    found = [one["instanceTarget"] for one in answer["deploymentTargets"]]
    return {names[one["targetId"]]: one["status"] for one in found}


async def test_tags_choose_the_instances_of_a_group_that_the_api_makes(tmp_path: Path) -> None:
    text = """
        instances:
          - {name: web, count: 2, tags: {role: web, stage: prod}}
          - {name: db, tags: {role: db, stage: prod}}
          - {name: rack-7, on_premises: true, tags: {role: db}}
    """
    with await played(tmp_path, text) as aws:
        await aws.call("CreateApplication", applicationName="app")
        group = {"applicationName": "app", "serviceRoleArn": ROLE}
        everything = [{"Key": "stage", "Type": "KEY_ONLY"}]
        sets = [[{"Key": "role", "Value": "db", "Type": "KEY_AND_VALUE"}], everything]
        await aws.call("CreateDeploymentGroup", **group, deploymentGroupName="g", ec2TagFilters=everything)
        await aws.call("CreateDeploymentGroup", **group, deploymentGroupName="db", ec2TagSet={"ec2TagSetList": sets})
        rack = [{"Key": "role", "Value": "db", "Type": "KEY_AND_VALUE"}]
        await aws.call("CreateDeploymentGroup", **group, deploymentGroupName="rack", onPremisesInstanceTagFilters=rack)
        nobody = [{"Key": "role", "Value": "cache", "Type": "KEY_AND_VALUE"}]
        await aws.call("CreateDeploymentGroup", **group, deploymentGroupName="none", ec2TagFilters=nobody)
        ids = {name: await aws.deploy(name) for name in ("g", "db", "rack", "none")}
        aws.now += 100
        assert await targets(aws, ids["g"]) == dict.fromkeys(("web-1", "web-2", "db"), "Succeeded")
        assert await targets(aws, ids["db"]) == {"db": "Succeeded"}
        assert await targets(aws, ids["rack"]) == {"rack-7": "Succeeded"}
        assert (await aws.info(ids["none"]))["errorInformation"]["code"] == "NO_INSTANCES"


async def test_a_story_of_a_fleet(tmp_path: Path) -> None:
    """One fails, one is slow, one is stopped; and the same again, as nothing in it is left to chance."""
    text = """
        speeds: {lead: 0s, event: 1s, events: {Install: 10s}}
        groups:
          shop/fleet:
            deployment_config: CodeDeployDefault.AllAtOnce
            instances: [{name: good}, {name: bad}, {name: slow, speed: 0.5}, {name: off, stopped: true}]
        faults:
          - {target: shop/*, instances: [bad], fails: AfterInstall, script: migrate.sh, log: no database}
          - {target: shop/fleet, instances: ["sl*"], event: Install, slow: 3}
    """
    for _ in range(2):
        with await played(tmp_path, text) as aws:
            deployment = {"applicationName": "shop", "deploymentGroupName": "fleet", "revision": GITHUB}
            deployment_id = (await aws.call("CreateDeployment", **deployment))["deploymentId"]
            aws.now += 1000
            found = await targets(aws, deployment_id)
            assert found == {"good": "Succeeded", "bad": "Failed", "slow": "Succeeded", "off": "Failed"}
            info = await aws.info(deployment_id)
            assert info["status"] == "Succeeded"
            assert info["completeTime"] - info["createTime"] == 300  # the one that is off is given up then


def test_the_command_refuses_a_broken_file(tmp_path: Path) -> None:
    path = written(tmp_path, "sede: 1\nspeeds: {lead: soon}\n")
    result = CliRunner().invoke(cli, ["sandbox", "--fleet", str(path)], standalone_mode=False)
    assert result.exception is not None
    assert f"{path}:1:1: unknown key 'sede'" in str(result.exception)
    assert f"{path}:2:16: speeds.lead" in str(result.exception)
