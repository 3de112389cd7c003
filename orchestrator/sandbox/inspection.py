"""What a test may ask a sandbox afterwards: the calls it had, and the deployments it ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.sandbox.deployments import Deployment


class Calls:
    """Every call by service, operation and outcome.

    Outcomes: `ok`, the code of an error, `HTTP 500`, `reset before` and `reset after`.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, service: str, operation: str, outcome: str) -> None:
        self.counts[service, operation, outcome] += 1

    def total(self, operation: str | None = None, outcome: str | None = None, service: str | None = None) -> int:
        """Of these; None: of any."""
        return sum(
            count
            for (its_service, its_operation, its_outcome), count in self.counts.items()
            if (operation is None or operation == its_operation)
            and (outcome is None or outcome == its_outcome)
            and (service is None or service == its_service)
        )

    def clear(self) -> None:
        self.counts.clear()


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentView:
    """A deployment as it stands. Times are epoch seconds of the sandbox's clock."""

    id: str
    account: str
    region: str
    application: str
    deployment_group: str
    status: str
    creator: str
    description: str
    created: float
    started: float | None
    ended: float | None
    """None: it runs."""
    revision: dict[str, object]


def view(deployment: Deployment) -> DeploymentView:
    group = deployment.group
    return DeploymentView(
        id=deployment.id,
        account=group.account,
        region=group.region,
        application=group.application,
        deployment_group=group.name,
        status=deployment.status,
        creator=deployment.creator,
        description=deployment.settings.get("description") or "",
        created=deployment.created,
        started=deployment.started,
        ended=deployment.ended,
        revision=deployment.revision,
    )


def peak_running(deployments: Iterable[DeploymentView]) -> int:
    """The most of them that ran at one time. One that ends as another begins doesn't overlap it."""
    changes: list[tuple[float, int, int]] = []
    for deployment in deployments:
        changes.append((deployment.created, 1, 1))
        if deployment.ended is not None:
            # At one moment: first the ends, then the beginnings, then the ends of what has only just begun.
            order = 0 if deployment.ended > deployment.created else 2
            changes.append((deployment.ended, order, -1))
    running = peak = 0
    for _, _, change in sorted(changes):
        running += change
        peak = max(peak, running)
    return peak
