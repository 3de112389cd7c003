"""How a run in a list stands."""

from __future__ import annotations

from orchestrator.core.runs import RunSummary


def how(run: RunSummary) -> str:
    """How the run stands, in a word or two; of an unreadable one, `problem` says why."""
    if run.problem is not None:
        return "unreadable"
    if run.outcome != "running":
        return str(run.outcome)
    if run.function is not None:
        return "launched"
    if run.detached:
        return "left running"
    alive = run.writer.is_alive() if run.writer is not None else False
    return "running" if alive is not False else "died"
