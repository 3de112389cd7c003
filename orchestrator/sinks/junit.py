"""A run as JUnit XML, for the test reports of CI systems: each target is a test case.

The elements and attributes are those that Jenkins' schema and Ant's have in common, in their order: within a case first
what became of it, then its output.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.outcome import FAILURES, outcome_of
from orchestrator.core.state import RunState, TargetRun
from orchestrator.wording.facts import cause, failure_lines, state_counts
from orchestrator.wording.text import REPLACEMENT, clean, one_line
from orchestrator.wording.waiting import waits_for, why

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

S = TargetState

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document may hold, not even as a reference (XML 1.0, 2.2)."""

_BAD = {Outcome.FAILED, Outcome.ROLLED_BACK, Outcome.ROLLBACK_FAILED, Outcome.CANCELLED}

_KINDS = ("failure", "error", "skipped")


def junit(state: RunState, *, host: str, problem: str | None = None) -> str:
    """The document. `host`: where the run was carried on.

    `problem`: why the process that writes this can't go on; what hasn't ended is an error then, and otherwise skipped.
    """
    from xml.etree.ElementTree import Element, SubElement, indent, tostring  # noqa: PLC0415 - only when asked for

    cases = [_case(target, state, problem) for target in state.targets.values()]
    cases += _of_run(state, cases, problem)
    totals = {"tests": str(len(cases))}
    totals |= {f"{kind}s": str(_count(cases, kind)) for kind in ("failure", "error")}
    end = state.ended_at if state.ended_at is not None else state.last_ts
    took = (end or 0.0) - (state.started_at or end or 0.0)
    name = f"{state.release} to {state.environment}" if state.environment else state.release
    suites = Element("testsuites", {"name": _attribute(name), **totals, "time": _seconds(took)})
    begun = datetime.fromtimestamp(state.started_at or 0.0, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    suite = SubElement(
        suites,
        "testsuite",
        {
            "name": _attribute(name),
            **totals,
            "skipped": str(_count(cases, "skipped")),
            "time": _seconds(took),
            "timestamp": begun,
            "hostname": _attribute(host),
        },
    )
    properties = SubElement(suite, "properties")
    outcome = str(state.outcome if state.is_finished else outcome_of(state))
    about = {"run": state.run, "release": state.release, "environment": state.environment, "outcome": outcome}
    for key, value in about.items():
        SubElement(properties, "property", {"name": key, "value": _attribute(value)})
    suite.extend(cases)
    indent(suites)
    return "<?xml version='1.0' encoding='UTF-8'?>\n" + tostring(suites, encoding="unicode") + "\n"


# --- cases -----------------------------------------------------------------------------------------------------------


def _case(target: TargetRun, state: RunState, problem: str | None) -> Element:
    end = target.ended_at if target.ended_at is not None else state.last_ts
    took = 0.0 if target.started_at is None or end is None else end - target.started_at
    case = _new_case(target.deployment_group, target.application, took)
    kind, message = _became(target, state, problem)
    if kind is not None:
        _add(case, kind, message, str(target.state))
    output = _output(target, state)
    if output:
        _add_text(case, "system-out", output)
    return case


def _became(target: TargetRun, state: RunState, problem: str | None) -> tuple[str | None, str]:
    """failure, error, skipped or None, and why."""
    if target.state.is_good:
        return None, ""
    if target.state is S.ERRORED:
        return "error", cause(target)
    if target.state in FAILURES:
        return "failure", cause(target)
    if target.state.is_final:
        return "skipped", why(target)
    running = f"still running: {', '.join(target.running_ids)}" if target.running_ids else ""
    waiting = waits_for(target, state)
    found = running or (f"waits for {waiting}" if waiting else f"left {target.state}")
    return ("error", f"{problem}; {found}") if problem is not None else ("skipped", found)


def _output(target: TargetRun, state: RunState) -> str:
    reason = why(target)
    lines = [f"{target.state}{f': {reason}' if reason else ''}"]
    lines += [f"deployment {each}" for each in (*target.attempts, target.deployment_id) if each]
    if target.rollback_deployment_id is not None:
        lines.append(f"rolled back by {target.rollback_deployment_id}: {target.rollback_status}")
    if target.error_code or target.error_message:
        lines.append(": ".join(part for part in (target.error_code, target.error_message) if part))
    lines += failure_lines(target.failures, target.failed_instances, "")
    return "\n".join([f"run {state.run}", *lines])


def _of_run(state: RunState, cases: Iterable[Element], problem: str | None) -> list[Element]:
    """A case of the run's own where it went wrong and no target says so: its gates and hooks, or a fault of ours."""
    outcome = state.outcome if state.is_finished else outcome_of(state)
    told = any(case.find(kind) is not None for case in cases for kind in ("failure", "error"))
    message = state.gates.failed_at(None) or (state.why_closed if outcome in _BAD else None) or problem
    if told or (outcome not in _BAD and problem is None):
        return []
    case = _new_case("the run itself", state.release, 0.0)
    _add(case, "failure" if problem is None else "error", message or f"the run ended as {outcome}", str(outcome))
    _add_text(case, "system-out", f"run {state.run}: {state_counts(state) or 'no targets'}")
    return [case]


# --- XML -------------------------------------------------------------------------------------------------------------


def _new_case(name: str, classname: str, took: float) -> Element:
    from xml.etree.ElementTree import Element  # noqa: PLC0415 - as above

    attributes = {"name": _attribute(name), "classname": _attribute(classname), "time": _seconds(took)}
    return Element("testcase", attributes)


def _add(case: Element, kind: str, message: str, of_type: str) -> None:
    from xml.etree.ElementTree import SubElement  # noqa: PLC0415 - as above

    # Of the three only `skipped` has no type in the schemas.
    typed = {} if kind == "skipped" else {"type": of_type}
    SubElement(case, kind, {"message": _attribute(message), **typed})


def _add_text(case: Element, tag: str, text: str) -> None:
    from xml.etree.ElementTree import SubElement  # noqa: PLC0415 - as above

    SubElement(case, tag).text = _NOT_XML.sub(REPLACEMENT, clean(text))


def _attribute(text: str) -> str:
    return _NOT_XML.sub(REPLACEMENT, one_line(text))


def _seconds(took: float) -> str:
    return f"{max(0.0, took):.3f}"


def _count(cases: Iterable[Element], kind: str) -> int:
    return sum(case.find(kind) is not None for case in cases)
