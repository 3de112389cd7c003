"""CPU and memory of a sandbox of 1,000 groups of three instances, all of which are deployed to at time scale 0.

`python -m tests.benchmarks.bench_rehearsal`, with `--json` for programs. The sandbox is a process of its own, whose
CPU the kernel counts from when it serves until the last deployment has been seen to have succeeded; all calls come over
HTTP, signed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio

from orchestrator.aws import AwsSession, CodeDeployTransport
from orchestrator.core.model import Location

from .processes import ORCHESTRATOR, clean_environment, last_lines
from .sandboxes import variables

GROUPS = 1_000
INSTANCES = 3
LOOKS = 2_000
"""BatchGetDeployments of 25 that are counted on their own."""
BATCH = 25
REGION = "eu-west-1"
REVISION = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "abc"}}


def fleet() -> str:
    groups = "".join(f"  app{number}/fleet: {{instances: {INSTANCES}}}\n" for number in range(GROUPS))
    return f"region: {REGION}\ntime_scale: 0\ngroups:\n{groups}"


def cpu(process: subprocess.Popen[str]) -> float:
    """Seconds so far, in user and kernel."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(process: subprocess.Popen[str]) -> float:
    """Megabytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Mapping[str, str]]]:
    path, environment = folder / "fleet.yaml", folder / "sandbox.env"
    path.write_text(fleet(), encoding="utf-8")
    command = [ORCHESTRATOR, "sandbox", "--fleet", str(path), "--env-file", str(environment)]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            if process.stdout is None or not process.stdout.readline():
                raise RuntimeError(f"orchestrator sandbox didn't start:\n{last_lines(errors)}")
            yield process, variables(environment.read_text())
        finally:
            process.terminate()


async def drive(process: subprocess.Popen[str], environment: Mapping[str, str]) -> dict[str, float]:
    async with AwsSession(endpoint_environment=environment) as session:
        transport = CodeDeployTransport(session, Location(region=REGION))
        began = cpu(process)
        ids = []
        for number in range(GROUPS):
            group = {"applicationName": f"app{number}", "deploymentGroupName": "fleet", "revision": REVISION}
            ids.append((await transport.call("CreateDeployment", group))["deploymentId"])
        succeeded = 0
        for first in range(0, GROUPS, BATCH):
            answer = await transport.call("BatchGetDeployments", {"deploymentIds": ids[first : first + BATCH]})
            succeeded += sum(one["status"] == "Succeeded" for one in answer["deploymentsInfo"])
        deployed = cpu(process)
        for _ in range(LOOKS):
            await transport.call("BatchGetDeployments", {"deploymentIds": ids[:BATCH]})
        looked = cpu(process)
    return {
        "succeeded": succeeded,
        "deployments": GROUPS / (deployed - began),
        "looks": LOOKS / (looked - deployed),
        "peak": peak(process),
    }


def main(arguments: Sequence[str] = ()) -> int:
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder, serving(Path(folder)) as served:
        figures = anyio.run(drive, *served)
    print(json.dumps(figures) if "--json" in arguments else figures)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
