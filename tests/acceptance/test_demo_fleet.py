"""What the demo fleet's template makes, made in a sandbox: configs/shop deploys to it as it is."""

from __future__ import annotations

from typing import Any

import pages
from awscli import open_client
from cloudformation import ACCOUNT, Template, template
from rig import MakeRig, Rig

from orchestrator.sandbox.fleet import BucketSpec, FleetSpec, InstanceSpec


def instances(made: Template, region: str) -> tuple[InstanceSpec, ...]:
    found = made.resources("AWS::EC2::Instance").items()
    return tuple(
        InstanceSpec(
            name=name,
            tags=tuple((tag["Key"], tag["Value"]) for tag in each["Tags"]),
            region=region,
            account=ACCOUNT,
        )
        for name, each in found
    )


def create(rig: Rig, made: Template, region: str) -> Any:
    """Applications and groups, by the calls that CloudFormation makes for them. Returns a client of that account."""
    role = f"arn:aws:iam::{ACCOUNT}:role/shop-deploy"
    variables = {**rig.command.environment, "AWS_REGION": region}
    sts = open_client("sts", variables)
    keys = sts.assume_role(RoleArn=role, RoleSessionName="stack")["Credentials"]
    sts.close()
    variables |= {"AWS_ACCESS_KEY_ID": keys["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"]}
    client = open_client("codedeploy", variables, aws_session_token=keys["SessionToken"])
    for each in made.resources("AWS::CodeDeploy::Application").values():
        client.create_application(**as_sent(each))
    for each in made.resources("AWS::CodeDeploy::DeploymentGroup").values():
        group = {**as_sent(each), "serviceRoleArn": f"arn:aws:iam::{ACCOUNT}:role/service"}
        for kind, inner in (("ec2TagSet", "ec2TagGroup"), ("onPremisesTagSet", "onPremisesTagGroup")):
            group[kind][f"{kind}List"] = [part[inner] for part in group[kind][f"{kind}List"]]
        client.create_deployment_group(**group)
    return client


def as_sent(value: Any) -> Any:
    """Properties have the API's names, with a capital; tags have the same ones."""
    if isinstance(value, list):
        return [as_sent(each) for each in value]
    if not isinstance(value, dict) or {"Key", "Value"} <= value.keys():
        return value
    return {key[0].lower() + key[1:]: as_sent(each) for key, each in value.items()}


def test_the_shop_deploys_to_the_demo_fleet_unchanged(make_rig: MakeRig) -> None:
    environment, region = "staging", "eu-west-1"
    made = template("demo-fleet", Environment=environment, BucketPrefix="my-shop")
    bucket = made.resources()["Bundles"]["BucketName"]
    fleet = FleetSpec(
        buckets=(BucketSpec(name=bucket, region=region, account=ACCOUNT),), instances=instances(made, region)
    )
    rig = make_rig([], fleet=fleet, time_scale=0)
    client = create(rig, made, region)
    account = f"SHOP_{environment.upper()}_ACCOUNT"
    rig.command.environment = {**rig.command.environment, account: ACCOUNT, "SHOP_BUCKET": "my-shop"}
    manifest = str(pages.ROOT / "configs" / "shop" / "release.yaml")
    ended = rig.command("apply", manifest, "-e", environment, "--result", "result.json")
    assert ended.code == 0, ended.err
    assert set(rig.command.states().values()) == {"succeeded"}
    counts = {
        f"{each.application}/{each.deployment_group}": len(
            client.list_deployment_targets(deploymentId=each.id)["targetIds"]
        )
        for each in rig.deployments()
    }
    client.close()
    assert counts[f"shop-api-{environment}/fleet"] == counts[f"shop-jobs-{environment}/orders"] == 2
    assert counts[f"log-shipper-{environment}/all"] == 4
    assert counts[f"shop-db-{environment}/primary"] == 1
    assert len(counts) == 10
