"""Runs of any size for what shows them: made of real events, with targets in every state there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from world import target

from orchestrator.core import bundle_events as bev
from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.model import Outcome, Target, TargetState
from orchestrator.core.plan import Step, step_to_dict
from orchestrator.core.state import RunState, fold

S = TargetState
NOON = 1_764_072_000.0
"""2025-11-25 12:00:00 UTC."""

EVERY_STATE = tuple(TargetState)

HOSTILE = (
    "<script>alert(1)</script>",
    "]]><!--</style></title></svg>",
    "\"' onload='alert(1)' x=\"",
    "\x1b[2J\x00\x07\r\nsecond line",
    "\u202eevil\u2066\u200b\ufffe",
    "&lt;b&gt; &amp; &#60;i&#62;",
    "<img src=x onerror=alert(1)>",
)
"""What a reason, a name or a log may hold."""


def plan(count: int, *, seed: int = 0, width: int = 8) -> list[Target]:
    """So many targets in applications of 1 to `width` groups, in layers that need the one before. Without cycles."""
    random = Random(seed)  # noqa: S311 - shapes, no secrets
    applications: list[list[Target]] = []
    made = 0
    while made < count:
        groups = min(random.choice((1, 1, 2, 2, 3, width)), count - made)
        name = f"{random.choice(_WORDS)}-{random.choice(_WORDS)}-{len(applications)}"
        chosen = random.sample(applications[-12:], k=min(len(applications[-12:]), random.choice((0, 1, 1, 2))))
        needs = [each.id for application in chosen for each in application]
        early = random.choice(applications)[0].id if applications and random.random() < 0.2 else None
        members = [
            target(f"{name}/{_GROUPS[number % len(_GROUPS)]}{number // len(_GROUPS) or ''}", needs=needs)
            if early is None or early in needs
            else target(f"{name}/{_GROUPS[number % len(_GROUPS)]}", needs=needs, after=[early])
            for number in range(groups)
        ]
        applications.append(members)
        made += groups
    return [each for application in applications for each in application]


_WORDS = ("shop", "cart", "search", "mail", "billing", "stock", "media", "auth", "report", "edge")
_GROUPS = ("canary", "fleet", "eu", "us", "ap", "batch", "blue", "edge")


@dataclass
class Told:
    """Events as they happen, one after the other."""

    run: str
    now: float = NOON
    records: list[ev.Record] = field(default_factory=list)
    state: RunState = field(default_factory=RunState)

    def tell(self, *events: ev.Event, after: float = 0.0) -> None:
        self.now += after
        for event in events:
            record = ev.Record(self.state.last_seq + 1, self.now, self.run, event)
            self.state.apply(record)
            self.records.append(record)


def begin(
    targets: Sequence[Target],
    *,
    run: str = "20251125-120000-big",
    unchanged: Sequence[str] = (),
    release: str = "shop",
) -> Told:
    told = Told(run)
    steps = [Step(target=each, action="unchanged" if each.id in unchanged else "deploy") for each in targets]
    told.tell(
        ev.RunStarted(
            release=f"{release}-{len(targets)}",
            environment="staging",
            manifest="release.yaml",
            manifest_digest="",
            targets=tuple(step_to_dict(step) for step in steps),
            policy={},
            concurrency={"deployments": 12},
            version="0",
            host="ci",
            pid=1,
        )
    )
    return told


def big_run(
    count: int, *, seed: int = 0, states: Sequence[TargetState] = EVERY_STATE, hostile: bool = False
) -> list[ev.Record]:
    """The events of a run that is under way, whose targets come to stand in these states in turn.

    `hostile`: names, reasons, instances, scripts and logs are full of what a page must not obey.
    """
    targets = _renamed(plan(count, seed=seed)) if hostile else plan(count, seed=seed)
    told = begin(targets, release=f"shop{HOSTILE[0]}" if hostile else "shop")
    for number, each in enumerate(targets):
        text = HOSTILE[number % len(HOSTILE)] if hostile else ""
        for events in _FATES[states[number % len(states)]](each, number, text):
            told.tell(*events, after=1.0 + number % 7 / 10)
    return told.records


def _renamed(targets: Sequence[Target]) -> list[Target]:
    """No manifest may have such names; a journal that somebody else has written may."""
    text = {each.application: HOSTILE[number % len(HOSTILE)] for number, each in enumerate(targets)}
    names = {each.id: f"{each.application}{text[each.application]}/{each.deployment_group}" for each in targets}
    return [
        replace(
            each,
            id=names[each.id],
            application=each.application + text[each.application],
            needs=tuple(names[name] for name in each.needs),
            after=tuple(names[name] for name in each.after),
        )
        for each in targets
    ]


def big_state(count: int, **more: object) -> RunState:
    """The state that `big_run` amounts to; the same arguments."""
    return fold(big_run(count, **more))  # type: ignore[arg-type]


def finished_run(count: int, *, seed: int = 0) -> list[ev.Record]:
    """A run that has ended well, and took its time over it: each target about a minute after its needs."""
    told = _lived(plan(count, seed=seed), until=float("inf"))
    told.tell(ev.RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0), after=1.0)
    return told.records


def halfway_run(count: int, *, seed: int = 0, seconds: float = 200.0) -> list[ev.Record]:
    """The same run so many seconds after its start, with what earlier runs say about how long it takes."""
    return _lived(plan(count, seed=seed), until=NOON + seconds).records


def _lived(targets: Sequence[Target], *, until: float) -> Told:
    told = begin(targets)
    told.tell(ev.DurationsExpected(seconds={each.id: _seconds(number) for number, each in enumerate(targets)}))
    ends: dict[str, float] = {}
    happening: list[tuple[float, ev.Event]] = []
    for number, each in enumerate(targets):
        ready = max((ends[name] for name in (*each.needs, *each.after)), default=NOON + 6.0)
        ends[each.id] = ready + 2 + number % 9 + _seconds(number)
        happening += _life(each, number, ready, ready + 2 + number % 9)
    for when, event in sorted(happening, key=lambda pair: pair[0]):
        if when <= until:
            told.tell(event, after=when - told.now)
    return told


def _seconds(number: int) -> float:
    return 30.0 + (number * 37) % 50


_ALL = {"Succeeded": 4}


def _life(each: Target, number: int, ready: float, start: float) -> list[tuple[float, ev.Event]]:
    end = start + _seconds(number)
    upload = NOON + number % 5
    members = (each.id,)
    name, region, deployment = each.application, each.location.region, _id(number)
    done = {"Succeeded": 1 + number % 2, "InProgress": 1, "Pending": 2 - number % 2}
    pinned = bev.RevisionPinned(application=name, region=region, targets=members, revision=_REVISION)
    return [
        (upload, bev.UploadStarted(application=name, region=region, targets=members)),
        (upload + 1.5, pinned),
        (start - 1, ev.TargetReady(target=each.id, waited=start - 1 - ready)),
        (start - 1, intended(each)),
        (start, started(each, number)),
        (
            start + 10,
            ev.DeploymentProgressed(target=each.id, deployment_id=deployment, status="InProgress", overview=done),
        ),
        (end, ev.DeploymentProgressed(target=each.id, deployment_id=deployment, status="Succeeded", overview=_ALL)),
        (end, ev.DeploymentEnded(target=each.id, deployment_id=deployment, status="Succeeded", seconds=end - start)),
        (end, ev.TargetFinished(target=each.id, state=S.SUCCEEDED)),
    ]


# --- how a target comes to stand in a state --------------------------------------------------------------------------

Fate = Callable[[Target, int, str], Iterator[Sequence[ev.Event]]]
"""Steps of the target with this number, with a second or so between them; the text is put into reasons and logs."""


def _id(number: int) -> str:
    return f"d-{number:09X}"


def intended(each: Target) -> ev.DeploymentIntended:
    return ev.DeploymentIntended(
        target=each.id,
        token=f"orchestrator:big/{each.id}",
        attempt=1,
        application_name=each.application_name,
        deployment_group_name=each.deployment_group_name,
        region=each.location.region,
        role_arn=None,
        revision=_REVISION,
    )


_REVISION: Mapping[str, object] = {
    "revisionType": "S3",
    "s3Location": {"bucket": "releases", "key": "bundles/app/0123456789abcdef.tgz", "bundleType": "tgz"},
}


def started(each: Target, number: int) -> ev.DeploymentStarted:
    return ev.DeploymentStarted(target=each.id, token="t", deployment_id=_id(number), timeout=2700.0)


def unfinished(each: Target, number: int, *, done: int, of: int) -> ev.DeploymentProgressed:
    """So many instances are done, one is under way."""
    counted = {"Succeeded": done, "InProgress": 1, "Pending": of - done - 1}
    return ev.DeploymentProgressed(target=each.id, deployment_id=_id(number), status="InProgress", overview=counted)


def _running(each: Target, number: int, text: str) -> Iterator[Sequence[ev.Event]]:
    yield [ev.TargetReady(target=each.id, waited=0.5)]
    yield [intended(each)]
    yield [started(each, number)]
    yield [unfinished(each, number, done=number % 3, of=4)]


def _succeeded(each: Target, number: int, text: str) -> Iterator[Sequence[ev.Event]]:
    yield from _running(each, number, text)
    yield [ev.DeploymentProgressed(target=each.id, deployment_id=_id(number), status="Succeeded", overview=_ALL)]
    yield [ev.DeploymentEnded(target=each.id, deployment_id=_id(number), status="Succeeded")]
    yield [ev.TargetFinished(target=each.id, state=S.SUCCEEDED)]


def _diagnosed(each: Target, number: int, text: str) -> ev.DeploymentDiagnosed:
    log = f"LifecycleEvent - ApplicationStart\n[stderr]curl: (7) Failed to connect to localhost\n{text}"
    instance = {
        "instance": f"i-0{number:015x}{text}",
        "status": "Failed",
        "lifecycle_event": "ApplicationStart",
        "script": f"scripts/start.sh{text}",
        "error_code": "ScriptFailed",
        "message": f"Script at specified location: scripts/start.sh failed with exit code 1{text}",
        "log_tail": log,
    }
    return ev.DeploymentDiagnosed(target=each.id, deployment_id=_id(number), instances=(instance,), failed=2)


def _deployment_failed(each: Target, number: int, text: str) -> Iterator[Sequence[ev.Event]]:
    yield from _running(each, number, text)
    message = f"The overall deployment failed because too many individual instances failed deployment{text}"
    ended = ev.DeploymentEnded(
        target=each.id,
        deployment_id=_id(number),
        status="Failed",
        error_code="HEALTH_CONSTRAINTS",
        error_message=message,
    )
    yield [ended, _diagnosed(each, number, text)]


def _failed(each: Target, number: int, text: str) -> Iterator[Sequence[ev.Event]]:
    yield from _deployment_failed(each, number, text)
    yield [
        ev.TargetFinished(target=each.id, state=S.FAILED, reason=f"HEALTH_CONSTRAINTS: too many instances failed{text}")
    ]


def _stopped(each: Target, number: int, text: str) -> Iterator[Sequence[ev.Event]]:
    yield from _running(each, number, text)
    yield [ev.StopRequested(target=each.id, deployment_id=_id(number), reason=f"cancelled{text}", accepted=True)]
    yield [ev.DeploymentEnded(target=each.id, deployment_id=_id(number), status="Stopped")]
    yield [ev.TargetFinished(target=each.id, state=S.STOPPED, reason=f"MANUAL_STOP: stopped by somebody{text}")]


def _timed_out(each: Target, number: int, text: str) -> Iterator[Sequence[ev.Event]]:
    yield from _running(each, number, text)
    yield [ev.TargetFinished(target=each.id, state=S.TIMED_OUT, reason=f"not done after 45m00s{text}")]


def _baking(each: Target, number: int, text: str) -> Iterator[Sequence[ev.Event]]:
    yield from _running(each, number, text)
    yield [ev.DeploymentEnded(target=each.id, deployment_id=_id(number), status="Succeeded")]
    waiting = gev.GateWaiting(gate="errors", target=each.id, phase="after", kind="prometheus", timeout=600.0)
    yield [gev.BakeStarted(target=each.id, seconds=300.0), waiting]
    reason = f"sum(rate(http_5xx[1m])) is 0.2{text}"
    yield [gev.GateMeasured(gate="errors", target=each.id, phase="after", verdict="good", reason=reason)]


def _rolling_back(each: Target, number: int, text: str) -> Iterator[Sequence[ev.Event]]:
    yield from _deployment_failed(each, number, text)
    back = ev.RollbackStarted(
        target=each.id, deployment_id=_id(number), rollback_deployment_id=f"d-R{number:08X}", message=text
    )
    yield [back]


def _rolled_back(each: Target, number: int, text: str) -> Iterator[Sequence[ev.Event]]:
    yield from _rolling_back(each, number, text)
    yield [ev.RollbackEnded(target=each.id, rollback_deployment_id=f"d-R{number:08X}", status="Succeeded")]
    yield [ev.TargetFinished(target=each.id, state=S.ROLLED_BACK, reason=f"HEALTH_CONSTRAINTS: rolled back{text}")]


def _errored(each: Target, number: int, text: str) -> Iterator[Sequence[ev.Event]]:
    yield [intended(each)]
    yield [ev.TargetFinished(target=each.id, state=S.ERRORED, reason=f"CreateDeployment: AccessDeniedException{text}")]


def _ended(state: TargetState, reason: str | None, *, blocked: bool = False) -> Fate:
    def fate(each: Target, number: int, text: str) -> Iterator[Sequence[ev.Event]]:
        blocked_by = each.needs[:2] if blocked else ()
        yield [ev.TargetFinished(target=each.id, state=state, reason=reason and reason + text, blocked_by=blocked_by)]

    return fate


def _blocked(each: Target, number: int, text: str) -> Iterator[Sequence[ev.Event]]:
    yield [
        ev.TargetBlocked(
            target=each.id, reason=f"d-OTHER0001 is active in the group{text}", deployment_id="d-OTHER0001"
        )
    ]


def _uploading(each: Target, number: int, text: str) -> Iterator[Sequence[ev.Event]]:
    yield [bev.UploadStarted(application=each.application, region=each.location.region, targets=(each.id,))]


def _pending(each: Target, number: int, text: str) -> Iterator[Sequence[ev.Event]]:
    yield []


def _starting(each: Target, number: int, text: str) -> Iterator[Sequence[ev.Event]]:
    yield [intended(each)]


_FATES: Mapping[TargetState, Fate] = {
    S.PENDING: _pending,
    S.BLOCKED: _blocked,
    S.UPLOADING: _uploading,
    S.STARTING: _starting,
    S.RUNNING: _running,
    S.BAKING: _baking,
    S.SUCCEEDED: _succeeded,
    S.UNCHANGED: _ended(S.UNCHANGED, "runs this revision already"),
    S.FAILED: _failed,
    S.STOPPED: _stopped,
    S.TIMED_OUT: _timed_out,
    S.SKIPPED: _ended(S.SKIPPED, "what it needs has failed", blocked=True),
    S.CANCELLED: _ended(S.CANCELLED, "cancelled before its start"),
    S.ROLLING_BACK: _rolling_back,
    S.ROLLED_BACK: _rolled_back,
    S.ERRORED: _errored,
}
