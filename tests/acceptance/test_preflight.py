"""What is looked at before the first change: all that is missing at once, in one or in many accounts and regions."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

from rig import REGION, MakeRig, Rig, github

from orchestrator.sandbox.fleet import BucketSpec, FleetSpec, GroupSpec
from orchestrator.sandbox.options import Faults

ONE, TWO = "111111111111", "222222222222"
THERE = "us-east-1"


def role(account: str) -> str:
    return f"arn:aws:iam::{account}:role/deploy"


def group(name: str, account: str, region: str) -> GroupSpec:
    return GroupSpec(application=name, deployment_group="g", account=account, region=region)


def test_all_that_is_missing_is_told_at_once(make_rig: MakeRig) -> None:
    fleet = FleetSpec(
        groups=tuple(GroupSpec(application=name, deployment_group="g", region=REGION) for name in ("a", "b", "c")),
        buckets=(BucketSpec(name="here", region=REGION), BucketSpec(name="there", region=THERE)),
    )
    rig = make_rig([], fleet=fleet)
    run = rig.command
    run.bundle()
    run.write("""
version: 1
defaults: {bucket: here}
applications:
  a: {revision: {source: ./app}, deployment_config: CodeDeployDefault.LambdaAllAtOnce, deployment_groups: [g]}
  b: {revision: {source: ./app}, bucket: there, deployment_config: Mine.HalfAtOnce, deployment_groups: [g]}
  c: {revision: {source: ./app}, bucket: nowhere, deployment_groups: [g, gone]}
""")
    plain = run("plan", "release.yaml")
    assert (plain.code, "'gone'" in plain.err, "'there'" in plain.err) == (2, True, False)
    for arguments in (["plan", "release.yaml", "--preflight"], ["apply", "release.yaml"]):
        ended = run(*arguments)
        assert ended.code == 2, ended.err
        for problem in (
            "a/g: deployment_config: 'CodeDeployDefault.LambdaAllAtOnce' is for Lambda",
            "b/g: deployment_config: 'Mine.HalfAtOnce' can't be used in eu-west-1",
            "b/g: bucket: the bucket 'there' is in us-east-1, and the group in eu-west-1",
            "c/g: there is no bucket nowhere in eu-west-1",
            "c/gone: there is no deployment group 'gone' in the application 'c'",
        ):
            assert problem in ended.err
        assert "release.yaml:" in ended.err
    assert not rig.deployments()
    assert not (run.folder / ".orchestrator" / "runs").exists()


def test_it_takes_few_calls(make_rig: MakeRig) -> None:
    names = [f"app-{number:02}" for number in range(40)]
    rig = make_rig([f"{name}/g" for name in names])
    run = rig.command
    run.write(github(names, defaults="{deployment_config: CodeDeployDefault.AllAtOnce}"))
    ended = run("plan", "release.yaml", "--preflight")
    assert ended.code == 0, ended.err
    assert rig.calls("GetDeploymentConfig") == 1
    assert rig.calls("BatchGetApplications") == 1
    assert rig.calls() == 1 + 1 + 40 + 1, "with one batch for each application, and one look at deployments"


# --- many accounts and regions ---------------------------------------------------------------------------------------


def worldwide(make_rig: MakeRig, faults: Faults | None = None) -> Rig:
    places = [(account, region) for account in (ONE, TWO) for region in (REGION, THERE)]
    groups = tuple(group("web", *place) for place in places)
    return make_rig([], fleet=FleetSpec(groups=groups), time_scale=100.0, faults=faults)


WORLD = f"""
version: 1
release: world
defaults: {{deployment_group_name: g}}
environments:
  all: {{region: {REGION}, role_arn: "{role(ONE)}", account: "{ONE}"}}
