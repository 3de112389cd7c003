"""CPU of one BatchGetDeployments call of 25 in the client's process: our transport beside botocore's own parser, and
our poller on top of it, from the answer to the recorded events.

`python -m tests.benchmarks.bench_batchget`, with `--json` for programs. The server is a process of its own, so that
only the client's CPU counts.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import anyio

from orchestrator.aws import AwsSession, CodeDeployTransport
from orchestrator.core.model import Location

from .polling import cpu_of_looks

DEPLOYMENTS = 25
CALLS = 100
ROUNDS = 5
REGION = "eu-west-1"
IDS = [f"d-{number:09d}" for number in range(DEPLOYMENTS)]
BASELINE = "botocore's own parser"
OURS = "our transport"
LOOKS = "our poller, nothing new"
CHANGES = "our poller, all 25 changed"


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


def answer_of(*, changed: bool) -> bytes:
    """A whole HTTP answer; `changed`: every deployment is one instance further."""
    deployments = [deployment_info(name) for name in IDS]
    if changed:
        for deployment in deployments:
            deployment["deploymentOverview"] |= {"InProgress": 1, "Succeeded": 6}
    body = json.dumps({"deploymentsInfo": deployments}).encode()
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\n"
        b"x-amzn-RequestId: 8f4c1c1e-0000-4000-8000-000000000000\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )


def serve(ready: Connection) -> None:
    """Serves until it is terminated: on its first port the same answer always, on its second two in turn."""
    import asyncio  # noqa: PLC0415  # only the server's process needs it

    same, other = answer_of(changed=False), answer_of(changed=True)
    still, moving = itertools.repeat(same), itertools.cycle([same, other])

    async def handle(answers: Iterator[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = 0
        while line := await reader.readline():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
            if line == b"\r\n":
                await reader.readexactly(length)
                writer.write(next(answers))

    async def main() -> None:
        servers = [await asyncio.start_server(partial(handle, each), "127.0.0.1", 0) for each in (still, moving)]
        ready.send(([server.sockets[0].getsockname()[1] for server in servers], len(same)))
        await asyncio.gather(*(server.serve_forever() for server in servers))

    asyncio.run(main())


async def measure(call: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds of CPU a call."""
    started = time.process_time()
    for _ in range(CALLS):
        await call()
    return (time.process_time() - started) / CALLS * 1000


async def compare(url: str, moving_url: str) -> dict[str, float]:
    """Milliseconds of CPU a call, by way; the median of all rounds. `moving_url`: every answer there differs."""
    import aioboto3  # noqa: PLC0415  # as the product does
    from aiobotocore.config import AioConfig  # noqa: PLC0415  # as the product does

    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret", "region_name": REGION}
    plain = aioboto3.Session(**keys).client(
        "codedeploy", endpoint_url=url, config=AioConfig(retries={"total_max_attempts": 1}, proxies={})
    )
    async with plain as client, our_transport(url) as still, our_transport(moving_url) as moving:
        ways: dict[str, Callable[[], Awaitable[float]]] = {
            BASELINE: lambda: measure(lambda: client.batch_get_deployments(deploymentIds=IDS)),
            OURS: lambda: measure(lambda: still.call("BatchGetDeployments", {"deploymentIds": IDS})),
            LOOKS: lambda: cpu_of_looks(still, IDS, CALLS),
            CHANGES: lambda: cpu_of_looks(moving, IDS, CALLS),
        }
        figures: dict[str, list[float]] = {way: [] for way in ways}
        for warm_up in ways.values():
            await warm_up()
        for _ in range(ROUNDS):
            for way, measured in ways.items():
                figures[way].append(await measured())
    return {way: statistics.median(values) for way, values in figures.items()}


@asynccontextmanager
async def our_transport(url: str) -> AsyncIterator[CodeDeployTransport]:
    environment = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
    async with AwsSession(endpoint_environment=environment) as session:
        yield CodeDeployTransport(session, Location(region=REGION))


def show(figures: Mapping[str, float], size: int) -> None:
    print(f"BatchGetDeployments of {DEPLOYMENTS}, {size / 1000:.0f} KB; CPU of the client, median of {ROUNDS} rounds")
    for way, figure in figures.items():
        times = figures[BASELINE] / figure
        print(f"  {way:26} {figure:6.2f} ms a call  {times:5.1f} ×  {1000 / figure:6.0f} calls/s of one core")


def main(arguments: Sequence[str] = ()) -> int:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        ports, size = ours.recv()
        still, moving = (f"http://127.0.0.1:{port}" for port in ports)
        figures = anyio.run(compare, still, moving)
    finally:
        server.terminate()
        server.join()
    if "--json" in arguments:
        print(json.dumps(figures))
    else:
        show(figures, size)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
