"""The style sheets: contrast in light and dark, and that what the pages use is there."""

from __future__ import annotations

import re

import pytest
from bigruns import big_run
from markup import read

from orchestrator.core.model import Outcome, TargetState
from orchestrator.web.assets import sheet
from orchestrator.web.chronicle import read_chronicle
from orchestrator.web.pages import run_page
from orchestrator.web.report import report
from orchestrator.web.view import RunView

TONES = ("red", "green", "blue", "teal", "amber", "violet", "grey")
CSS = sheet("style.css") + sheet("drawing.css")


def colours(scheme: str) -> dict[str, str]:
    light, dark = sheet("drawing.css").split("@media (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return found if scheme == "light" else found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark))


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_aa_and_lines_that_of_what_is_no_text(scheme: str) -> None:
    known = colours(scheme)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for text in ("ink", "faint", "accent", *TONES):
        for ground in ("ground", "panel"):
            assert contrast(known[text], known[ground]) >= 4.5, (text, ground)
    for tone in TONES:
        assert contrast(known[tone], known[f"{tone}-soft"]) >= 4.5, tone
        assert contrast(known["ink"], known[f"{tone}-soft"]) >= 4.5, tone
        assert contrast(known["faint"], known[f"{tone}-soft"]) >= 4.5, tone
    assert contrast(known["line"], known["ground"]) >= 3


def test_both_schemes_know_the_same_colours() -> None:
    used = set(re.findall(r"var\(--([\w-]+)", CSS)) - {"tone", "soft"}
    used -= {"row", "others", "dim", *TargetState, *(f"lit-{state}" for state in TargetState)}
    assert used <= set(colours("light"))
    assert all(colours("dark")[name] != colours("light")[name] for name in used)


def test_every_state_and_outcome_has_its_looks() -> None:
    for state in TargetState:
        assert re.search(rf"\.s-{state}[^{{]*{{ --tone", sheet("drawing.css")), state
        assert f".s-{state}::before" in sheet("style.css")
        assert f".chooser:has(#show-{state}:checked) ~ section {{ --others: none;" in sheet("style.css")
        assert f'tr[data-state="{state}"] {{ display: var(--{state}, var(--others, var(--row))); }}' in sheet(
            "style.css"
        )
        assert f"a.s-{state} {{ opacity: var(--lit-{state}, var(--dim, 1)); }}" in sheet("style.css")
    for outcome in (*Outcome, "died", "left_running", "unreadable"):
        assert f".o-{outcome}::before" in sheet("style.css")


def test_what_the_pages_use_is_styled() -> None:
    state, chronicle = read_chronicle(big_run(64))
    view = RunView(run=state.run, state=state, told=chronicle.told)
    shown = [run_page(view, 2e9, target=next(iter(state.targets))), report(view, 2e9, css=CSS, version="0")]
    classes = {name for page in shown for each in read(page) for name in each.attributes.get("class", "").split()}
    styled = set(re.findall(r"\.([a-z][\w-]*)", re.sub(r'"[^"]*"', "", CSS)))
    assert classes - styled <= {"counts", "plain", "report"}, "as everything around them"


def test_motion_print_and_narrow_screens_are_thought_of() -> None:
    for query in ("(prefers-reduced-motion: reduce)", "print", "(max-width: 40rem)"):
        assert f"@media {query}" in sheet("style.css")
    assert ":focus-visible" in sheet("style.css")
    assert "url(" not in CSS, "nothing is loaded"
