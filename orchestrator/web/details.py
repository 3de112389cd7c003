"""All that is known of one target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.core.gate_state import GateRun, HookRun
from orchestrator.core.model import describe_revision, revision_from_api
from orchestrator.core.scrub import without_secrets
from orchestrator.core.spans import spans_of
from orchestrator.core.state import TargetRun
from orchestrator.web.gantt_rows import SPAN_NAMES
from orchestrator.web.happened import events_about
from orchestrator.web.html import Content, Markup, join, tag
from orchestrator.web.picture import Picture
from orchestrator.web.pieces import command, facts, log, moment, state_word, table, target_list
from orchestrator.web.troubles import failure_blocks, instance_command, region
from orchestrator.wording.facts import how_long, progress
from orchestrator.wording.text import clean, duration, one_line, plural, short_digests
from orchestrator.wording.waiting import waits_for, why


def sections_of(target: TargetRun, picture: Picture) -> Iterator[tuple[str, Content]]:
    """Headings, and what stands below them; where there is nothing to say, the part is left out."""
    state = picture.state
    dependents = [each.id for each in state.targets.values() if target.id in (*each.needs, *each.after)]
    yield "", _summary(target, picture)
    yield "What failed", join(failure_blocks(target))
    yield "Instances", _instances(target)
    yield "Gates", _gates(state.gates.at.get(target.id, ()), picture)
    yield "Hooks", join(_hooks(target, picture))
    yield "Needs", target_list(target.needs, state) if target.needs else None
    yield "Comes after", target_list(target.after, state) if target.after else None
    yield "Waited for by", target_list(dependents, state) if dependents else None
    yield "Time", _times(target, picture)
    yield "Events", events_about(target.id, picture.view.told, picture)


def _summary(target: TargetRun, picture: Picture) -> Markup:
    waiting = waits_for(target, picture.state)
    return facts(
        [
            ("State", join([state_word(target.state), " ", how_long(target, picture.now)])),
            ("Waits for", without_secrets(waiting)),
            ("Why", without_secrets(why(target))),
            ("Blocked by", target_list(target.blocked_by, picture.state) if target.blocked_by else None),
            ("Deployment", _deployment(target.deployment_id, target)),
            ("CodeDeploy says", _codedeploy(target)),
            ("Rollback", _rollback(target)),
            ("Attempts before", join([_attempts(target)]) if target.attempts else None),
            ("Account and region", one_line(target.location)),
            ("Pool", one_line(target.pool) if target.pool else None),
            ("Revision", _revision(target)),
            ("Digest", tag("code", one_line(target.digest)) if target.digest else None),
            ("Usually takes", duration(target.expected) if target.expected is not None else None),
            ("Time limit", duration(target.timeout) if target.timeout is not None else None),
            ("Started", moment(target.started_at) if target.started_at is not None else None),
            ("Ended", moment(target.ended_at) if target.ended_at is not None else None),
            ("Bakes until", moment(target.bake_until) if target.bake_until is not None else None),
            ("Its alarms", one_line(", ".join(target.bake_alarms))),
            ("Reached", ", ".join(target.milestones)),
        ]
    )


def _deployment(id_: str | None, target: TargetRun) -> Markup | None:
    if id_ is None:
        return None
    found = ", found again by its token" if target.adopted and id_ == target.deployment_id else None
    asks = command("aws deploy get-deployment --deployment-id", id_, *region(target))
    return join([tag("code", id_), found, tag("br"), asks])


def _codedeploy(target: TargetRun) -> str:
    done = progress(target.overview)
    return ", ".join(part for part in (one_line(target.status or ""), f"{done} instances" if done else "") if part)


def _rollback(target: TargetRun) -> Markup | None:
    if target.rollback_deployment_id is None:
        return None
    asks = _deployment(target.rollback_deployment_id, target)
    return join([one_line(target.rollback_status or "unknown"), " ", asks])


def _attempts(target: TargetRun) -> Markup:
    ids = join([tag("code", each) for each in target.attempts], ", ")
    return join([ids, f": {without_secrets(one_line(target.failed_before))}" if target.failed_before else None])


def _revision(target: TargetRun) -> Markup | None:
    try:
        revision = revision_from_api(target.revision)
    except (AttributeError, TypeError):
        return None  # of a newer CodeDeploy, or of a journal that somebody has written by hand
    if revision is None:
        return None
    more = {name: str(value) for name, value in (target.revision or {}).get("s3Location", {}).items()}
    shown = [f"{name} {one_line(more[name])}" for name in ("version", "eTag") if more.get(name)]
    return join([tag("code", short_digests(one_line(describe_revision(revision)))), *(f", {part}" for part in shown)])


# --- tables ----------------------------------------------------------------------------------------------------------


def _instances(target: TargetRun) -> Markup | None:
    if not target.instances:
        return None
    rows = [
        (
            _said(each, "instance"),
            _said(each, "status"),
            _said(each, "lifecycle_event"),
            _since(each.get("since")),
            instance_command(target, _said(each, "instance")) if target.deployment_id else None,
        )
        for each in target.instances
    ]
    more = target.instances_total - len(target.instances)
    columns = ("Instance", "Status", "Lifecycle event", "Since", "Ask AWS")
    shown = table(f"Instances of {one_line(target.id)}", columns, rows)
    return join([shown, tag("p", f"and {plural(more, 'more instance')}") if more > 0 else None])


def _since(value: object) -> Markup | None:
    return moment(float(value)) if isinstance(value, int | float) else None


def _gates(gates: Iterable[GateRun], picture: Picture) -> Markup | None:
    rows = [_gate(gate, picture) for gate in gates]
    columns = ("Gate", "Where", "Kind", "Verdict", "Why", "Since")
    return table("Gates", columns, rows) if rows else None


def _gate(gate: GateRun, picture: Picture) -> tuple[Content, ...]:
    decided = {True: "passed", False: "failed", None: gate.verdict or "open"}[gate.passed]
    asks = gate.kind == "approval" and gate.passed is None
    approve = command("orchestrator approve", one_line(picture.view.run), one_line(gate.gate)) if asks else None
    reason = join([without_secrets(one_line(gate.reason or gate.message or "")), tag("br") if asks else None, approve])
    return one_line(gate.gate), gate.phase, gate.kind.replace("_", " "), decided, reason, moment(gate.since)


def _hooks(target: TargetRun, picture: Picture) -> Iterator[Markup]:
    for (owner, when, _), hook in picture.state.gates.hooks.items():
        if owner == target.id:
            yield _hook(when, hook)


def _hook(when: str, hook: HookRun) -> Markup:
    ended = hook.finished
    how = "runs" if ended is None else f"{without_secrets(one_line(ended.reason))} after {duration(ended.seconds)}"
    output = clean(ended.output).strip("\n") if ended is not None else ""
    line = tag(
        "p", f"{when.replace('_', ' ')}: ", tag("code", without_secrets(one_line(" ".join(hook.command)))), f" {how}"
    )
    return join([line, log(output, "Its output") if output else None])


def _times(target: TargetRun, picture: Picture) -> Markup | None:
    spans = spans_of(target, picture.state, picture.now)
    rows = [
        (
            SPAN_NAMES[span.kind],
            moment(span.start, whole=False),
            moment(span.end, whole=False),
            duration(span.end - span.start),
        )
        for span in spans
    ]
    return (
        table(f"How {one_line(target.id)} spent its time", ("What", "From", "To", "How long"), rows) if rows else None
    )


def _said(facts_of: Mapping[str, Any], name: str) -> str:
    value = facts_of.get(name)
    return one_line(str(value)) if value else ""
