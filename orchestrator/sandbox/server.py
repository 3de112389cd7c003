"""S3, CodeDeploy and STS on one loopback port. The entry to the sandbox for everybody else.

    async with Sandbox(fleet, SandboxOptions(time_scale=10)).serve() as endpoint:
        ...  # hand endpoint.environment() to an AWS SDK or CLI

botocore and aiohttp are imported when the server starts, not before.
"""

from __future__ import annotations

import errno
import shlex
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.sandbox.controls import Controls
from orchestrator.sandbox.fleet import DEFAULT_ACCOUNT, FleetSpec
from orchestrator.sandbox.identity import Keyring
from orchestrator.sandbox.injector import Injector
from orchestrator.sandbox.inspection import Calls, DeploymentView, peak_running, view
from orchestrator.sandbox.options import Faults, SandboxOptions

if TYPE_CHECKING:
    import asyncio

    from aiohttp import web

    from orchestrator.sandbox.codedeploy import CodeDeploy
    from orchestrator.sandbox.home import Home, Ledger
    from orchestrator.sandbox.ports import Agents
    from orchestrator.sandbox.storage import Storage

    AgentsMaker = Callable[[Storage, Home], Agents]

Clock = Callable[[], float]
"""Epoch seconds that never go back."""

_FIRST_REGION = "us-east-1"
_FLUSHES = 0.2
"""Seconds between two looks for what has changed without a call."""
_SHUTDOWN = 1.0
"""Seconds that requests under way have to end when the sandbox closes."""


def wall_clock() -> Clock:
    """Epoch seconds, steady even where the machine's time is set meanwhile."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A running sandbox."""

    url: str
    region: str
    calls: Calls
    controls: Controls
    _keyring: Keyring
    _codedeploy: CodeDeploy
    _injector: Injector
    _clock: Clock

    def environment(self) -> dict[str, str]:
        """The variables that point any AWS SDK or CLI here, with keys that open nothing else."""
        root = self._keyring.root
        return {
            "AWS_ACCESS_KEY_ID": root.key,
            "AWS_SECRET_ACCESS_KEY": root.secret,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ENDPOINT_URL_CLOUDWATCH": self.url,
            "AWS_ENDPOINT_URL_CODEDEPLOY": self.url,
            "AWS_ENDPOINT_URL_STS": self.url,
        }

    def deployments(
        self,
        application: str | None = None,
        deployment_group: str | None = None,
        *,
        region: str | None = None,
        account: str | None = None,
    ) -> list[DeploymentView]:
        """In the order of their creation; None: of any."""
        found = [
            deployment
            for deployment in self._all()
            if application in (None, deployment.application)
            and deployment_group in (None, deployment.deployment_group)
            and region in (None, deployment.region)
            and account in (None, deployment.account)
        ]
        return sorted(found, key=lambda deployment: deployment.created)

    def peak_running(self) -> int:
        """The most deployments that ran at one time, over all groups."""
        return peak_running(self._all())

    def set_faults(self, faults: Faults) -> None:
        """From now on these; an event that has begun goes on as it did."""
        if problems := list(faults.problems()):
            raise ValueError("\n".join(problems))
        self._injector.replace(faults)

    def _all(self) -> Iterator[DeploymentView]:
        now = self._clock()
        for region in self._codedeploy.regions.values():
            region.settle_all(now)
            for deployment in region.deployments.values():
                yield view(deployment)


