"""A run as a Slack message: Block Kit, with everything that comes from elsewhere escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.core.notification_specs import Moment, NotificationSpec
from orchestrator.core.state import RunState, TargetRun
from orchestrator.wording.facts import state_counts
from orchestrator.wording.notices import (
    commands,
    expand,
    failed_targets,
    failure_line,
    headline,
    instance_lines,
    names_of,
    outcome_word,
)
from orchestrator.wording.text import clean, one_line, plural

SIGNS: Mapping[str, str] = {
    "succeeded": ":white_check_mark:",
    "failed": ":x:",
    "rolled_back": ":leftwards_arrow_with_hook:",
    "rollback_failed": ":x:",
    "cancelled": ":black_square_for_stop:",
    "blocked": ":raised_hand:",
    "running": ":arrows_counterclockwise:",
}

SHOWN = 10
"""Failed targets, a block each; a message takes 50 blocks."""

LONGEST = 1000
"""Characters of a paragraph before it is escaped; Slack takes 3,000 of what comes out of that."""


def message(spec: NotificationSpec, moment: Moment | None, state: RunState, now: float) -> dict[str, Any]:
    """`text` (for notifications and screen readers) and `blocks`."""
    names = names_of(moment, state, now)
    settings = spec.settings
    title = expand(settings["title"], names) if "title" in settings else headline(moment, state, now)
    blocks = [_section(f"{SIGNS[outcome_word(state)]} *{escape(one_line(title, LONGEST))}*")]
    if "text" in settings:
        blocks.append(_section(escape(clean(expand(settings["text"], names))[:LONGEST])))
    failed = failed_targets(state)
    blocks += [_section(_failure(target)) for target in failed[:SHOWN]]
    if len(failed) > SHOWN:
        blocks.append(_section(f"and {plural(len(failed) - SHOWN, 'more failed target')}"))
    if to_do := commands(moment, state):
        blocks.append(_section("To go on: " + ", then ".join(code(command) for command in to_do[:SHOWN])))
    facts = [f"run {escape(one_line(state.run))}", escape(state_counts(state) or "no targets")]
    if "link" in settings:
        facts.append(link_to(expand(settings["link"], names)))
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": " · ".join(facts)}]})
    return {"text": escape(one_line(title, LONGEST)), "blocks": blocks}


def _failure(target: TargetRun) -> str:
    lines = [f":x: {escape(failure_line(target))}"]
    return "\n".join([*lines, *(f"• {escape(line)}" for line in instance_lines(target))])


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def escape(text: str) -> str:
    """Slack's three control characters: nothing in it calls anybody, or links anywhere."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """As a piece of code, which a backtick would end."""
    return f"`{escape(one_line(text)).replace('`', chr(0x2019))}`"


def link_to(url: str) -> str:
    safe = escape(one_line(url)).replace("|", "%7C").replace(" ", "%20")
    return f"<{safe}|details>"
