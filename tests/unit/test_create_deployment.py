"""Every parameter of CreateDeployment has its setting, and is sent: held against botocore's own model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader

from orchestrator.core.codedeploy import create_parameters
from orchestrator.core.model import BundleSource, PromotedBundle
from orchestrator.manifest import load

WHOLE = """
version: 1
environments: {prod: {region: eu-west-1}}
defaults:
  deployment_config: CodeDeployDefault.OneAtATime
  description: all of it
  auto_rollback: [DEPLOYMENT_FAILURE, DEPLOYMENT_STOP_ON_ALARM, DEPLOYMENT_STOP_ON_REQUEST]
  alarms: {enabled: true, ignore_poll_alarm_failure: true, names: [p99]}
  file_exists_behavior: OVERWRITE
  ignore_application_stop_failures: true
  update_outdated_instances_only: true
applications:
  s3:
    revision: {s3: {bucket: acme-bundles, key: a.zip, version: v1, etag: e1, bundle_type: zip}}
    deployment_groups:
      tags:
        target_instances:
          tag_filters: [{key: Env, value: green, type: KEY_AND_VALUE}]
          auto_scaling_groups: [green]
      sets:
        target_instances: {ec2_tag_set: [[{key: Env}], [{value: green}]]}
  github:
    revision: {github: {repository: acme/web, commit: 4f2a91c}}
    deployment_groups: [g]
  appspec:
    revision: {appspec: appspec.yaml}
    deployment_groups: [g]
"""

NEVER_SENT = {"revision.string.content", "revision.string.sha256", "revision.string"}
"""`String` is the older way to send an AppSpec to Lambda; AppSpecContent, which is sent, serves ECS and Lambda."""

ENUMS = {
    "fileExistsBehavior": {"DISALLOW", "OVERWRITE", "RETAIN"},
    "autoRollbackConfiguration.events[]": {
        "DEPLOYMENT_FAILURE",
        "DEPLOYMENT_STOP_ON_ALARM",
        "DEPLOYMENT_STOP_ON_REQUEST",
    },
    "revision.s3Location.bundleType": {"tar", "tgz", "zip", "YAML", "JSON"},
    "targetInstances.tagFilters[].Type": {"KEY_ONLY", "VALUE_ONLY", "KEY_AND_VALUE"},
    "targetInstances.ec2TagSet.ec2TagSetList[][].Type": {"KEY_ONLY", "VALUE_ONLY", "KEY_AND_VALUE"},
    "revision.revisionType": {"S3", "GitHub", "String", "AppSpecContent"},
}
"""All values that the manifest takes, by where they are sent."""


@pytest.fixture(scope="module")
def shapes() -> Mapping[str, Any]:
    found: Mapping[str, Any] = Loader().load_service_model("codedeploy", "service-2")["shapes"]
    return found


def members(shapes: Mapping[str, Any], name: str, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every path below a shape, with the shape that it leads to."""
    shape = shapes[name]
    if path:
        yield path, shape
    if shape["type"] == "structure":
        for key, member in shape["members"].items():
            yield from members(shapes, member["shape"], f"{path}.{key}" if path else key)
    elif shape["type"] == "list":
        yield from members(shapes, shape["member"]["shape"], f"{path}[]")


def paths(value: Any, path: str = "") -> Iterator[str]:
    if path:
        yield path
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from paths(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from paths(item, f"{path}[]")


@pytest.fixture
def sent(tmp_path: Path) -> list[dict[str, Any]]:
    (tmp_path / "release.yaml").write_text(WHOLE)
    (tmp_path / "appspec.yaml").write_text("version: 0.0\n")
    release = load(tmp_path / "release.yaml", env={})
    requests = []
    for target in release.targets:
        assert not isinstance(target.source, BundleSource | PromotedBundle), "these are what is sent as it is"
        requests.append(create_parameters(target, target.source, "orchestrator:r/1"))
    return requests


def test_whatever_the_model_takes_is_sent(shapes: Mapping[str, Any], sent: list[dict[str, Any]]) -> None:
    """Fails when the API grows: then the manifest needs another setting."""
    modelled = {path for path, _ in members(shapes, "CreateDeploymentInput")}
    reached = {path for request in sent for path in paths(request)}
    assert modelled - reached == NEVER_SENT
    assert reached <= modelled


def test_the_manifest_takes_the_values_that_the_model_knows(shapes: Mapping[str, Any]) -> None:
    modelled = {path: set(shape["enum"]) for path, shape in members(shapes, "CreateDeploymentInput") if "enum" in shape}
    assert modelled == ENUMS


def test_what_is_not_set_is_not_sent(tmp_path: Path) -> None:
    text = "applications: {a: {revision: {github: {repository: a/b, commit: c}}, deployment_groups: [g]}}"
    (tmp_path / "release.yaml").write_text(text)
    (target,) = load(tmp_path / "release.yaml", env={}, default_region="eu-west-1").targets
    request = create_parameters(target, target.source, "orchestrator:r/1")  # type: ignore[arg-type]
    assert set(request) == {"applicationName", "deploymentGroupName", "revision", "description"}
