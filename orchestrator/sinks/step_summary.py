"""The end of a run in Markdown, for the summary of a GitHub Actions step. No name and no log is ever read as any."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.outcome import FAILURES, outcome_of
from orchestrator.core.state import RunState, TargetRun
from orchestrator.wording.facts import ORDER, cause, failure_lines, how_long, state_counts
from orchestrator.wording.text import clean, duration, one_line, plural
from orchestrator.wording.waiting import waits_for, why

LIMIT = 1024 * 1024
"""Bytes of a step's summary; GitHub drops all of one that is larger."""

ROWS = 1000
"""So many targets have a row; of more, those with the least to say are only counted."""

_MARKS = {Outcome.SUCCEEDED: "✅", Outcome.RUNNING: "⏳", Outcome.BLOCKED: "⏸️"}


def append_summary(path: Path, state: RunState, problem: str | None = None) -> None:
    """Adds to what other commands of the step have written. Raises OSError."""
    with path.open("ab") as out:
        out.write(markdown(state, room=LIMIT - out.tell(), problem=problem).encode())


def markdown(state: RunState, *, room: int = LIMIT, problem: str | None = None) -> str:
    """In at most `room` bytes; what is left out is said. `problem`: why this process can't go on with the run."""
    outcome = state.outcome if state.is_finished else outcome_of(state)
    where = f" to {_prose(state.environment)}" if state.environment else ""
    tally = state_counts(state) or "no targets"
    end = state.ended_at if state.ended_at is not None else state.last_ts
    took = f", {duration(end - state.started_at)}" if end is not None and state.started_at is not None else ""
    head = [
        f"### {_MARKS.get(outcome, '❌')} {_prose(state.release)}{where}: {outcome}",
        "",
        f"Run {_code(state.run)}: {tally}{took}",
        *(["", f"Nothing new started: {_prose(state.why_closed)}"] if state.why_closed else []),
        *(["", f"⚠️ {_prose(problem)}"] if problem else []),
        *_go_on(state),
        "",
        "| target | state | deployment | took | |",
        "|---|---|---|--:|---|",
    ]
    targets = sorted(state.targets.values(), key=lambda target: _RANK[target.state])
    failed = [target for target in targets if target.state in FAILURES]
    left = room - _size(head)
    rows, left = _fill([_row(target, state) for target in targets[:ROWS]], left // 2, left)
    details, _ = _fill(["\n" + _details(target) for target in failed], left - 400, left)
    hidden = len(targets) - len(rows)
    lines = [*head, *rows]
    if hidden:
        lines += ["", f"{plural(hidden, 'more target')}: see the log."]
    lines += details
    if len(details) < len(failed):
        lines += ["", f"{plural(len(failed) - len(details), 'more failure')}: see the log."]
    text = "\n".join([*lines, "", ""])
    return text if len(text.encode()) <= room else ""


_RANK = {state: place for place, state in enumerate(ORDER)} | {state: 99 for state in TargetState if state not in ORDER}


def _fill(pieces: Iterable[str], budget: int, left: int) -> tuple[list[str], int]:
    """The first pieces that fit the budget, and what is left of all."""
    kept = []
    for piece in pieces:
        size = _size([piece])
        if size > budget:
            break
        kept.append(piece)
        budget, left = budget - size, left - size
    return kept, left


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _go_on(state: RunState) -> list[str]:
    gates = () if state.blocked is None else state.blocked.gates
    lines = [f"Awaits approval: {_code(f'orchestrator approve {state.run} {gate}')}" for gate in gates]
    if not state.is_over and state.manifest and not state.rehearsal:
        lines.append(f"Goes on with: {_code(f'orchestrator resume {state.run}')}")
    return [piece for line in lines for piece in ("", line)]


def _row(target: TargetRun, state: RunState) -> str:
    waiting = waits_for(target, state)
    says = f"waits for {waiting}" if waiting else (cause(target) if target.state in FAILURES else why(target))
    deployment = _code(target.deployment_id) if target.deployment_id else ""
    took = how_long(target, state.ended_at or state.last_ts)
    return f"| {_code(target.id)} | {target.state} | {deployment} | {took} | {_prose(one_line(says, 300))} |"


def _details(target: TargetRun) -> str:
    lines = [f"{target.error_code or ''}: {target.error_message or ''}".strip(": ")]
    lines += failure_lines(target.failures, target.failed_instances, "")
    told = _escaped("\n".join(line for line in lines if line) or why(target) or str(target.state))
    title = f"{_code(target.id)} {target.state}"
    return f"<details><summary>{title}</summary>\n\n<pre>{told}</pre>\n\n</details>"


# --- text that stays text --------------------------------------------------------------------------------------------


def _code(text: str) -> str:
    """As code, in which GitHub looks neither for people nor for issues."""
    return f"<code>{_text(text)}</code>"


def _text(text: str) -> str:
    return _escaped(one_line(text))


def _prose(text: str) -> str:
    """Outside of code, where GitHub takes `@name` and `#1` for people and issues, however they were written."""
    return _text(text).replace("&#64;", "&#64;&#8203;").replace("&#35;", "&#35;&#8203;")


def _escaped(text: str) -> str:
    """Whatever HTML or Markdown could read as more than a character is written as a reference to it."""
    return "".join(
        char if char.isalnum() or char in " \n," or ord(char) > 127 else f"&#{ord(char)};" for char in clean(text)
    )
