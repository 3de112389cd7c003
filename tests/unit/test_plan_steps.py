"""A step survives its journal."""

from __future__ import annotations

import json
from dataclasses import replace

from world import target

from orchestrator.core.model import DeploymentSettings, GitHubRevision, S3Revision
from orchestrator.core.plan import Step, step_from_dict, step_to_dict


def test_a_step_is_read_back_as_it_was_written() -> None:
    settings = DeploymentSettings(auto_rollback=("DEPLOYMENT_FAILURE",), alarms={"enabled": True})
    step = Step(
        target=replace(target("a/g", needs=["b/g"], labels={"tier": "web"}, pool="p"), settings=settings),
        current=S3Revision(bucket="b", key="k", bundle_type="tgz", version="v", etag="e"),
        current_deployment_id="d-1",
        wanted="s3://b/k2",
        digest="sha256:1",
        timeout=99.0,
        reason="another revision",
    )
    assert step_from_dict(json.loads(json.dumps(step_to_dict(step)))) == step
    plain = Step(target=target("a/g", source=GitHubRevision(repository="a/b", commit_id="c")), action="unchanged")
    assert step_from_dict(json.loads(json.dumps(step_to_dict(plain)))) == plain
