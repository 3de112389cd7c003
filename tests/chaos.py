"""Random worlds for the engine: everything that may go wrong, chosen by a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import anyio
from world import HERE, World, target

from orchestrator.core.control import OnCancel
from orchestrator.core.errors import AnswerLostError, CallError, CredentialsError, RefusedError
from orchestrator.core.events import Record
from orchestrator.core.model import Concurrency, Location, Policy, Retry, Target
from orchestrator.core.phases import Phases
from orchestrator.core.timing import Timing
from orchestrator.testing import InstantArtifacts, MemoryJournal, Script, ScriptedCodeDeploy

TIMING = Timing(poll_interval=3.0, resend_grace=15.0, busy_pause=5.0, stop_patience=60.0, rollback_patience=12.0)
LONGEST_LATENCY = 3.0
THERE = Location(region="us-east-1", role_arn="arn:aws:iam::222222222222:role/deploy")
OPERATIONS = (
    "CreateDeployment",
    "BatchGetDeployments",
    "GetDeployment",
    "BatchGetDeploymentGroups",
    "ListDeployments",
    "StopDeployment",
    "ListDeploymentTargets",
    "BatchGetDeploymentTargets",
    "RegisterApplicationRevision",
)
FAILURE = {"lifecycleEventName": "AfterInstall", "scriptName": "x.sh", "errorCode": "ScriptFailed", "message": "1"}


@dataclass(frozen=True)
class Window:
    """A stretch of time, on anyio's clock."""

    start: float
    end: float

    def holds(self) -> bool:
        return self.start <= anyio.current_time() < self.end


@dataclass
class Faults:
    """What goes wrong with calls; each part has its own chances."""

    random: Random
    operations: frozenset[str]
    before: float = 0.0
    after: float = 0.0
    late: float = 0.0
    missing: float = 0.0
    unknown: float = 0.0
    unstoppable: float = 0.0
    outage: Window | None = None
    expired: Window | None = None
    created_before_durable: list[str] = field(default_factory=list)
    journal: MemoryJournal | None = field(default=None, repr=False)
    is_durable: Callable[[str], bool] | None = field(default=None, repr=False)
    """Whether an intent with this token is; None: look in `journal`."""

    def arm(self, codedeploy: ScriptedCodeDeploy, journal: MemoryJournal) -> None:
        self.journal = journal
        codedeploy.before, codedeploy.after = self._before, self._after
        codedeploy.late, codedeploy.rewrite = self._late, self._rewrite

    def _before(self, operation: str, parameters: Mapping[str, Any]) -> CallError | None:
        if operation == "CreateDeployment":
            self._see_that_the_intent_is_durable(parameters)
        if self.expired is not None and self.expired.holds():
            return CredentialsError("the token has expired", operation=operation, code="ExpiredTokenException")
        if self.outage is not None and self.outage.holds():
            return AnswerLostError("no route to host", operation=operation)
        if operation == "StopDeployment" and self.random.random() < self.unstoppable:
            return RefusedError("no", operation=operation, code="UnsupportedActionForDeploymentTypeException")
        return self._lost(operation, self.before)

    def _after(self, operation: str, _parameters: Mapping[str, Any]) -> CallError | None:
        return self._lost(operation, self.after)

    def _late(self, operation: str, _parameters: Mapping[str, Any]) -> float | None:
        if operation == "CreateDeployment" and self.random.random() < self.late:
            return self.random.uniform(0.1, TIMING.resend_grace * 0.8)
        return None

    def _lost(self, operation: str, chance: float) -> CallError | None:
        if operation not in self.operations or self.random.random() >= chance:
            return None
        code = self.random.choice(["", "InternalServerError", "ServiceUnavailable"])
        return AnswerLostError("the answer was lost", operation=operation, code=code)

    def _rewrite(self, operation: str, answer: dict[str, Any]) -> dict[str, Any]:
        if operation != "BatchGetDeployments":
            return answer
        kept = [self._odd(info) for info in answer["deploymentsInfo"] if self.random.random() >= self.missing]
        return {"deploymentsInfo": kept}

    def _odd(self, info: dict[str, Any]) -> dict[str, Any]:
        if info["status"] == "InProgress" and self.random.random() < self.unknown:
            return {**info, "status": "Pondering"}
        return info

    def _see_that_the_intent_is_durable(self, parameters: Mapping[str, Any]) -> None:
        token = parameters["description"].split(" ")[0]
        if not (self.is_durable or self._is_in_journal)(token):
            self.created_before_durable.append(token)

    def _is_in_journal(self, token: str) -> bool:
        assert self.journal is not None
        durable = self.journal.records[: self.journal.durable]
        return any(getattr(record.event, "token", None) == token for record in durable)


