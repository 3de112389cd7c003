"""The policy in docs/aws.md allows what the code calls, and nothing that nobody needs."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pages
from botocore.loaders import Loader

CODE = pages.ROOT / "orchestrator"
CALLERS = ("core", "app", "aws", "gates", "notify")
"""The packages whose calls reach AWS."""

NEEDED_BY_CREATE = {"codedeploy:GetDeploymentConfig", "codedeploy:GetApplicationRevision"}
"""CodeDeploy asks for them by itself when CreateDeployment is called."""

S3_ACTIONS: Mapping[str, set[str]] = {
    "AbortMultipartUpload": {"s3:AbortMultipartUpload"},
    "CompleteMultipartUpload": {"s3:PutObject"},
    "CopyObject": {"s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"},
    "CreateMultipartUpload": {"s3:PutObject"},
    "DeleteObject": {"s3:DeleteObject"},
    "GetObject": {"s3:GetObject", "s3:GetObjectVersion"},
    "HeadBucket": {"s3:ListBucket"},
    "HeadObject": {"s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"},
    "ListMultipartUploads": {"s3:ListBucketMultipartUploads"},
    "ListObjectsV2": {"s3:ListBucket"},
    "ListParts": {"s3:ListMultipartUploadParts"},
    "PutObject": {"s3:PutObject"},
    "UploadPart": {"s3:PutObject"},
    "UploadPartCopy": {"s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"},
}
"""The actions behind S3's operations, which are not called as the operations are."""

S3_PARAMETERS: Mapping[str, str] = {"ACL": "s3:PutObjectAcl", "Tagging": "s3:PutObjectTagging"}
"""Parameters that need an action of their own."""

LAMBDA_ACTIONS: Mapping[str, str] = {"Invoke": "InvokeFunction"}
"""Actions that are called otherwise than their operations."""

DURABLE_SDK = {"CheckpointDurableExecution", "GetDurableExecutionState"}
"""What the SDK of durable functions calls inside of one."""

FREE = {"GetCallerIdentity"}
"""Needs no permission."""


def operations(service: str) -> set[str]:
    """All that the service has, by botocore's model."""
    model: dict[str, Any] = Loader().load_service_model(service, "service-2")
    return set(model["operations"])


def called(service: str) -> set[str]:
    """The operations of a service whose names stand in the code; a name that several have is CodeDeploy's."""
    others = operations("codedeploy") if service != "codedeploy" else set()
    return operations(service) & set(_strings()) - others


def called_in(path: Path) -> set[str]:
    """The actions behind the S3 operations of one module, without those for other versions than the newest."""
    names = operations("s3") & set(_strings_of(path))
    return {action for name in names for action in S3_ACTIONS[name]} - {"s3:GetObjectVersion"}


def _strings() -> Iterator[str]:
    for package in CALLERS:
        for path in sorted((CODE / package).glob("*.py")):
            yield from _strings_of(path)


def _strings_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def statements() -> list[dict[str, Any]]:
    policies = [json.loads(block) for block in pages.blocks(pages.page("aws"), "json")]
    return [statement for policy in policies for statement in policy["Statement"]]


def allowed() -> set[str]:
    found: set[str] = set()
    for statement in statements():
        action = statement["Action"]
        found |= {action} if isinstance(action, str) else set(action)
    return found


def needed() -> set[str]:
    codedeploy = {f"codedeploy:{name}" for name in called("codedeploy")}
    s3 = {action for name in called("s3") for action in S3_ACTIONS[name]}
    s3 |= {S3_PARAMETERS[word] for word in set(_strings()) & set(S3_PARAMETERS)}
    cloudwatch = {f"cloudwatch:{name}" for name in called("cloudwatch")}
    sns = {f"sns:{name}" for name in called("sns")}
    return codedeploy | cloudwatch | sns | lambda_actions() | NEEDED_BY_CREATE | s3 | {"sts:AssumeRole"}


def lambda_actions() -> set[str]:
    """Of our own description of the API, whose operations are all called; and those that the durable SDK calls."""
    model = json.loads((CODE / "aws" / "models" / "lambda-durable" / "2015-03-31" / "service-2.json").read_text())
    named = set(model["operations"])
    assert named <= set(_strings_of(CODE / "aws" / "functions.py")), "each is called"
    return {f"lambda:{LAMBDA_ACTIONS.get(name, name)}" for name in named | DURABLE_SDK}


def test_the_policy_is_what_the_code_needs() -> None:
    assert allowed() == needed()


def test_the_code_was_understood() -> None:
    """So that a change of how calls are made doesn't make the test above pass for nothing."""
    assert {"CreateDeployment", "StopDeployment", "ListDeploymentTargets"} <= called("codedeploy")
    assert {"PutObject", "UploadPart", "HeadObject", "DeleteObject", "ListObjectsV2"} <= called("s3")
    assert called("sts") <= FREE | {"AssumeRole"}


def test_the_state_has_statements_of_its_own() -> None:
    """They are for whoever runs the orchestrator, and not for the environments' roles."""
    found = {each["Sid"]: each for each in statements() if each["Sid"].startswith("State")}
    assert set(found) == {"State", "StateBucket"}
    asked = called_in(CODE / "aws" / "blobs.py")
    assert {*found["State"]["Action"], found["StateBucket"]["Action"]} == asked


def test_every_action_is_explained() -> None:
    cells = [row[0] for row in pages.rows(pages.section(pages.page("aws"), "The policy"))]
    assert {code for cell in cells for code in pages.codes(cell)} == allowed()


def test_actions_without_resources_stand_alone() -> None:
    """IAM refuses nothing here, it just never allows: these two know no resources."""
    for statement in statements():
        if "codedeploy:ListDeploymentTargets" in statement["Action"]:
            assert statement["Resource"] == "*"
            assert set(statement["Action"]) == {
                "codedeploy:BatchGetDeploymentTargets",
                "codedeploy:ListDeploymentTargets",
            }
