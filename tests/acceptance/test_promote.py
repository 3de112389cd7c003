"""Promotion: the digests that succeeded in one environment, to the next; all of them or none."""

from __future__ import annotations

import json
import shutil
from typing import Any

from rig import REGION, MakeRig, Rig

from orchestrator.sandbox.fleet import BucketSpec, FleetSpec, GroupSpec
from orchestrator.sandbox.options import Failure, Faults

STAGING, PROD, THERE = "111111111111", "222222222222", "us-east-1"
NEW = "4f2a91c"


def manifest(**prod: str) -> str:
    more = "".join(f", {key}: {value}" for key, value in prod.items())
    return f"""
version: 1
release: shop-${{vars.sha}}
vars: {{sha: "1"}}
environments:
  staging: {{region: {REGION}, role_arn: "arn:aws:iam::{STAGING}:role/deploy", account: "{STAGING}"}}
  prod: {{region: {THERE}, role_arn: "arn:aws:iam::{PROD}:role/deploy", account: "{PROD}"{more}}}
policy: {{on_failure: continue}}
defaults: {{bucket: "releases-${{environment}}", prefix: bundles}}
applications:
  api: {{revision: {{source: ./app}}, deployment_groups: [fleet]}}
  web: {{revision: {{github: {{repository: acme/web, commit: {NEW}}}}}, needs: [api], deployment_groups: [fleet]}}
"""


def two_environments(make_rig: MakeRig, **prod: str) -> Rig:
    """Two accounts in two regions, each with its bucket; nothing is deployed."""
    groups = tuple(
        GroupSpec(application=name, deployment_group="fleet", region=region, account=account)
        for name in ("api", "web")
        for account, region in ((STAGING, REGION), (PROD, THERE))
    )
    buckets = (
        BucketSpec(name="releases-staging", region=REGION, account=STAGING),
        BucketSpec(name="releases-prod", region=THERE, account=PROD),
    )
    rig = make_rig([], fleet=FleetSpec(groups=groups, buckets=buckets))
    rig.command.write(manifest(**prod))
    rig.command.bundle()
    return rig


def staged(make_rig: MakeRig, **prod: str) -> Rig:
    rig = two_environments(make_rig, **prod)
    ended = rig.command("apply", "release.yaml", "-e", "staging", "--var", "sha=2", "--result", "result.json")
    assert ended.code == 0, ended.err
    return rig


def in_prod(rig: Rig) -> list[Any]:
    return [each for each in rig.deployments() if each.account == PROD]


PROMOTE = ("promote", "release.yaml", "--from", "staging", "-e", "prod")


def test_what_has_succeeded_goes_to_the_next_account_and_region(make_rig: MakeRig) -> None:
    rig = staged(make_rig)
    run = rig.command
    digest = run.result()["targets"][0]["digest"]
    shutil.rmtree(run.folder / "app")  # no checkout is needed
    looked = run(*PROMOTE, "--dry-run")
    assert looked.code == 0, looked.err
    assert "release shop-2 to prod: 2 of 2 targets to deploy" in looked.out
    assert "verified in staging by run " in looked.out
    assert not in_prod(rig)

    ended = run(*PROMOTE, "--result", "result.json", "--events", "events.jsonl")
    assert ended.code == 0, ended.out + ended.err
    result = run.result()
    assert (result["release"], result["environment"]) == ("shop-2", "prod")
    api, web = result["targets"]
    assert (api["state"], api["digest"]) == ("succeeded", digest)
    assert api["revision"]["s3Location"]["bucket"] == "releases-prod"
    assert api["revision"]["s3Location"]["version"]
    assert web["revision"]["gitHubLocation"]["commitId"] == NEW
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    (uploaded,) = [event for event in events if event["type"] == "bundle_uploaded"]
    assert uploaded["copied_from"].startswith("s3://releases-staging/bundles/api/")

    again = run(*PROMOTE, "--result", "result.json")
    assert (again.code, set(run.states().values())) == (0, {"unchanged"})
    assert len(in_prod(rig)) == 2


def test_all_or_none(make_rig: MakeRig) -> None:
    rig = two_environments(make_rig)
    run = rig.command
    nothing = run(*PROMOTE)
    assert nothing.code == 6
    assert "api/fleet in staging: no run there was about it" in nothing.err

    rig.set_faults(Faults(failures=(Failure(target="web/fleet", deployments=1),)))
    assert run("apply", "release.yaml", "-e", "staging").code == 3
    ended = run(*PROMOTE)
    assert ended.code == 6
    assert "web/fleet in staging: failed in run " in ended.err
    assert "api/fleet" not in ended.err
    assert not in_prod(rig), "api has succeeded, and isn't promoted without web"

    rig.set_faults(Faults())
    assert run("apply", "release.yaml", "-e", "staging").code == 0
    assert run(*PROMOTE).code == 0
    assert len(in_prod(rig)) == 2


