"""Events by hand, into a state and the metrics."""

from __future__ import annotations

from typing import Any

from orchestrator.core import events as ev
from orchestrator.core.ports import Sink
from orchestrator.core.state import RunState


class Feed:
    """A run that a test tells; starts at 1000 seconds of the epoch, and `after` moves its clock."""

    def __init__(
        self, sink: Sink, names: tuple[str, ...] = ("api/canary", "api/fleet"), *, release: str = "shop", **more: Any
    ) -> None:
        """`more`: further fields of `run_started`."""
        self.sink = sink
        self.state = RunState()
        self.now = 1000.0
        targets = tuple(
            {"id": name, **dict(zip(("application", "deployment_group"), name.split("/"), strict=True))}
            for name in names
        )
        self.tell(
            ev.RunStarted(
                release=release,
                environment="prod",
                manifest="m",
                manifest_digest="",
                targets=targets,
                policy={},
                concurrency={},
                version="0",
                host="h",
                pid=1,
                **more,
            )
        )

    def tell(self, *events: ev.Event, after: float = 0.0) -> None:
        self.now += after
        for event in events:
            record = ev.Record(self.state.last_seq + 1, self.now, "run-1", event)
            self.state.apply(record)
            self.sink.handle(record, self.state)

    def start(self, name: str) -> None:
        application, group = name.split("/")
        self.tell(
            ev.DeploymentIntended(
                target=name,
                token="t",
                attempt=1,
                application_name=application,
                deployment_group_name=group,
                region="eu-west-1",
                role_arn=None,
                revision={},
            ),
            ev.DeploymentStarted(target=name, token="t", deployment_id="d-SECRET"),
        )
