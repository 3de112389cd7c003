"""CodeDeploy's front: the JSON protocol, the accounts and regions, and the table of operations."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping

from orchestrator.sandbox import (
    applications,
    config_operations,
    deployment_instances,
    groups,
    leftovers,
    onpremises,
    operations,
    tag_operations,
    waits,
)
from orchestrator.sandbox.alarms import Alarms
from orchestrator.sandbox.bundles import BundleChecker
from orchestrator.sandbox.context import Context, Handler, Rendered
from orchestrator.sandbox.errors import ServiceError, unsupported
from orchestrator.sandbox.fleet import FleetSpec
from orchestrator.sandbox.home import Ledger
from orchestrator.sandbox.identity import Scope
from orchestrator.sandbox.injector import Injector
from orchestrator.sandbox.options import SandboxOptions
from orchestrator.sandbox.region import Region
from orchestrator.sandbox.shapes import ServiceModel
from orchestrator.sandbox.shelf import restore
from orchestrator.sandbox.stocking import stock

HANDLERS: Mapping[str, Handler] = {
    **applications.HANDLERS,
    **groups.HANDLERS,
    **config_operations.HANDLERS,
    **operations.HANDLERS,
    **deployment_instances.HANDLERS,
    **onpremises.HANDLERS,
    **tag_operations.HANDLERS,
    **waits.HANDLERS,
    **leftovers.HANDLERS,
}


class CodeDeploy:
    """All accounts and regions. Knows no HTTP."""

    def __init__(
        self,
        fleet: FleetSpec,
        options: SandboxOptions,
        injector: Injector,
        bundles: BundleChecker,
        started: float,
        *,
        ledger: Ledger | None = None,
        has_agents: bool = False,
    ) -> None:
        """`fleet`: what is to be there; what the ledger has already stays as it is.

        `has_agents`: a `Conductor` takes up events and reports how they ended.
        """
        self._options = options
        self._injector = injector
        self._bundles = bundles
        self._started = started
        self._model = ServiceModel()
        self._ledger = ledger or Ledger()
        self._has_agents = has_agents
        self.alarms = Alarms(options.alarms, self._ledger)
        self.changed: Callable[[], None] = lambda: None
        """Called after whatever may have changed what is due next."""
        self.regions: dict[tuple[str, str], Region] = {}
        restore(self._ledger, self.region, started)
        stock(fleet, self.region, started)

    def region(self, account: str, name: str) -> Region:
        """Made when it is first asked for: an account without anything in it exists, too."""
        key = (account, name)
        if key not in self.regions:
            self.regions[key] = Region(
                account,
                name,
                self._options,
                lambda: self._injector.faults,
                self._started,
                ledger=self._ledger,
                alarms=self.alarms,
                has_agents=self._has_agents,
            )
        return self.regions[key]

    async def call(self, operation: str, body: bytes, scope: Scope, now: float) -> bytes:
        """The answer's JSON. Raises `ServiceError`."""
        model = self._model.operation(operation)
        handler = HANDLERS.get(operation)
        if handler is None:
            raise unsupported(operation)
        try:
            parameters = json.loads(body or b"{}")
        except (ValueError, RecursionError) as error:
            raise ServiceError("SerializationException", f"the body isn't JSON: {error}") from None
        context = Context(
            region=self.region(scope.identity.account, scope.region),
            now=now,
            injector=self._injector,
            bundles=self._bundles,
            options=self._options,
            deployment_info=self._model.deployment_info,
        )
        answer = handler(context, model.check(parameters))
        if inspect.isawaitable(answer):
            answer = await answer
        self.changed()
        if isinstance(answer, Rendered):
            return answer.text.encode()
        return json.dumps(model.serialize(answer)).encode()
