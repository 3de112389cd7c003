"""The fast parser says what botocore's says, but for times: those are epoch seconds."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import pytest
from aiobotocore.parsers import AioJSONParser
from botocore.loaders import Loader
from botocore.model import ServiceModel

from orchestrator.aws.fastjson import FastJsonParser, FastParserFactory, UnreadableAnswerError

pytestmark = pytest.mark.anyio

S3_LOCATION = {"bucket": "b", "key": "k.tgz", "bundleType": "tgz", "version": None, "eTag": '"d41d8c"'}
DEPLOYMENT = {
    "applicationName": "shop",
    "deploymentId": "d-ABCDEFGHI",
    "status": "Failed",
    "errorInformation": {"code": "HEALTH_CONSTRAINTS", "message": "too many individual instances failed"},
    "createTime": 1764000000.123,
    "completeTime": 1764000300,
    "startTime": None,
    "deploymentOverview": {"Pending": 0, "InProgress": 0, "Succeeded": 1, "Failed": 2, "Skipped": 0, "Ready": 0},
    "revision": {"revisionType": "S3", "s3Location": S3_LOCATION, "gitHubLocation": None},
    "rollbackInfo": {"rollbackDeploymentId": "d-ROLLBACK1", "rollbackMessage": "…"},
    "autoRollbackConfiguration": {"enabled": True, "events": []},
    "deploymentStatusMessages": [],
    "instanceTerminationWaitTimeStarted": False,
}
TARGET = {
    "deploymentTargetType": "InstanceTarget",
    "instanceTarget": {
        "targetId": "i-1",
        "status": "Failed",
        "lastUpdatedAt": 1764000200.5,
        "lifecycleEvents": [
            {
                "lifecycleEventName": "ApplicationStart",
                "status": "Failed",
                "startTime": 1764000100.0,
                "diagnostics": {"errorCode": "ScriptFailed", "scriptName": "s.sh", "message": "m", "logTail": "é\n"},
            }
        ],
    },
}
ANSWERS: list[tuple[str, dict[str, Any]]] = [
    ("GetDeployment", {"deploymentInfo": DEPLOYMENT}),
    ("GetDeployment", {"deploymentInfo": {"deploymentOverview": None, "status": "Brand new"}}),
    ("BatchGetDeployments", {"deploymentsInfo": [DEPLOYMENT] * 3}),
    ("BatchGetDeployments", {"deploymentsInfo": []}),
    ("BatchGetDeploymentTargets", {"deploymentTargets": [TARGET]}),
    ("ListDeployments", {"deployments": ["d-1", "d-2"], "nextToken": None}),
    ("CreateDeployment", {"deploymentId": "d-ABCDEFGHI"}),
    ("StopDeployment", {"status": "Pending", "statusMessage": "…"}),
    (
        "BatchGetDeploymentGroups",
        {
            "deploymentGroupsInfo": [
                {
                    "deploymentGroupName": "fleet",
                    "lastSuccessfulDeployment": {"deploymentId": "d-1", "endTime": 1764000000.5},
                    "ec2TagFilters": [{"Key": "name", "Value": "null", "Type": "KEY_AND_VALUE"}],
                }
            ],
            "errorMessage": "",
        },
    ),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def model() -> Any:
    return ServiceModel(Loader().load_service_model("codedeploy", "service-2"), service_name="codedeploy")


def answer(body: bytes, status: int = 200, **headers: str) -> dict[str, Any]:
    return {
        "headers": {"x-amzn-requestid": "request-1", **headers},
        "status_code": status,
        "body": body,
        "context": {"operation_name": "x"},
    }


def with_epochs(value: Any) -> Any:
    match value:
        case dt.datetime():
            return value.timestamp()
        case dict():
            return {key: with_epochs(member) for key, member in value.items()}
        case list():
            return [with_epochs(member) for member in value]
        case _:
            return value


@pytest.mark.parametrize(("operation", "content"), ANSWERS)
async def test_parity_with_botocore(model: Any, operation: str, content: Mapping[str, Any]) -> None:
    shape = model.operation_model(operation).output_shape
    response = answer(json.dumps(content).encode())
    expected = await AioJSONParser().parse(response, shape)
    parsed = await FastJsonParser().parse(response, shape)
    assert parsed == with_epochs(expected)


@pytest.mark.parametrize(
    "body",
    [
        b'{"__type": "ThrottlingException", "message": "Rate exceeded"}',
        b'{"__type": "com.amazonaws.codedeploy#InvalidRevisionException", "Message": "no"}',
        b'{"__type": "a.b#Wrong:http://x/y", "message": "no"}',
        b"{}",
    ],
)
async def test_parity_of_errors_with_botocore(model: Any, body: bytes) -> None:
    shape = model.operation_model("CreateDeployment").output_shape
    expected = await AioJSONParser().parse(answer(body, 400), shape)
    parsed = await FastJsonParser().parse(answer(body, 400), shape)
    assert parsed == expected


async def test_a_code_may_come_in_a_header(model: Any) -> None:
    shape = model.operation_model("CreateDeployment").output_shape
    response = answer(b"", 400, **{"x-amzn-errortype": "ValidationException:http://x"})
    parsed = await FastJsonParser().parse(response, shape)
    assert parsed["Error"] == {"Code": "ValidationException", "Message": "an answer without a body"}


async def test_a_success_that_cannot_be_read_is_an_error(model: Any) -> None:
    shape = model.operation_model("CreateDeployment").output_shape
    with pytest.raises(UnreadableAnswerError, match="Sign in to the guest network"):
        await FastJsonParser().parse(answer(b"<html><h1>Sign in</h1> to the\nguest network"), shape)


def test_other_protocols_keep_botocores_parsers() -> None:
    factory = FastParserFactory()
    assert isinstance(factory.create_parser("json"), FastJsonParser)
    for protocol in ("rest-xml", "query", "rest-json"):
        assert not isinstance(factory.create_parser(protocol), FastJsonParser)
