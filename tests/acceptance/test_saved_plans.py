"""`plan -o`, `apply plan.json`: exactly that, or nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rig import Command, MakeRig, Rig, github

SHOP = """
version: 1
release: shop-1
defaults: {bucket: releases, prefix: bundles}
applications:
  db: {revision: {source: ./app}, deployment_groups: [primary]}
  web: {revision: {github: {repository: acme/web, commit: 4f2a91c}}, needs: [db], deployment_groups: [fleet]}
"""
GROUPS = ["db/primary", "web/fleet"]


def planned(make_rig: MakeRig) -> Rig:
    """A plan of a release that nobody has seen yet."""
    rig = make_rig(GROUPS)
    rig.command.write(SHOP)
    rig.command.bundle()
    made = rig.command("plan", "release.yaml", "-o", "plan.json")
    assert made.code == 0, made.err
    assert "apply plan.json" in made.err
    return rig


def edit(run: Command, **changes: object) -> None:
    path = run.folder / "plan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_saved_plan_is_carried_out_and_only_once(make_rig: MakeRig) -> None:
    rig = planned(make_rig)
    run = rig.command
    run.write(
        SHOP.replace("4f2a91c", "0000000").replace("needs: [db], ", "")
    )  # what the manifest says now is no matter
    shown = run("plan", "plan.json", "--detailed-exitcode")
    assert (shown.code, "2 of 2 targets to deploy" in shown.out) == (7, True)
    ended = run("apply", "plan.json", "--result", "result.json")
    assert ended.code == 0, ended.err
    assert run.states() == dict.fromkeys(GROUPS, "succeeded")
    db, web = rig.deployments()
    assert (db.application, web.revision["gitHubLocation"]["commitId"]) == ("db", "4f2a91c")
    assert web.created >= db.ended, "the order is the plan's"

    again = run("apply", "plan.json")
    assert again.code == 6
    assert f"db/primary: never deployed -> {db.id} (Succeeded" in again.err
    assert f"web/fleet: never deployed -> {web.id} (Succeeded, github:acme/web@4f2a91c)" in again.err
    assert len(rig.deployments()) == 2


def test_a_group_that_somebody_else_has_deployed_to_makes_the_plan_stale(make_rig: MakeRig) -> None:
    rig = planned(make_rig)
    run = rig.command
    run.write(github(["web"]).replace("[g]", "[fleet]"), "other.yaml")
    assert run("apply", "other.yaml").code == 0
    ended = run("apply", "plan.json")
    assert ended.code == 6
    assert "web/fleet: never deployed -> d-" in ended.err
    assert "db/primary" not in ended.err
    assert len(rig.deployments()) == 1


def test_a_plan_has_its_time(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    run = rig.command
    run.write(github(["web"]))
    assert run("plan", "release.yaml", "-o", "plan.json", "--ttl", "1ms").code == 0
    ended = run("apply", "plan.json")
    assert (ended.code, "has expired" in ended.err) == (6, True)
    assert not rig.deployments()


def test_the_bundle_is_the_one_that_was_planned(make_rig: MakeRig) -> None:
    rig = planned(make_rig)
    run = rig.command
    run.write("<h1>new</h1>", "app/index.html")
    changed = run("apply", "plan.json")
    assert changed.code == 6
    assert "db/primary: sha256:" in changed.err
    shutil.rmtree(run.folder / "app")
    gone = run("apply", "plan.json")
    assert (gone.code, "isn't there either" in gone.err) == (6, True)
    assert not rig.deployments()


def test_no_source_is_needed_where_the_bucket_has_the_digest(make_rig: MakeRig) -> None:
    rig = planned(make_rig)
    run = rig.command
    pushed = run(
        "push", "--application-name", "db", "--source", "app", "--s3-location", "s3://releases/bundles/db/${digest}.tgz"
    )
    assert pushed.code == 0, pushed.err
    shutil.rmtree(run.folder / "app")
    ended = run("apply", "plan.json", "--result", "result.json")
    assert ended.code == 0, ended.err
    assert run.states() == dict.fromkeys(GROUPS, "succeeded")


def test_a_plan_is_carried_out_elsewhere(make_rig: MakeRig, tmp_path: Path) -> None:
    """Another checkout: the sources are found beside the manifest, as the plan names it from there."""
    rig = planned(make_rig)
    there = tmp_path / "there"
    there.mkdir()
    for name in ("app", "release.yaml", "plan.json"):
        shutil.move(tmp_path / name, there / name)
    ended = replace(rig.command, folder=there)("apply", "plan.json")
    assert ended.code == 0, ended.err
    assert len(rig.deployments()) == 2


def test_a_run_of_a_plan_that_was_left_is_resumed(make_rig: MakeRig) -> None:
    rig = planned(make_rig)
    run = rig.command
    assert run("apply", "plan.json", "--detach").code == 8
    shutil.rmtree(run.folder / "app")
    (run.folder / "release.yaml").unlink()
    ended = run("resume", "--result", "result.json")
    assert ended.code == 0, ended.err
    assert run.states() == dict.fromkeys(GROUPS, "succeeded")


def test_nothing_secret_is_in_a_plan(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    run = rig.command
    run.environment = {**run.environment, "DATABASE_PASSWORD": "hunter2-env"}
    run.write(github(["web"]) + "vars: {token: hunter2-manifest, sha: x}\n")
    made = run("plan", "release.yaml", "-o", "plan.json", "--var", "token=hunter2-option")
    assert made.code == 0, made.err
    text = (run.folder / "plan.json").read_text()
    secrets = [run.environment[name] for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")]
    assert not [secret for secret in ("hunter2", *secrets) if secret in text]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"orchestrator_plan": 2}, "version 2"),
        ({"release": "other"}, "digest"),
        ({"targets": [{"id": "web/g"}]}, "targets[0]"),
        ({"created_at": "yesterday"}, "created_at"),
    ],
)
def test_a_broken_plan_is_bad_input(make_rig: MakeRig, changes: dict[str, object], says: str) -> None:
    rig = planned(make_rig)
    run = rig.command
    edit(run, **changes)
    for name in ("plan", "apply"):
        ended = run(name, "plan.json")
        assert ended.code == 2, ended.err
        assert "plan.json:1:1: " in ended.err
        assert says in ended.err
    assert not rig.deployments()


def test_a_plan_that_was_cut_off_says_where(make_rig: MakeRig) -> None:
    run = planned(make_rig).command
    path = run.folder / "plan.json"
    path.write_text("\n".join(path.read_text().splitlines()[:20]))
    ended = run("apply", "plan.json")
    assert ended.code == 2
    assert "plan.json:20:" in ended.err


def test_a_saved_plan_leaves_nothing_to_choose(make_rig: MakeRig) -> None:
    run = planned(make_rig).command
    for more in (["--select", "db"], ["--force"], ["-e", "prod"], ["--var", "a=b"], ["--sandbox"]):
        ended = run("apply", "plan.json", *more)
        assert (ended.code, more[0] in ended.err) == (2, True), ended.err
    for wrong in (["plan", "plan.json", "-o", "p.json"], ["plan", "release.yaml", "--sandbox", "-o", "p.json"]):
        assert run(*wrong).code == 2
    assert run("plan", "release.yaml", "-o", "no/such/p.json").code == 2


def test_a_plan_for_a_pull_request(make_rig: MakeRig) -> None:
    rig = make_rig(GROUPS)
    run = rig.command
    run.write(SHOP)
    run.bundle()
    assert run("apply", "release.yaml", "--select", "db").code == 0
    shown = run("plan", "release.yaml", "--output", "markdown")
    assert shown.code == 0, shown.err
    lines = shown.out.splitlines()
    assert lines[0] == "### release shop-1 to default: 1 of 2 targets to deploy"
    row = "| 2 | `web/fleet` | eu-west-1 | `nothing` → `github:acme/web@4f2a91c` | never deployed | needs db/primary |"
    assert row in lines
    assert any(line.startswith("| `db/primary` | eu-west-1 | `s3://releases/bundles/db/") for line in lines)