@dataclass
class Chaos:
    """A world with its faults and its visitors."""

    seed: int
    world: World
    faults: Faults
    foreign: Sequence[tuple[float, str, Script]]
    orders: Sequence[tuple[float, str]]
    one_clock: bool = True
    """False: the processes of this run have clocks of their own, so the journal's times say little."""

    async def meanwhile(self, engine: Phases | None) -> None:
        """`engine`: who is given the orders; None: nobody."""
        async with anyio.create_task_group() as tasks:
            for seconds, group, script in self.foreign:
                tasks.start_soon(self._visit, seconds, group, script)
            for seconds, order in self.orders if engine is not None else ():
                assert engine is not None
                tasks.start_soon(_give, engine, seconds, order)

    async def _visit(self, seconds: float, group: str, script: Script) -> None:
        """Somebody else deploys to the group, if it is free then."""
        await anyio.sleep(seconds)
        if not self.world.codedeploy.is_busy(group, "g"):
            self.world.codedeploy.create(group, "g", creator="autoscaling", script=script)


async def _give(engine: Phases, seconds: float, order: str) -> None:
    await anyio.sleep(seconds)
    if order == "leave":
        engine.leave("--for is over")
    else:
        engine.cancel(OnCancel(order), reason="interrupted by SIGINT", signal=2)


class MortalJournal(MemoryJournal):
    """Its process dies with one of the events: what wasn't durable by then is lost."""

    def __init__(self, records: Sequence[Record] = (), *, dies_at: int | None = None) -> None:
        super().__init__()
        self.records, self.durable = list(records), len(records)
        self.died = anyio.Event()
        self._dies_at = dies_at

    @property
    def is_dead(self) -> bool:
        return self.died.is_set()

    def append(self, record: Record) -> None:
        if self.died.is_set():
            return
        super().append(record)
        if self._dies_at is not None and record.seq >= self._dies_at:
            self.records = self.records[: self.durable]
            self.died.set()

    async def flush(self) -> None:
        if not self.died.is_set():
            await super().flush()


# --- choosing -------------------------------------------------------------------------------------------------------


def chaos(seed: int, *, orders: bool = True) -> Chaos:
    """The world of this seed. `orders`: whether it may be cancelled or left."""
    random = Random(seed)  # noqa: S311 - a scenario, not a secret
    targets = _targets(random)
    codedeploy = ScriptedCodeDeploy(
        {(each.application, "g"): _script(random) for each in targets},
        rate=random.choice([None, None, 3.0, 8.0, 20.0]),
        latency=_latency(random),
    )
    world = World(
        targets,
        codedeploy=codedeploy,
        policy=Policy(
            on_failure=random.choice(["stop", "continue", "continue"]),
            max_failures=random.choice([None, None, 2]),
            if_active=random.choice(["wait", "fail", "stop"]),
        ),
        concurrency=_concurrency(random),
        timing=TIMING,
        artifacts=InstantArtifacts(random.choice([0.0, 2.0, 20.0])),
        timeouts={each.id: random.choice([40.0, 90.0, 150.0]) for each in targets},
        unchanged=frozenset(each.id for each in targets if random.random() < 0.1),
        rate=random.choice([2.0, 5.0, 20.0]),
    )
    faults = _faults(random)
    faults.arm(codedeploy, world.journal)
    _add_policies(world, Random(seed + 1_000_000))  # noqa: S311 - as above; dice of their own: the rest stays as it was
    found = Chaos(seed, world, faults, _foreign(random, targets), _orders(random) if orders else ())
    world.meanwhile = found.meanwhile
    return found


