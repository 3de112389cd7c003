"""Connections to AWS, or to a sandbox, for the locations of a run: one budget and one set of clients each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from urllib.parse import urlsplit

from orchestrator.app.memory import share_arenas
from orchestrator.aws import AwsSession, CodeDeployTransport, ObjectStore
from orchestrator.core.codedeploy import CodeDeploy, Patience
from orchestrator.core.leased import LeasedTransport
from orchestrator.core.limiter import Budget
from orchestrator.core.model import Location
from orchestrator.core.poller import Poller
from orchestrator.core.ports import CallObserver
from orchestrator.core.region import Region

AWS_POLL_INTERVAL = 5.0
SANDBOX_POLL_INTERVAL = 0.5

BEFORE_A_RUN = 10.0
"""Seconds that reads are repeated for, before a run has begun."""

ThrottleListener = Callable[[str, str, float], None]
"""Region, operation, and the budget's new rate in calls a second."""


class Throttles:
    """Passes on throttles to whoever listens; the run that wants to know of them begins after the plan's reads."""

    def __init__(self) -> None:
        self.listener: ThrottleListener = lambda _region, _operation, _rate: None

    def of(self, region: str) -> Callable[[str, float], None]:
        return lambda operation, rate: self.listener(region, operation, rate)


class Guard:
    """Asked right before every call that changes something; the lease is there once the plan is."""

    def __init__(self) -> None:
        self.ensure: Callable[[], Awaitable[None]] = _nothing_to_ask

    async def __call__(self) -> None:
        await self.ensure()


async def _nothing_to_ask() -> None:
    pass


@dataclass(frozen=True, eq=False, slots=True)
class Services:
    session: AwsSession
    codedeploys: Mapping[Location, CodeDeploy]
    stores: Mapping[Location, ObjectStore]
    throttles: Throttles
    guard: Guard

    def impatient(self) -> dict[Location, CodeDeploy]:
        """The same, for reads before a run: what can't be reached now is better said than waited for."""
        patience = Patience(seconds=BEFORE_A_RUN)
        return {location: each.with_patience(patience) for location, each in self.codedeploys.items()}

    def rates(self) -> dict[tuple[str, str], float]:
        """The budgets' calls a second, by service and region."""
        return {("codedeploy", location.region): each.budget.rate for location, each in self.codedeploys.items()}

    def regions(self, poll_interval: float, warn: Callable[[str], None]) -> dict[Location, Region]:
        """With one poller each; `poll_interval` in seconds."""
        return {
            location: Region(codedeploy, Poller(codedeploy, interval=poll_interval, warn=warn))
            for location, codedeploy in self.codedeploys.items()
        }


@asynccontextmanager
async def open_services(
    locations: Iterable[Location],
    *,
    near: bool,
    observer: CallObserver | None = None,
    endpoint_environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Services]:
    """`near`: the endpoint is a sandbox on this machine, which takes more calls a second than AWS is known to."""
    share_arenas()
    throttles, guard, random = Throttles(), Guard(), Random()  # noqa: S311 - jitter, not secrets
    async with AwsSession(observer=observer, endpoint_environment=endpoint_environment) as session:
        wanted = list(dict.fromkeys(locations))
        codedeploys = {
            location: CodeDeploy(
                LeasedTransport(CodeDeployTransport(session, location), guard),
                Budget(rate=10.0, ceiling=2000.0) if near else Budget(),
                random=random,
                on_throttle=throttles.of(location.region),
            )
            for location in wanted
        }
        stores = {location: ObjectStore(session, location) for location in wanted}
        yield Services(session, codedeploys, stores, throttles, guard)


def is_near(env: Mapping[str, str]) -> bool:
    """Whether CodeDeploy's endpoint is on this machine."""
    url = env.get("AWS_ENDPOINT_URL_CODEDEPLOY") or env.get("AWS_ENDPOINT_URL") or ""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host.startswith("127.") or host == "::1"