def test_what_has_not_soaked_waits(make_rig: MakeRig) -> None:
    rig = staged(make_rig, promote_from="staging", soak="1h")
    run = rig.command
    for arguments in (PROMOTE, ("apply", "release.yaml", "-e", "prod")):
        ended = run(*arguments)
        assert ended.code == 6
        assert "api/fleet in staging: has to soak for 1h, until " in ended.err
    run.write(manifest(promote_from="staging", soak="1ms"))
    assert run(*PROMOTE).code == 0
    assert len(in_prod(rig)) == 2


def test_apply_keeps_to_what_was_verified(make_rig: MakeRig) -> None:
    rig = staged(make_rig, promote_from="staging")
    run = rig.command
    shown = run("plan", "release.yaml", "-e", "prod")
    assert shown.code == 0, shown.err
    assert "web/fleet: staging has github:acme/web@4f2a91c, prod has nothing" in shown.out
    assert "verified in staging by run " in shown.out

    run.write("<h1>not verified</h1>", "app/index.html")
    refused = run("apply", "release.yaml", "-e", "prod")
    assert refused.code == 6
    assert "api/fleet in staging: sha256:" in refused.err
    assert "was verified there" in refused.err
    assert "web/fleet in" not in refused.err
    assert run("plan", "release.yaml", "-e", "prod", "-o", "plan.json").code == 6
    assert "not verified: api/fleet" in run("plan", "release.yaml", "-e", "prod").out
    assert not in_prod(rig)

    run.bundle()
    assert run("apply", "release.yaml", "-e", "prod").code == 0
    assert len(in_prod(rig)) == 2


def test_a_bundle_that_was_replaced_since_is_not_promoted(make_rig: MakeRig) -> None:
    """The pinned version is what was verified; when that is gone, nothing else takes its place."""
    rig = staged(make_rig)
    run = rig.command
    place = run.result()["targets"][0]["revision"]["s3Location"]
    aws = f"""
import asyncio, aioboto3
async def main():
    session = aioboto3.Session()
    async with session.client("s3") as s3:
        await s3.delete_object(Bucket={place["bucket"]!r}, Key={place["key"]!r}, VersionId={place["version"]!r})
        await s3.put_object(Bucket={place["bucket"]!r}, Key={place["key"]!r}, Body=b"something else")
asyncio.run(main())
"""
    run.write(aws, "replace.py")
    assert run.shell("$PYTHON replace.py").code == 0
    ended = run(*PROMOTE, "--result", "result.json")
    assert ended.code == 3
    assert run.states() == {"api/fleet": "errored", "web/fleet": "skipped"}
    assert "is no longer there" in ended.out
    assert not in_prod(rig)


def test_where_s3_does_not_copy_the_bundle_comes_by_here(make_rig: MakeRig) -> None:
    rig = staged(make_rig)
    run = rig.command
    rig.set_faults(Faults(services=frozenset({"s3"}), operations=("CopyObject",), error_rate=1.0))
    ended = run(*PROMOTE, "--result", "result.json")
    assert ended.code == 0, ended.out + ended.err
    assert "can't be copied to releases-prod within S3, so it comes by here" in ended.err
    assert run.states() == {"api/fleet": "succeeded", "web/fleet": "succeeded"}


def test_a_promotion_that_was_left_is_resumed(make_rig: MakeRig) -> None:
    rig = staged(make_rig)
    run = rig.command
    shutil.rmtree(run.folder / "app")
    assert run(*PROMOTE, "--detach").code == 8
    ended = run("resume", "--result", "result.json")
    assert ended.code == 0, ended.err
    assert run.states() == {"api/fleet": "succeeded", "web/fleet": "succeeded"}
    assert len(in_prod(rig)) == 2


def test_wrong_promotions(make_rig: MakeRig) -> None:
    run = two_environments(make_rig, promote_from="staging").command
    for source, to, says in (("stagin", "prod", "stagin"), ("prod", "prod", "itself"), ("prod", "nowhere", "nowhere")):
        ended = run("promote", "release.yaml", "--from", source, "-e", to)
        assert (ended.code, says in ended.err) == (2, True), ended.err
    run.write(manifest(promote_from="staging").replace("  prod:", "  qa: {}\n  prod:"))
    other = run("promote", "release.yaml", "--from", "qa", "-e", "prod")
    assert (other.code, "is promoted from staging" in other.err) == (2, True)
