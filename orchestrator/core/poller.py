"""One poller for one account and region: looks at all deployments that anybody waits for, 25 in a call.

Looks happen on a common beat, so that the calls are always as full as they can be. A call that fails decides nothing:
its deployments are looked at again on the next beat. When the budget is short the beat is stretched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import anyio

from orchestrator.core.chunks import chunks
from orchestrator.core.codedeploy import BATCH, CodeDeploy
from orchestrator.core.errors import CallError, CredentialsError, RefusedError
from orchestrator.core.model import Deployment, DeploymentStatus

BUDGET_SHARE = 0.5
"""The part of the budget that polls may take; the rest is for starting and stopping."""

CREDENTIALS_PATIENCE = 30.0
"""Seconds that refused credentials are tried again: the SDK may be refreshing them."""

MISSES_BEFORE_ASKING = 3
"""Answers in which an id may be missing before it is asked for by itself."""

MISSES_BEFORE_GIVING_UP = 20

TROUBLE_BEFORE_WARNING = 3
"""Beats without an answer before people are told."""

Listener = Callable[[Deployment], None]


@dataclass(eq=False, slots=True)
class _Watch:
    deployment_id: str
    listeners: list[Listener]
    done: anyio.Event = field(default_factory=anyio.Event)
    seen: Deployment | None = None
    misses: int = 0
    error: CallError | None = None


class Poller:
    """Owns the set of watched deployments. `run` has to run for `wait` to return."""

    def __init__(
        self, codedeploy: CodeDeploy, *, interval: float, warn: Callable[[str], None] = lambda _message: None
    ) -> None:
        """`interval`: seconds, the shortest time between two looks at one deployment."""
        self._codedeploy = codedeploy
        self._interval = interval
        self._warn = warn
        self._watches: dict[str, _Watch] = {}
        self._wanted = anyio.Event()
        self._troubles = 0
        self._refused_since: float | None = None
        self._unknown_words: set[str] = set()
        self._asks_each = False

    async def wait(self, deployment_id: str, on_change: Listener) -> Deployment:
        """Returns the deployment once it has ended; every change until then, the end too, goes to `on_change`.

        Raises `CredentialsError` when ours stay refused and `RefusedError` when CodeDeploy keeps saying that there is
        no such deployment. Nothing else makes it give up.
        """
        watch = self._watches.setdefault(deployment_id, _Watch(deployment_id, []))
        watch.listeners.append(on_change)
        self._wanted.set()
        try:
            await watch.done.wait()
        finally:
            watch.listeners.remove(on_change)
            if not watch.listeners:
                self._watches.pop(deployment_id, None)
        if watch.error is not None:
            raise watch.error
        assert watch.seen is not None  # noqa: S101 - `done` is set with an error or with what was seen
        return watch.seen

    async def run(self) -> None:
        """Never returns; cancel it."""
        while True:
            await self._wanted.wait()
            started = anyio.current_time()
            await self._look(list(self._watches))
            if self._watches:
                await anyio.sleep_until(started + self._beat())
            else:
                self._wanted = anyio.Event()
                self._answered()  # the troubles of those that nobody waits for any more say nothing to the next

    def _beat(self) -> float:
        calls = -(-len(self._watches) // BATCH)
        return max(self._interval, calls / (self._codedeploy.budget.rate * BUDGET_SHARE))

    async def _look(self, ids: Sequence[str]) -> None:
        async with anyio.create_task_group() as tasks:
            for batch in chunks(ids, BATCH):
                tasks.start_soon(self._look_at, batch)

    async def _look_at(self, ids: Sequence[str]) -> None:
        try:
            found = await self._codedeploy.deployments(ids, patient=False)
        except CredentialsError as error:
            self._credentials_refused(error)
        except RefusedError as error:
            await self._ask_one_by_one(ids, error)
        except CallError as error:
            self._no_answer(error)
        else:
            self._answered()
            for deployment_id in ids:
                await self._take(deployment_id, found.get(deployment_id))

    async def _take(self, deployment_id: str, deployment: Deployment | None) -> None:
        watch = self._watches.get(deployment_id)
        if watch is None:
            return  # nobody waits for it any more
        if deployment is not None:
            self._saw(watch, deployment)
            return
        watch.misses += 1
        if watch.misses >= MISSES_BEFORE_ASKING:
            await self._ask(watch)

    async def _ask_one_by_one(self, ids: Sequence[str], error: RefusedError) -> None:
        """A batch may be refused for one bad id among good ones."""
        if not self._asks_each:
            self._asks_each = True
            self._warn(f"{error}; asking for each of {len(ids)} deployments by itself")
        for watch in [self._watches[each] for each in ids if each in self._watches]:
            watch.misses += 1
            await self._ask(watch)

    async def _ask(self, watch: _Watch) -> None:
        try:
            deployment = await self._codedeploy.deployment(watch.deployment_id, patient=False)
        except CredentialsError as error:
            self._credentials_refused(error)
        except RefusedError as error:
            if watch.misses >= MISSES_BEFORE_GIVING_UP:
                watch.error = error
                watch.done.set()
        except CallError as error:
            self._no_answer(error)
        else:
            self._answered()
            self._saw(watch, deployment)

    def _saw(self, watch: _Watch, deployment: Deployment) -> None:
        before, watch.seen, watch.misses = watch.seen, deployment, 0
        if deployment.status is DeploymentStatus.UNKNOWN and deployment.raw_status not in self._unknown_words:
            self._unknown_words.add(deployment.raw_status)
            self._warn(f"CodeDeploy reports the unknown status {deployment.raw_status!r}; taken as still running")
        if before is None or _differ(before, deployment):
            for listener in list(watch.listeners):
                listener(deployment)
        if deployment.status.is_final:
            watch.done.set()

    def _answered(self) -> None:
        self._troubles, self._refused_since = 0, None

    def _no_answer(self, error: CallError) -> None:
        self._troubles += 1
        if self._troubles == TROUBLE_BEFORE_WARNING:
            self._warn(f"{error}; {len(self._watches)} deployments are still being watched")

    def _credentials_refused(self, error: CredentialsError) -> None:
        now = anyio.current_time()
        if self._refused_since is None:
            self._refused_since = now
            self._warn(f"{error}; trying again for {CREDENTIALS_PATIENCE:.0f} s")
        elif now - self._refused_since >= CREDENTIALS_PATIENCE:
            self._refused_since = None
            for watch in self._watches.values():
                watch.error = error
                watch.done.set()


def _differ(before: Deployment, after: Deployment) -> bool:
    return any(getattr(before, name) != getattr(after, name) for name in ("raw_status", "overview", "has_shifted"))
