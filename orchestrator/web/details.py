"""All that is known of one target."""

from __future__ import annotations

from orchestrator.core.state import TargetRun
from orchestrator.web.html import Markup, tag
from orchestrator.web.sections import state_word
from orchestrator.web.view import RunView
from orchestrator.wording.facts import failure_lines, how_long
from orchestrator.wording.text import one_line
from orchestrator.wording.waiting import waits_for, why


def details_of(view: RunView, target: TargetRun, now: float) -> Markup:
    waiting = waits_for(target, view.state)
    lines = failure_lines(target.failures, target.failed_instances, "")
    return tag(
        "article",
        tag("h3", one_line(target.id)),
        tag("p", state_word(target.state), " ", how_long(target, now)),
        tag("p", f"Waits for {waiting}.") if waiting else None,
        tag("p", why(target)) if why(target) else None,
        tag("pre", "\n".join(lines)) if lines else None,
        id="details",
        data_target=target.id,
    )