class Sandbox:
    """A sandbox to be; it takes no port and imports nothing heavy before `serve`."""

    def __init__(
        self,
        fleet: FleetSpec | None = None,
        options: SandboxOptions | None = None,
        *,
        clock: Clock | None = None,
        agents: AgentsMaker | None = None,
    ) -> None:
        """`agents`: makes what carries events out for real; without them a clock decides how events go."""
        self._make_agents = agents
        self._fleet = fleet or FleetSpec()
        self._options = options or SandboxOptions()
        self._clock = clock or wall_clock()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Endpoint]:
        """Raises OSError, with its place in its text: it can't listen there, or can't keep its data there."""
        # These bring in aiohttp and botocore, which whoever only names a sandbox must not pay for.
        import asyncio  # noqa: PLC0415 - see above

        from aiohttp import web  # noqa: PLC0415 - see above

        from orchestrator.sandbox.bundles import BundleChecker  # noqa: PLC0415 - see above
        from orchestrator.sandbox.codedeploy import CodeDeploy  # noqa: PLC0415 - see above
        from orchestrator.sandbox.conductor import Conductor  # noqa: PLC0415 - see above
        from orchestrator.sandbox.control import Control  # noqa: PLC0415 - see above
        from orchestrator.sandbox.home import open_home  # noqa: PLC0415 - see above
        from orchestrator.sandbox.http import Front  # noqa: PLC0415 - see above
        from orchestrator.sandbox.storage import Bucket, Storage  # noqa: PLC0415 - see above

        options, started = self._options, self._clock()
        with ExitStack() as stack:
            home = open_home(options.data)
            stack.callback(home.close)
            storage = Storage(options.storage_limit, home)
            for spec in self._fleet.buckets:
                if spec.name not in storage.buckets:
                    versioning = "Enabled" if spec.versioned else ""
                    storage.add_bucket(
                        Bucket(
                            name=spec.name,
                            region=spec.region,
                            created=started,
                            account=spec.account,
                            versioning=versioning,
                        )
                    )
            injector = Injector(options.faults, seed=options.seed, started=started)
            agents = self._make_agents(storage, home) if self._make_agents else None
            codedeploy = CodeDeploy(
                self._fleet,
                options,
                injector,
                BundleChecker(storage),
                started,
                ledger=home.ledger,
                has_agents=agents is not None,
            )
            keyring, calls = Keyring(home.ledger), Calls()
            controls = Controls(codedeploy, self._clock, agents)
            front = Front(
                codedeploy=codedeploy,
                storage=storage,
                keyring=keyring,
                injector=injector,
                calls=calls,
                control=Control(
                    controls=controls,
                    codedeploy=codedeploy,
                    storage=storage,
                    clock=self._clock,
                    time_scale=options.time_scale,
                    data=str(home.path) if home.is_lasting else None,
                ),
                clock=self._clock,
                ledger=home.ledger,
            )
            # Bodies are stored as they come: a gzip that is uploaded as such must not be unpacked on the way.
            server = web.Server(front.handle, access_log=None, auto_decompress=False)
            runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN)
            await runner.setup()
            tasks = [asyncio.create_task(_keep(home.ledger))] if home.is_lasting else []
            if agents is not None:
                conductor = Conductor(codedeploy.regions.values, agents, self._clock)
                codedeploy.changed = conductor.wake
                tasks.append(asyncio.create_task(conductor.run()))
            for task in tasks:
                task.add_done_callback(_surface)
            try:
                home.ledger.flush()
                port = await _listen(runner, options)
                yield Endpoint(
                    url=f"http://{_in_url(options.host)}:{port}",
                    region=self._region(),
                    calls=calls,
                    controls=controls,
                    _keyring=keyring,
                    _codedeploy=codedeploy,
                    _injector=injector,
                    _clock=self._clock,
                )
            finally:
                for task in tasks:
                    task.remove_done_callback(_surface)
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                if agents is not None:
                    await agents.close()
                await runner.cleanup()

    def _region(self) -> str:
        """The region that the throw-away keys start in: that of their first group or bucket."""
        own = [group.region for group in self._fleet.groups if group.account == DEFAULT_ACCOUNT]
        return next(iter([*own, *(bucket.region for bucket in self._fleet.buckets)]), _FIRST_REGION)


def export_lines(endpoint: Endpoint) -> str:
    """For a POSIX shell, one `export` a line: `eval "$(…)"`."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in endpoint.environment().items())


async def _keep(ledger: Ledger) -> None:
    """What changes without a call gets onto disk, too."""
    import asyncio  # noqa: PLC0415 - as in `serve`

    while True:
        await asyncio.sleep(_FLUSHES)
        with suppress(OSError):  # the next answer says so
            ledger.flush()


def _surface(task: asyncio.Task[None]) -> None:
    """One that ends by itself has failed: the event loop says how, rather than nobody."""
    if not task.cancelled():
        task.result()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _listen(runner: web.ServerRunner, options: SandboxOptions) -> int:
    """The port it listens on."""
    from aiohttp import web  # noqa: PLC0415 - as in `serve`

    site = web.TCPSite(runner, options.host, options.port)
    try:
        await site.start()
    except OSError as error:
        place = f"{options.host}:{options.port}"
        if error.errno == errno.EADDRINUSE:
            raise OSError(
                error.errno,
                f"the sandbox can't listen on {place}: the port is in use; take another, or 0 for any free one",
            ) from error
        raise OSError(error.errno, f"the sandbox can't listen on {place}: {error.strerror or error}") from error
    port: int = runner.addresses[0][1]
    return port
