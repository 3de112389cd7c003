"""CPU of one BatchGetDeployments call of 25 in the client's process: our transport beside botocore's own parser.

Run it as a script; the server is a process of its own, so that only the client's CPU counts.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any

import anyio

from orchestrator.aws import AwsSession, CodeDeployTransport
from orchestrator.core.model import Location

DEPLOYMENTS = 25
CALLS = 100
ROUNDS = 5
REGION = "eu-west-1"
IDS = [f"d-{number:09d}" for number in range(DEPLOYMENTS)]


def deployment_info(deployment_id: str, *, running: bool = True) -> dict[str, Any]:
    """A deployment of 2 to 3 KB, with the members that real answers have."""
    revision = {
        "revisionType": "S3",
        "s3Location": {
            "bucket": "acme-releases-eu-west-1",
            "key": f"bundles/shop-api/{'0123456789abcdef' * 4}.tgz",
            "bundleType": "tgz",
            "version": "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY",
            "eTag": "d41d8cd98f00b204e9800998ecf8427e-12",
        },
    }
    return {
        "applicationName": "shop-api-production",
        "deploymentGroupName": "fleet-eu-west-1",
        "deploymentConfigName": "CodeDeployDefault.HalfAtATime",
        "deploymentId": deployment_id,
        "previousRevision": revision,
        "revision": revision,
        "status": "InProgress" if running else "Failed",
        "errorInformation": None if running else {"code": "HEALTH_CONSTRAINTS", "message": "The overall deployment …"},
        "createTime": 1764000000.123,
        "startTime": 1764000003.456,
        "completeTime": None if running else 1764000903.789,
        "deploymentOverview": {"Pending": 3, "InProgress": 2, "Succeeded": 5, "Failed": 0, "Skipped": 0, "Ready": 0},
        "description": "orc-01JD3Q6ZK3V7B1XJ1M0Y5QZ9TE release shop-9f3c2ab " + "what was changed " * 8,
        "creator": "user",
        "ignoreApplicationStopFailures": False,
        "autoRollbackConfiguration": {
            "enabled": True,
            "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"],
        },
        "updateOutdatedInstancesOnly": False,
        "rollbackInfo": {"rollbackDeploymentId": "", "rollbackTriggeringDeploymentId": "", "rollbackMessage": ""},
        "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "targetInstances": {
            "tagFilters": [{"Key": "service", "Value": "shop-api", "Type": "KEY_AND_VALUE"}],
            "autoScalingGroups": ["shop-api-production-asg-20251124", "shop-api-production-spot-20251124"],
        },
        "instanceTerminationWaitTimeStarted": False,
        "blueGreenDeploymentConfiguration": {
            "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 60},
            "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0},
            "greenFleetProvisioningOption": {"action": "COPY_AUTO_SCALING_GROUP"},
        },
        "loadBalancerInfo": {
            "targetGroupInfoList": [{"name": "shop-api-production-blue"}, {"name": "shop-api-production-green"}]
        },
        "additionalDeploymentStatusInfo": None,
        "fileExistsBehavior": "DISALLOW",
        "deploymentStatusMessages": [],
        "computePlatform": "Server",
        "overrideAlarmConfiguration": {"alarms": [{"name": "shop-p99"}], "enabled": True},
    }


def serve(ready: Connection) -> None:
    """Answers every request with the same body, until it is terminated."""
    import asyncio  # noqa: PLC0415  # only the server's process needs it

    body = json.dumps({"deploymentsInfo": [deployment_info(name) for name in IDS]}).encode()
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\n"
        b"x-amzn-RequestId: 8f4c1c1e-0000-4000-8000-000000000000\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = 0
        while line := await reader.readline():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
            if line == b"\r\n":
                await reader.readexactly(length)
                writer.write(answer)

    async def main() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        ready.send((server.sockets[0].getsockname()[1], len(body)))
        await server.serve_forever()

    asyncio.run(main())


async def measure(call: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds of CPU a call."""
    started = time.process_time()
    for _ in range(CALLS):
        await call()
    return (time.process_time() - started) / CALLS * 1000


async def compare(url: str, size: int) -> None:
    import aioboto3  # noqa: PLC0415  # as the product does
    from aiobotocore.config import AioConfig  # noqa: PLC0415  # as the product does

    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret", "region_name": REGION}
    environment = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
    plain = aioboto3.Session(**keys).client(
        "codedeploy", endpoint_url=url, config=AioConfig(retries={"total_max_attempts": 1}, proxies={})
    )
    async with plain as client, AwsSession(endpoint_environment=environment) as session:
        transport = CodeDeployTransport(session, Location(region=REGION))
        ways: dict[str, Callable[[], Awaitable[object]]] = {
            "botocore's own parser": lambda: client.batch_get_deployments(deploymentIds=IDS),
            "our transport": lambda: transport.call("BatchGetDeployments", {"deploymentIds": IDS}),
        }
        figures: dict[str, list[float]] = {way: [] for way in ways}
        for call in ways.values():
            await call()
        for _ in range(ROUNDS):
            for way, call in ways.items():
                figures[way].append(await measure(call))
    baseline = statistics.median(figures["botocore's own parser"])
    print(f"BatchGetDeployments of {DEPLOYMENTS}, {size / 1000:.0f} KB; CPU of the client, median of {ROUNDS} rounds")
    for way, values in figures.items():
        figure = statistics.median(values)
        print(
            f"  {way:24} {figure:6.2f} ms a call  {baseline / figure:5.1f} ×  {1000 / figure:6.0f} calls/s of one core"
        )


def main() -> int:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        port, size = ours.recv()
        anyio.run(compare, f"http://127.0.0.1:{port}", size)
    finally:
        server.terminate()
        server.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
