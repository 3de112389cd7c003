"""The sandbox as a server: how soon it is ready, and how many BatchGetDeployments of 25 one core of it answers."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shlex
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from orchestrator.sandbox.signature import authorization

from .figures import Figure
from .processes import ORCHESTRATOR, clean_environment

READY = 1.0
"""Seconds from the start of the process to its first line of output."""
CALLS = 500.0
"""A second of CPU."""
GROUPS, ROUNDS, ROUND = 25, 5, 2000
STARTS = 5
REGION = "us-east-1"


def figures(_folder: Path) -> Iterator[Figure]:
    starts = [_start() for _ in range(STARTS)]
    wall, cpu = (statistics.median(one[part] for one in starts) for part in (0, 1))
    beside = f"of which {cpu:.2f} s of CPU; median of {STARTS} starts"
    yield Figure(name="ready", value=wall, unit="s", at_most=READY, beside=beside)
    with _Server() as server:
        ids = server.fill()
        body = json.dumps({"deploymentIds": ids}).encode()
        answer = server.call("BatchGetDeployments", body)
        assert len(json.loads(answer)["deploymentsInfo"]) == GROUPS
        rates = [server.rate(body) for _ in range(ROUNDS)]
        yield Figure(
            name="BatchGetDeployments of 25",
            value=statistics.median(rates),
            unit="a CPU s",
            at_least=CALLS,
            beside=f"{len(answer) / 1000:.0f} kB each, every signature checked; median of {ROUNDS} rounds",
        )


def _start() -> tuple[float, float]:
    """Seconds, and seconds of CPU, until it is ready."""
    began = time.monotonic()
    with _Server() as server:
        return time.monotonic() - began, server.cpu()


class _Server:
    """`orchestrator sandbox` in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [ORCHESTRATOR, "sandbox", "--time-scale", "0"],
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        lines = [self._process.stdout.readline() for _ in range(8)]
        words = (shlex.split(line)[1] for line in lines)
        self._environment: Mapping[str, str] = dict(word.split("=", 1) for word in words)
        place = urlsplit(self._environment["AWS_ENDPOINT_URL"])
        self._netloc = place.netloc
        self._connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.wait(30)

    def call(self, operation: str, body: bytes) -> bytes:
        self._connection.request("POST", "/", body, self._headers(operation, body))
        response = self._connection.getresponse()
        answer = response.read()
        assert response.status == 200, answer
        return answer

    def rate(self, body: bytes) -> float:
        """Calls of BatchGetDeployments for each second of the server's CPU."""
        headers = self._headers("BatchGetDeployments", body)
        before = self.cpu()
        for _ in range(ROUND):
            self._connection.request("POST", "/", body, headers)
            self._connection.getresponse().read()
        return ROUND / (self.cpu() - before)

    def fill(self) -> list[str]:
        """Deployments with all that real ones have."""
        application = {"applicationName": "shop-api-production"}
        self._do("CreateApplication", application)
        revision = {
            "bucket": "acme-releases-eu-west-1",
            "key": f"bundles/shop-api/{'0123456789abcdef' * 4}.tgz",
            "bundleType": "tgz",
            "version": "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY",
            "eTag": "d41d8cd98f00b204e9800998ecf8427e-12",
        }
        ids = []
        for number in range(GROUPS):
            group = {**application, "deploymentGroupName": f"fleet-eu-west-1-{number}"}
            self._do("CreateDeploymentGroup", {**group, **_SETTINGS})
            made = self._do(
                "CreateDeployment",
                {
                    **group,
                    "description": "orc-01JD3Q6ZK3V7B1XJ1M0Y5QZ9TE release shop-9f3c2ab " + "what was changed " * 8,
                    "revision": {"revisionType": "S3", "s3Location": revision},
                    "overrideAlarmConfiguration": {"enabled": True, "alarms": [{"name": "shop-p99"}]},
                },
            )
            ids.append(str(made["deploymentId"]))
        return ids

    def _do(self, operation: str, parameters: Mapping[str, Any]) -> Any:
        return json.loads(self.call(operation, json.dumps(parameters).encode()))

    def _headers(self, operation: str, body: bytes) -> dict[str, str]:
        headers = {
            "Host": self._netloc,
            "X-Amz-Date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
            "X-Amz-Target": f"CodeDeploy_20141006.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
        }
        headers["Authorization"] = authorization(
            method="POST",
            path="/",
            headers=headers,
            payload=hashlib.sha256(body).hexdigest(),
            key=self._environment["AWS_ACCESS_KEY_ID"],
            secret=self._environment["AWS_SECRET_ACCESS_KEY"],
            service="codedeploy",
        )
        return headers

    def cpu(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


_SETTINGS = {
    "serviceRoleArn": "arn:aws:iam::000000000000:role/CodeDeployServiceRole",
    "deploymentConfigName": "CodeDeployDefault.HalfAtATime",
    "deploymentStyle": {"deploymentType": "IN_PLACE", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
    "loadBalancerInfo": {
        "targetGroupInfoList": [{"name": f"shop-api-production-{name}"} for name in ("blue", "green")]
    },
    "alarmConfiguration": {"enabled": True, "alarms": [{"name": "shop-p99"}, {"name": "shop-errors"}]},
    "autoRollbackConfiguration": {
        "enabled": True,
        "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"],
    },
    "ec2TagFilters": [{"Key": "service", "Value": "shop-api", "Type": "KEY_AND_VALUE"}],
}
