"""Targets that don't fit what stands at CodeDeploy, and AppSpecs as templates."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from world import HERE, target

from orchestrator.app.fitting import misfits
from orchestrator.app.standing import group_key
from orchestrator.core.errors import InvalidInputError
from orchestrator.core.model import AppSpecRevision, DeploymentSettings, GitHubRevision, Group, S3Revision, Target
from orchestrator.manifest import Position, load

ECS = "Resources: [{TargetService: {Type: AWS::ECS::Service}}]"
LAMBDA = "Resources: [{f: {Type: AWS::Lambda::Function}}]"
COMMIT = GitHubRevision(repository="acme/web", commit_id="4f2a91c")
GROUP: dict[str, Any] = {"application_name": "a", "name": "g"}


def said(one: Target, platform: str, **group: Any) -> list[str]:
    there = {group_key(one): Group(**GROUP, compute_platform=platform, **group)}
    found = misfits([one], there, {(HERE, "a"): platform}, lambda _id, _what: Position(file="r.yaml", line=1, column=1))
    return [str(each).removeprefix("r.yaml:1:1: a/g: ") for each in found]


def of(source: Any, **settings: Any) -> Target:
    return target("a/g", source=source, settings=DeploymentSettings(**settings))


def appspec(content: str) -> AppSpecRevision:
    return AppSpecRevision(content=content, sha256="0")


@pytest.mark.parametrize(
    ("source", "platform"),
    [
        (COMMIT, "Server"),
        (appspec(ECS), "ECS"),
        (appspec(LAMBDA), "Lambda"),
        (appspec("who: knows"), "ECS"),
        (appspec("who: knows"), "Lambda"),
        (S3Revision(bucket="b", key="k", bundle_type="YAML"), "Lambda"),
        (S3Revision(bucket="b", key="k", bundle_type="tgz"), "Server"),
    ],
)
def test_what_fits(source: Any, platform: str) -> None:
    assert said(of(source), platform) == []


@pytest.mark.parametrize(
    ("source", "platform", "says"),
    [
        (COMMIT, "ECS", "revision: a revision for servers, but a is an application of ECS (an application of"),
        (appspec(ECS), "Lambda", "revision: an AppSpec for ECS, but a is an application of Lambda"),
        (appspec(LAMBDA), "Server", "revision: an AppSpec for Lambda, but a is an application of Server"),
        (appspec("who: knows"), "Server", "revision: an AppSpec, but a is an application of Server"),
        (S3Revision(bucket="b", key="k", bundle_type="JSON"), "Server", "revision: an AppSpec, but a"),
        (S3Revision(bucket="b", key="k", bundle_type="zip"), "ECS", "revision: a revision for servers"),
    ],
)
def test_a_revision_of_the_wrong_kind(source: Any, platform: str, says: str) -> None:
    (line,) = said(of(source), platform)
    assert line.startswith(says)


def test_settings_that_are_for_servers() -> None:
    given = {"ignore_application_stop_failures": True, "update_outdated_instances_only": True}
    lines = said(of(appspec(ECS), file_exists_behavior="RETAIN", **given), "ECS")
    assert [line.split(":")[0] for line in lines] == sorted([*given, "file_exists_behavior"], key=SERVERS.index)
    assert said(of(appspec(ECS), ignore_application_stop_failures=False), "ECS") == []


SERVERS = ["ignore_application_stop_failures", "update_outdated_instances_only", "file_exists_behavior"]


def test_replacement_instances_are_for_blue_green() -> None:
    chosen = of(COMMIT, target_instances={"autoScalingGroups": ["green"]})
    (line,) = said(chosen, "Server")
    assert line.startswith("target_instances: names the replacement instances")
    assert said(chosen, "Server", is_blue_green=True) == []


# --- the content of an AppSpec is a template -------------------------------------------------------------------------

MANIFEST = """
vars: {task: "17"}
environments: {prod: {region: eu-west-1, vars: {task: "18"}}}
applications: {cart: {revision: {appspec: cart/appspec.yaml}, deployment_groups: [service]}}
"""


def written(folder: Path, content: str) -> Path:
    (folder / "cart").mkdir()
    (folder / "cart" / "appspec.yaml").write_text(content)
    (folder / "release.yaml").write_text(MANIFEST)
    return folder / "release.yaml"


def test_an_appspec_is_expanded_and_known_by_what_came_of_it(tmp_path: Path) -> None:
    manifest = written(tmp_path, "# $${kept} for ${application} in ${environment}\nTask: cart:${vars.task}\n")
    (one,) = load(manifest, env={}).targets
    content = "# ${kept} for cart in prod\nTask: cart:18\n"
    assert one.source == AppSpecRevision(content=content, sha256=hashlib.sha256(content.encode()).hexdigest())
    (other,) = load(manifest, env={}, variables={"task": "19"}).targets
    assert isinstance(other.source, AppSpecRevision)
    assert "cart:19" in other.source.content


def test_a_mistake_in_it_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "version: 0.0\nTask: cart:${vars.tsak}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError) as caught:
        load(Path("release.yaml"), env={})
    (finding,) = caught.value.findings
    assert str(finding).startswith("cart/appspec.yaml:2:12: applications.cart.revision.appspec: there is no variable")
    assert finding.hint == "did you mean 'task'?"