concurrency: {{per_region: 1}}
applications:
  one: {{application_name: web, revision: {{github: {{repository: acme/web, commit: 4f2a91c}}}},
        deployment_groups: {{here: {{}}, there: {{region: {THERE}}}}}}}
  two: {{application_name: web, revision: {{github: {{repository: acme/web, commit: 4f2a91c}}}}, needs: [one],
        role_arn: "{role(TWO)}", account: "{TWO}",
        deployment_groups: {{here: {{}}, there: {{region: {THERE}}}}}}}
"""


def test_one_run_in_two_accounts_and_two_regions(make_rig: MakeRig) -> None:
    rig = worldwide(make_rig, Faults(throttle=20))
    run = rig.command
    run.write(WORLD)
    ended = run("apply", "release.yaml", "--result", "result.json")
    assert ended.code == 0, ended.out + ended.err
    assert set(run.states().values()) == {"succeeded"}
    made = Counter((each.account, each.region) for each in rig.deployments())
    assert made == {(account, region): 1 for account in (ONE, TWO) for region in (REGION, THERE)}
    assert ended.out.count("outcome: succeeded") == 1, "one summary"
    identities = rig.portal.call(rig.endpoint.calls.total, "GetCallerIdentity", None, "sts")
    assert identities >= 4, "the first call in each"


def test_another_account_is_refused_before_anything_else(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    run = rig.command
    run.write(github(["web"]) + f'environments: {{prod: {{region: {REGION}, account: "{ONE}"}}}}\n')
    for name in ("plan", "apply"):
        ended = run(name, "release.yaml")
        assert ended.code == 2
        assert f"{REGION} is account 000000000000, and the manifest says {ONE}" in ended.err
    assert rig.calls() == 0, "CodeDeploy was never called"
    assert not rig.deployments()

    run.write(github(["web"]) + f'environments: {{prod: {{account: "{TWO}", role_arn: "{role(ONE)}"}}}}\n')
    offline = run("validate", "release.yaml")
    assert (offline.code, "its role" in offline.err) == (2, True)
    run.write(github(["web"]) + "environments: {prod: {account: 111111111111}}\n")
    assert "put it in quotes" in run("validate", "release.yaml").err


def test_a_plan_for_another_account_is_not_carried_out(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    run = rig.command
    run.write(github(["web"]))
    assert run("plan", "release.yaml", "-o", "plan.json").code == 0
    path = run.folder / "plan.json"
    body = json.loads(path.read_text())
    del body["digest"]
    assert body["accounts"][0]["account"] == "000000000000"
    body["accounts"][0]["account"] = ONE  # as it would be, had it been made there
    digest = hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    path.write_text(json.dumps({**body, "digest": f"sha256:{digest}"}))
    ended = run("apply", "plan.json")
    assert ended.code == 2
    assert f"{REGION}: {ONE} -> 000000000000" in ended.err
    assert not rig.deployments()


def test_an_environment_that_names_the_right_account(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    run = rig.command
    run.write(github(["web"]) + 'environments: {prod: {account: "000000000000"}}\n')
    assert run("apply", "release.yaml").code == 0


def test_a_thousand_targets_are_planned_with_eleven_reads(make_rig: MakeRig) -> None:
    """Groups go 100 a call, by application, since BatchGetDeploymentGroups takes one; applications 100 a call."""
    groups = [f"app-{a}/g-{number:02}" for a in range(10) for number in range(100)]
    rig = make_rig(groups)
    run = rig.command
    lines = ["version: 1", "applications:"]
    for a in range(10):
        lines += [f"  app-{a}:", f"    revision: {{github: {{repository: acme/x, commit: {'a' * 40}}}}}"]
        lines += [f"    deployment_groups: [{', '.join(f'g-{number:02}' for number in range(100))}]"]
    run.write("\n".join(lines) + "\n")
    ended = run("plan", "release.yaml", "-o", "plan.json")
    assert ended.code == 0, ended.err
    assert "1000 of 1000 targets to deploy" in ended.out
    assert (rig.calls("BatchGetApplications"), rig.calls("BatchGetDeploymentGroups"), rig.calls()) == (1, 10, 11)
