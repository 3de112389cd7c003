"""The list of runs for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from orchestrator.core.times import format_time
from orchestrator.store.runs import RunSummary
from orchestrator.wording.runs import how
from orchestrator.wording.text import one_line


def runs_as_text(runs: Sequence[RunSummary]) -> str:
    """A line each, newest first."""
    if not runs:
        return "no runs yet"
    rows = [
        (
            run.run,
            format_time(run.started_at)[:19] + "Z",
            how(run),
            run.environment,
            one_line(run.problem or _what(run)),
        )
        for run in runs
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)), row[4]]).rstrip()
        for row in rows
    )


def _what(run: RunSummary) -> str:
    return run.release if run.rollback_of is None else f"{run.release}, the rollback of {run.rollback_of}"


def runs_as_json(runs: Sequence[RunSummary]) -> str:
    return json.dumps(
        [
            {
                "run": run.run,
                "release": run.release,
                "environment": run.environment,
                "manifest": run.manifest,
                "started_at": format_time(run.started_at),
                "last_at": None if run.last_at is None else format_time(run.last_at),
                "rollback_of": run.rollback_of,
                "outcome": str(run.outcome),
                "state": how(run),
                "problem": run.problem,
            }
            for run in runs
        ],
        indent=2,
    )