def _add_policies(world: World, random: Random) -> None:
    """Priorities, and retries of what another attempt may mend; some of those succeed."""
    world.targets = [
        replace(
            each,
            priority=random.choice([0, 0, -1, 3]),
            retry=Retry(times=random.choice([0, 0, 1, 2]), wait=random.choice([0.0, 5.0, 40.0])),
        )
        for each in world.targets
    ]
    scripts = world.codedeploy.scripts
    mended: dict[tuple[str, str], Script] = {}
    for key, script in list(scripts.items()):
        if script.status == "Failed" and random.random() < 0.6:
            scripts[key] = replace(script, error={"code": "AGENT_ISSUE", "message": "an agent was lost"}, failures=())
            if random.random() < 0.7:
                mended[key] = replace(script, status="Succeeded", error=None, failures=(), rollback=None)

    def choose(sent: Mapping[str, Any]) -> Script | None:
        is_retry = "." in str(sent["description"]).split(" ")[0].rpartition("/")[2]
        return mended.get((sent["applicationName"], sent["deploymentGroupName"])) if is_retry else None

    world.codedeploy.choose = choose


def _targets(random: Random) -> list[Target]:
    names = [f"t{number}/g" for number in range(random.randint(1, 9))]
    targets: list[Target] = []
    for number, name in enumerate(names):
        before = random.sample(names[:number], min(number, random.choice([0, 0, 1, 1, 2, 3])))
        needs = [other for other in before if random.random() < 0.75]
        targets.append(
            target(
                name,
                needs=needs,
                after=[other for other in before if other not in needs],
                pool=random.choice([None, None, "database"]),
                location=random.choice([HERE, HERE, THERE]),
            )
        )
    return targets


def _script(random: Random) -> Script:
    status = random.choices(["Succeeded", "Failed", "Stopped", "never"], [14, 4, 1, 1])[0]
    rollback = random.choice([None, None, "Succeeded", "Failed", "never"]) if status == "Failed" else None
    return Script(
        seconds=random.choice([0.5, 5.0, 30.0, 70.0, 100.0]),
        status=status,
        error={"code": "HEALTH_CONSTRAINTS", "message": "too many failed"} if random.random() < 0.5 else None,
        failures=[FAILURE] * random.choice([0, 1, 30]) if status == "Failed" else (),
        rollback=rollback,
        rollback_delay=random.choice([0.0, 4.0, 40.0]),
    )


def _latency(random: Random) -> Any:
    longest = random.choice([0.02, 0.02, 0.5, LONGEST_LATENCY])
    return lambda _operation: random.uniform(0.01, longest)


def _concurrency(random: Random) -> Concurrency:
    return Concurrency(
        deployments=random.choice([None, None, 1, 2, 4]),
        uploads=random.choice([1, 8]),
        per_region=random.choice([None, None, 1, 2]),
        pools={"database": random.choice([1, 2])},
    )


def _faults(random: Random) -> Faults:
    def chance(*values: float) -> float:
        return random.choice([0.0, 0.0, *values])

    some = random.sample(OPERATIONS, random.randint(1, len(OPERATIONS)))
    return Faults(
        random,
        frozenset(random.choice([OPERATIONS, ("CreateDeployment",), some])),
        before=chance(0.05, 0.3),
        after=chance(0.05, 0.3),
        late=chance(0.3, 0.7),
        missing=chance(0.3, 0.7),
        unknown=chance(0.5),
        unstoppable=chance(0.5, 1.0),
        outage=_window(random, [5.0, 30.0, 100.0]),
        expired=_window(random, [4.0, 20.0, 60.0]),
    )


def _window(random: Random, lengths: Sequence[float]) -> Window | None:
    if random.random() < 0.7:
        return None
    start = 1000.0 + random.uniform(0, 120)
    return Window(start, start + random.choice(lengths))


def _foreign(random: Random, targets: Sequence[Target]) -> list[tuple[float, str, Script]]:
    visits = []
    for each in targets:
        if random.random() < 0.2:
            status = random.choice(["Succeeded", "Failed", "never"])
            script = Script(seconds=random.choice([1.0, 20.0, 60.0]), status=status)
            visits.append((random.choice([0.0, random.uniform(0, 60)]), each.application, script))
    return visits


def _orders(random: Random) -> list[tuple[float, str]]:
    if random.random() < 0.6:
        return []
    first = random.choice([0.0, random.uniform(0, 10), random.uniform(0, 150)])
    orders = [(first, random.choice(["wait", "stop", "detach", "leave"]))]
    if random.random() < 0.5:
        orders.append((first + random.uniform(0, 30), random.choice(["stop", "detach", "leave"])))
    return orders
