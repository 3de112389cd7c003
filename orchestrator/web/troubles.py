"""What failed and why: first on the page, since it is what people come for."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.core.outcome import FAILURES
from orchestrator.core.scrub import without_secrets
from orchestrator.core.state import TargetRun
from orchestrator.web.html import Markup, join, tag
from orchestrator.web.picture import Picture
from orchestrator.web.pieces import command, log, state_word, target_link
from orchestrator.wording.text import clean, one_line, plural
from orchestrator.wording.waiting import why

AT_LENGTH = 10
"""So many are told with their instances and logs; the others are folded away, a line each, with links to all of it."""


def troubles(picture: Picture) -> Markup:
    """Empty where nothing has failed."""
    failed = [target for target in picture.state.targets.values() if target.state in FAILURES]
    if not failed:
        return tag("section", id="failures", hidden=True)
    failed.sort(key=lambda target: not target.failures)  # what is known best is told at length
    return tag(
        "section",
        tag("h2", f"{plural(len(failed), 'target')} failed", id="failures-title"),
        join(_at_length(target) for target in failed[:AT_LENGTH]),
        _in_short(failed[AT_LENGTH:]),
        id="failures",
        aria_labelledby="failures-title",
    )


def _at_length(target: TargetRun) -> Markup:
    return tag("div", _line(target, "p"), join(failure_blocks(target)), class_=f"trouble s-{target.state}")


def _in_short(rest: Sequence[TargetRun]) -> Markup | None:
    if not rest:
        return None
    summary = tag("summary", f"and {plural(len(rest), 'more failed target')}")
    return tag("details", summary, tag("ul", join(_line(target, "li") for target in rest)), class_="rest")


def _line(target: TargetRun, element: str) -> Markup:
    return tag(
        element, state_word(target.state), " ", tag("strong", target_link(target.id)), " ", without_secrets(why(target))
    )


def error_of(target: TargetRun) -> str:
    """CodeDeploy's own words, where the reason doesn't hold them already."""
    error = ": ".join(one_line(part) for part in (target.error_code, target.error_message) if part)
    return "" if error in why(target) else error


def failure_blocks(target: TargetRun) -> Iterator[Markup]:
    """Each failed instance: where, in which script, what it said, and how to ask AWS about it."""
    if error := error_of(target):
        yield tag("p", f"CodeDeploy says: {without_secrets(error)}")
    for failure in target.failures:
        yield _failure(failure, target)
    if target.failed_instances > len(target.failures):
        yield tag("p", f"and {plural(target.failed_instances - len(target.failures), 'more failed instance')}")


def _failure(failure: Mapping[str, Any], target: TargetRun) -> Markup:
    instance = _said(failure, "instance")
    places = [place for place in (instance, _said(failure, "lifecycle_event"), _said(failure, "script")) if place]
    words = ": ".join(part for part in (_said(failure, "error_code"), _said(failure, "message")) if part)
    said = clean(str(failure.get("log_tail") or "")).strip("\n")
    return tag(
        "div",
        tag("p", join([tag("code", place) for place in places], " · ")),
        tag("p", without_secrets(words)) if words else None,
        log(said, f"Log of {instance}") if said else None,
        tag("p", instance_command(target, instance)) if instance and target.deployment_id else None,
        class_="failure",
    )


def instance_command(target: TargetRun, instance: str) -> Markup:
    """What asks AWS about one instance of the target's deployment."""
    return command(
        "aws deploy get-deployment-target --deployment-id",
        target.deployment_id or "",
        "--target-id",
        shlex.quote(instance),
        *region(target),
    )


def region(target: TargetRun) -> tuple[str, ...]:
    return (f"--region {shlex.quote(one_line(target.region))}",) if target.region else ()


def _said(failure: Mapping[str, Any], name: str) -> str:
    value = failure.get(name)
    return one_line(str(value)) if value else ""
