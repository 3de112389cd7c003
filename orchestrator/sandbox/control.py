"""What `orchestrator sandbox status`, `logs`, `alarm` and `instance` ask a running sandbox for: a small API of its own.

It lies under `/_sandbox/`, where no bucket can be, and takes requests signed for the service `sandbox`:

    GET /_sandbox/status
    GET /_sandbox/logs/<instance>
    PUT /_sandbox/alarm/<name>/on|off|unreadable
    PUT /_sandbox/instance/<name>/start|stop

Answers are JSON; a refusal is `{"error": "…"}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast, get_args
from urllib.parse import unquote

from orchestrator.sandbox.controls import Controls, UnknownInstanceError
from orchestrator.sandbox.deployments import Group
from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.options import AlarmState
from orchestrator.sandbox.storage import Storage

if TYPE_CHECKING:
    from orchestrator.sandbox.codedeploy import CodeDeploy
    from orchestrator.sandbox.region import Region

PREFIX = "/_sandbox/"
SERVICE = "sandbox"


class ControlError(Exception):
    """A refusal."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """Over the whole of one sandbox."""

    controls: Controls
    codedeploy: CodeDeploy
    storage: Storage
    clock: Callable[[], float]
    time_scale: float
    data: str | None

    async def answer(self, method: str, path: str) -> Json:
        """`path`: as it was sent. Raises `ControlError`."""
        match method, [unquote(part) for part in path.removeprefix(PREFIX).split("/")]:
            case "GET", ["status"]:
                return self.status()
            case "GET", ["logs", name]:
                return self._logs(name)
            case "PUT", ["alarm", name, state] if name and state in get_args(AlarmState):
                self.controls.set_alarm(name, cast("AlarmState", state))
                return {"alarms": self.controls.alarms()}
            case "PUT", ["instance", name, "start" | "stop" as action]:
                try:
                    found = await self.controls.set_instance(name, is_running=action == "start")
                except UnknownInstanceError as error:
                    raise ControlError(404, str(error)) from None
                return {"instances": [asdict(one) for one in found]}
            case _:
                raise ControlError(404, f"the sandbox has no {method} {path}")

    def status(self) -> Json:
        now = self.clock()
        for region in self.codedeploy.regions.values():
            region.settle_all(now)
        return {
            "time_scale": self.time_scale,
            "data": self.data,
            "groups": list(self._groups()),
            "instances": [asdict(one) for one in self.controls.instances()],
            "alarms": self.controls.alarms(),
            "hooks": [asdict(one) for one in self.controls.hooks()],
            "buckets": [
                {
                    "name": bucket.name,
                    "account": bucket.account,
                    "region": bucket.region,
                    "objects": sum(versions[-1].blob is not None for versions in bucket.objects.values()),
                    "bytes": sum(blob.size for blob in bucket.blobs()),
                }
                for _, bucket in sorted(self.storage.buckets.items())
            ],
        }

    def _groups(self) -> Iterator[Json]:
        for _, region in sorted(self.codedeploy.regions.items()):
            for _, application in sorted(region.applications.items()):
                for _, group in sorted(application.groups.items()):
                    yield _group(region, group)

    def _logs(self, name: str) -> Json:
        try:
            return {"instances": self.controls.logs(name)}
        except UnknownInstanceError as error:
            raise ControlError(404, str(error)) from None


def _group(region: Region, group: Group) -> Json:
    last = group.last_attempted
    return {
        "account": region.account,
        "region": region.name,
        "application": group.application,
        "deployment_group": group.name,
        "platform": group.platform,
        "instances": [one.id for one in region.casting.instances(group)] if group.platform == "Server" else [],
        "deployments": len(group.deployments),
        "last_deployment": {"deployment_id": last.id, "status": last.status, "overview": last.overview()}
        if last
        else None,
    }
