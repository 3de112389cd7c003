"""The pages: what they show, and that nothing of a run is ever markup."""

from __future__ import annotations

import ast
from html.parser import HTMLParser
from pathlib import Path

import pytest
from bigruns import EVERY_STATE, big_run, big_state, finished_run

import orchestrator.web
from orchestrator.core.state import fold
from orchestrator.web.chronicle import read_chronicle
from orchestrator.web.html import Markup, tag
from orchestrator.web.pages import fragments, run_page, runs_page
from orchestrator.web.view import RunView

WEB = Path(next(iter(orchestrator.web.__path__)))


class Elements(HTMLParser):
    """Every element's name with its attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def view_of(count: int, *, hostile: bool = False) -> RunView:
    state, chronicle = read_chronicle(big_run(count, hostile=hostile))
    return RunView(run=state.run, state=state, told=chronicle.told, alive=True)


def test_big_runs_come_to_every_state() -> None:
    assert set(big_state(200).count()) == set(EVERY_STATE)
    assert {str(state) for state in fold(finished_run(50)).count()} == {"succeeded"}


def test_only_one_module_makes_markup_out_of_text() -> None:
    makers = set()
    for path in WEB.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Markup":
                makers.add(path.name)
    assert makers == {"html.py"}


def test_text_is_escaped_and_markup_is_not() -> None:
    made = tag("p", "<b>", tag("i", 'a"b'), None, title='"><script>', data_x=True, hidden=False)
    assert made == '<p title="&quot;&gt;&lt;script&gt;" data-x="">&lt;b&gt;<i>a&quot;b</i></p>'
    assert isinstance(made, Markup)


@pytest.mark.parametrize("count", [5, 200])
def test_a_run_page_names_every_target_and_its_fragments_are_in_it(count: int) -> None:
    view = view_of(count)
    page = run_page(view, 1e9, events="/runs/x/events")
    ids = {attributes["id"] for _, attributes in Elements(page).found if "id" in attributes}
    parts = fragments(view, 1e9)
    assert set(parts) <= ids
    assert all(part in page for part in parts.values())
    assert len(parts) >= count


def test_nothing_of_a_hostile_run_becomes_an_element() -> None:
    plain, hostile = (
        Elements(run_page(view_of(200, hostile=each), 1e9, events="/runs/x/events")) for each in (False, True)
    )
    assert {name for name, _ in hostile.found} == {name for name, _ in plain.found}
    assert {key for _, attributes in hostile.found for key in attributes} == {
        key for _, attributes in plain.found for key in attributes
    }
    assert any("alert(1)" in text for text in hostile.texts)


def test_the_list_of_runs_says_when_there_is_none() -> None:
    assert "No runs yet" in runs_page((), 0.0)
