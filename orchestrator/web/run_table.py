"""The list of runs as a page shows it."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.runs import RunSummary
from orchestrator.web.html import Markup, join, tag
from orchestrator.web.links import run_url
from orchestrator.web.pieces import moment, outcome_word, scrollable
from orchestrator.wording.runs import how
from orchestrator.wording.text import duration, one_line, plural

LISTED = 500
"""Runs, of which the newest are shown."""


def run_table(summaries: Sequence[RunSummary], *, where: str = "", problem: str | None = None) -> Markup:
    """`where`: the place that they are kept in. `problem`: why it can't be read."""
    more = len(summaries) - LISTED
    return join(
        [
            tag("h1", "Runs"),
            tag("p", "kept in ", tag("code", one_line(where)), class_="note") if where else None,
            tag("div", tag("strong", "The runs can't be read"), " ", one_line(problem), class_="note bad")
            if problem
            else None,
            _runs_table(summaries[:LISTED]) if summaries else _no_runs(),
            tag("p", f"and {plural(more, 'older run')}: orchestrator runs lists them all") if more > 0 else None,
        ]
    )


def _no_runs() -> Markup:
    return tag("p", "No runs yet. ", tag("code", "orchestrator apply release.yaml", class_="command"), " begins one.")


def _runs_table(summaries: Sequence[RunSummary]) -> Markup:
    columns = ("State", "Run", "Release", "Environment", "Started", "Lasted", "About")
    head = tag("tr", join(tag("th", name, scope="col") for name in columns))
    rows = join(_run_row(run) for run in summaries)
    caption = tag("caption", "Runs, the newest first", class_="unseen")
    return scrollable(tag("table", caption, tag("thead", head), tag("tbody", rows)), "Runs")


def _run_row(run: RunSummary) -> Markup:
    note = one_line(run.problem) if run.problem is not None else None
    if run.rollback_of is not None:
        note = join(["rollback of ", tag("a", one_line(run.rollback_of), href=run_url(run.rollback_of))])
    lasted = duration(run.last_at - run.started_at) if run.last_at is not None else None
    return tag(
        "tr",
        tag("td", outcome_word(how(run))),
        tag("th", tag("a", one_line(run.run), href=run_url(run.run)), scope="row"),
        tag("td", one_line(run.release)),
        tag("td", one_line(run.environment)),
        tag("td", moment(run.started_at)),
        tag("td", lasted),
        tag("td", note),
    )
