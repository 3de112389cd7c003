"""A run told event by event, in made-up time, to whatever views listen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.core import events as ev
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.ports import Sink
from orchestrator.core.state import RunState

NOON = 1_700_049_600.0  # 2023-11-15 12:00:00 UTC
S = TargetState


class Story:
    """Events that follow each other, and the state that they amount to."""

    def __init__(self, targets: Mapping[str, Sequence[str]], *, release: str = "shop-1") -> None:
        """`targets`: the needs of each."""
        self.state = RunState()
        self.records: list[ev.Record] = []
        self.now = NOON
        self.sinks: list[Sink] = []
        self._targets = targets
        self._release = release

    def begin(self) -> Story:
        return self.tell(
            ev.RunStarted(
                release=self._release,
                environment="staging",
                manifest="release.yaml",
                manifest_digest="",
                targets=tuple(_target(name, needs) for name, needs in self._targets.items()),
                policy={},
                concurrency={},
                version="0",
                host="ci",
                pid=1,
            )
        )

    def tell(self, *events: ev.Event, after: float = 0.0) -> Story:
        self.now += after
        for event in events:
            record = ev.Record(self.state.last_seq + 1, self.now, "run-1", event)
            self.state.apply(record)
            self.records.append(record)
            for sink in self.sinks:
                sink.handle(record, self.state)
        return self

    def start(self, name: str, after: float = 0.0, adopted: bool = False) -> Story:
        application, group = name.split("/")
        intended = ev.DeploymentIntended(
            target=name,
            token=f"orchestrator:run-1/{name}",
            attempt=1,
            application_name=application,
            deployment_group_name=group,
            region="eu-west-1",
            role_arn=None,
            revision={},
        )
        started = ev.DeploymentStarted(target=name, token="t", deployment_id=d(name), adopted=adopted)
        return self.tell(intended, started, after=after)

    def progress(self, name: str, after: float = 0.0, **overview: int) -> Story:
        event = ev.DeploymentProgressed(target=name, deployment_id=d(name), status="InProgress", overview=overview)
        return self.tell(event, after=after)

    def succeed(self, name: str, after: float = 0.0) -> Story:
        ended = ev.DeploymentEnded(target=name, deployment_id=d(name), status="Succeeded")
        return self.tell(ended, ev.TargetFinished(target=name, state=S.SUCCEEDED), after=after)

    def fail(self, name: str, after: float = 0.0, message: str = "too many instances failed") -> Story:
        ended = ev.DeploymentEnded(
            target=name, deployment_id=d(name), status="Failed", error_code="HEALTH_CONSTRAINTS", error_message=message
        )
        failure = {
            "instance": "i-0abc",
            "status": "Failed",
            "lifecycle_event": "ValidateService",
            "script": "scripts/check.sh",
            "error_code": "ScriptFailed",
            "message": "exit code 1",
            "log_tail": "connecting\n\x1b[31mrefused\x1b[0m\n",
        }
        diagnosed = ev.DeploymentDiagnosed(target=name, deployment_id=d(name), instances=(failure,), failed=3)
        return self.tell(
            ended,
            diagnosed,
            ev.TargetFinished(target=name, state=S.FAILED, reason="the deployment failed"),
            after=after,
        )

    def skip(self, name: str, by: str) -> Story:
        return self.tell(ev.TargetFinished(target=name, state=S.SKIPPED, blocked_by=(by,)))

    def finish(self, outcome: Outcome) -> Story:
        return self.tell(ev.RunFinished(outcome=outcome, exit_code=0))


def _target(name: str, needs: Sequence[str]) -> dict[str, Any]:
    application, group = name.split("/")
    return {"id": name, "application": application, "deployment_group": group, "needs": list(needs)}


def d(name: str) -> str:
    return "d-" + name.replace("/", "").upper()[:9].ljust(9, "0")


CHAIN: Mapping[str, Sequence[str]] = {"db/primary": (), "api/fleet": ("db/primary",), "web/fleet": ("api/fleet",)}
