"""Accounts become manifests that change nothing: from what runs deployed to them, in a sandbox."""

from __future__ import annotations

import pytest
from awscli import open_client
from rig import REGION, Ended, MakeRig, Rig

from orchestrator.sandbox.fleet import BucketSpec, ConfigSpec, FleetSpec, GroupSpec

STAGING, PROD, THERE = "111111111111", "222222222222", "us-east-1"
PLACES = {"staging": (STAGING, REGION), "prod": (PROD, THERE)}
ROLES = {name: f"arn:aws:iam::{account}:role/deploy" for name, (account, _) in PLACES.items()}
FROM = [f"--from={name}={ROLES[name]}@{region}" for name, (_, region) in PLACES.items()]
MANIFEST = f"""
version: 1
release: shop
environments:
  staging: {{region: {REGION}, role_arn: "{ROLES["staging"]}", vars: {{web: abc1}}}}
  prod: {{region: {THERE}, role_arn: "{ROLES["prod"]}", vars: {{web: abc0}}}}
defaults: {{bucket: "releases-${{environment}}"}}
applications:
  api: {{revision: {{source: ./app}}, deployment_groups: [canary, fleet]}}
  web: {{revision: {{github: {{repository: acme/web, commit: "${{vars.web}}"}}}}, deployment_groups: ["on", fleet]}}
  cart: {{revision: {{appspec: cart.yaml}}, deployment_groups: [service]}}
"""
APPSPEC = """version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: "arn:aws:ecs:eu-west-1:000000000000:task-definition/cart-${environment}:7"
        LoadBalancerInfo: {ContainerName: cart, ContainerPort: 8080}
"""


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    """Two accounts in two regions, deployed to by a manifest; one group there has never been."""
    specs = {"api": ("canary", "fleet", "never"), "web": ("on", "fleet")}
    groups: list[GroupSpec] = []
    for account, region in PLACES.values():
        place = {"account": account, "region": region}
        for application, names in specs.items():
            config = "Mine" if application == "web" else "CodeDeployDefault.OneAtATime"
            groups += [
                GroupSpec(application=application, deployment_group=name, deployment_config=config, **place)  # type: ignore[arg-type]
                for name in names
            ]
        groups.append(
            GroupSpec(application="cart", deployment_group="service", platform="ECS", ecs_service="shop/cart", **place)  # type: ignore[arg-type]
        )
    fleet = FleetSpec(
        groups=tuple(groups),
        buckets=tuple(
            BucketSpec(name=f"releases-{name}", region=region, account=account)
            for name, (account, region) in PLACES.items()
        ),
        configs=tuple(ConfigSpec(name="Mine", region=region, account=account) for account, region in PLACES.values()),
    )
    made = make_rig([], fleet=fleet, time_scale=0)
    made.command.bundle()
    made.command.write(MANIFEST)
    made.command.write(APPSPEC, "cart.yaml")
    for environment in PLACES:
        ended = made.command("apply", "release.yaml", "-e", environment)
        assert ended.code == 0, ended.out + ended.err
    return made


def unchanged(rig: Rig, manifest: str, *options: str) -> Ended:
    """Its plan, which has nothing to do."""
    planned = rig.command("plan", manifest, "--detailed-exitcode", *options)
    assert planned.code == 0, planned.out + planned.err
    return planned


def test_two_accounts_become_two_environments_that_change_nothing(rig: Rig) -> None:
    run, before = rig.command, rig.calls()
    made = run("import", *FROM, "-o", "made.yaml")
    assert made.code == 0, made.err
    assert f"3 applications, 10 deployment groups, {rig.calls() - before} calls to CodeDeploy" in made.err
    assert rig.calls() - before <= 2 * (1 + 3 + 3 + 1)  # lists, groups, and the AppSpec's content
    assert made.err.count("left out: api/never") == 2
    assert run("validate", "made.yaml").code == 0
    for environment in PLACES:
        planned = unchanged(rig, "made.yaml", "-e", environment)
        assert planned.out.count("succeeded with the same revision") == 5
    text = (run.folder / "made.yaml").read_text()
    assert "      web-commit: abc0" in text
    assert '    deployment_groups: [fleet, "on"]' in text
    assert "    deployment_config: Mine" in text
    refused = run("import", *FROM, "-o", "made.yaml")
    assert (refused.code, "--force replaces it" in refused.err) == (2, True)
    assert run("import", *FROM, "-o", "made.yaml", "--force").code == 0
    assert (run.folder / "made.yaml").read_text() == text
    _beside_each_other(rig)


def _beside_each_other(rig: Rig) -> None:
    """All in one manifest without environments, with their tags."""
    arn = f"arn:aws:codedeploy:{REGION}:{STAGING}:application:api"
    credentials = open_client("sts", rig.command.environment).assume_role(
        RoleArn=ROLES["staging"], RoleSessionName="tester"
    )
    keys = credentials["Credentials"]
    variables = {
        "AWS_ENDPOINT_URL": rig.command.environment["AWS_ENDPOINT_URL"],
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
    }
    client = open_client("codedeploy", variables, aws_session_token=keys["SessionToken"])
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "team:api", "Value": "${core}"}])
    roles = [f"--role-arn={role}" for role in ROLES.values()]
    regions = [f"--region={region}" for _, region in PLACES.values()]
    made = rig.command("import", *roles, *regions, "--tags", "--application", "[aw]*", "-o", "beside.yaml")
    assert made.code == 0, made.err
    planned = unchanged(rig, "beside.yaml")
    assert planned.out.count("succeeded with the same revision") == 8
    assert '    labels:\n      "team:api": "$${core}"\n' in (rig.command.folder / "beside.yaml").read_text()
    printed = rig.command("import", *roles[:1], *regions[:1])
    assert printed.code == 0
    assert "its AppSpec needs a file: give -o" in printed.err
    assert printed.out.startswith(f"# What `orchestrator import` found in account {STAGING}, {REGION}.\n")


def test_where_there_is_nothing_to_import_it_says_so(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    nothing = rig.command("import", "--application", "zzz*")
    assert (nothing.code, nothing.out) == (2, "")
    assert "there are no applications that match zzz* in eu-west-1" in nothing.err
    never = rig.command("import")
    assert (never.code, never.out) == (2, "")
    assert "web/g (eu-west-1): no deployment to it has ever succeeded" in never.err
