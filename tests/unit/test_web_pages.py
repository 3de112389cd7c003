"""The pages: what they show, and that nothing of a run is ever markup."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from bigruns import (
    EVERY_STATE,
    HOSTILE,
    NOON,
    Told,
    begin,
    big_run,
    big_state,
    finished_run,
    halfway_run,
    intended,
    started,
)
from markup import Element, read
from world import target

import orchestrator.web
from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.runs import RunSummary
from orchestrator.core.state import fold
from orchestrator.web.assets import sheet
from orchestrator.web.chronicle import Chronicle, read_chronicle
from orchestrator.web.html import Markup, join, stylesheet, tag
from orchestrator.web.pages import content, fragments, message_page, run_page, runs_page, shape, target_fragment
from orchestrator.web.report import report
from orchestrator.web.view import RunView

WEB = Path(next(iter(orchestrator.web.__path__)))
S = TargetState
NOW = NOON + 5000


def view_of(records: list[ev.Record], *, alive: bool = True) -> RunView:
    state, chronicle = read_chronicle(records)
    return RunView(run=state.run, state=state, told=chronicle.told, alive=alive)


def page_of(view: RunView, now: float = NOW, **more: str) -> Element:
    return read(run_page(view, now, events="/runs/x/events", **more))


def report_of(view: RunView, now: float = NOW) -> Element:
    return read(report(view, now, css=sheet("style.css") + sheet("drawing.css"), version="0.1.0"))


def one_target() -> Told:
    told = begin([target("web/fleet")])
    told.tell(intended(target("web/fleet")), started(target("web/fleet"), 1))
    return told


# --- markup ----------------------------------------------------------------------------------------------------------


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
    assert join(["<", tag("br"), None], "&") == "&lt;&amp;<br/>"
    assert tag("p", "a\x00b\x1b[2J\u202e\ufffe") == "<p>a\ufffdb\ufffd[2J\ufffd\ufffd</p>"
    assert tag("path", d="a\nb", x=1.25, y=3.0, n=7) == '<path d="a&#10;b" x="1.2" y="3" n="7"></path>'


def test_a_style_sheet_can_t_end_its_element() -> None:
    with pytest.raises(ValueError, match="style sheet"):
        stylesheet("p{}</style><script>")
    for name in ("style.css", "drawing.css"):
        assert stylesheet(sheet(name))


@pytest.mark.parametrize("made", [page_of, report_of])
def test_a_hostile_run_has_the_elements_and_attributes_of_a_harmless_one(made: Callable[[RunView], Element]) -> None:
    plain, hostile = (view_of(big_run(64, hostile=each)) for each in (False, True))
    shown = made(hostile)
    assert shown.shape == made(plain).shape
    assert "<script>alert(1)</script>" in shown.text, "it is shown, as text"
    assert not [char for char in shown.text if ord(char) < 32 and char != "\n"]
    assert not set("\u202e\u2066\u200b\ufffe") & set(shown.text)
    for each in shown:
        assert not [name for name in each.attributes if name.startswith("on") or name == "style"]
        assert all(not value.lstrip().lower().startswith("javascript:") for value in each.attributes.values())


def test_so_have_the_details_of_a_hostile_target() -> None:
    plain, hostile = (view_of(big_run(64, hostile=each)) for each in (False, True))
    for one, other in zip(plain.state.targets, hostile.state.targets, strict=True):
        shown = read(target_fragment(hostile, other, NOW))
        assert shown.shape == read(target_fragment(plain, one, NOW)).shape
        assert HOSTILE


# --- a run -----------------------------------------------------------------------------------------------------------


def test_big_runs_come_to_every_state() -> None:
    assert set(big_state(200).count()) == set(EVERY_STATE)
    assert {str(state) for state in fold(finished_run(50)).count()} == {"succeeded"}


@pytest.mark.parametrize("count", [0, 1, 5, 200])
def test_every_fragment_stands_in_the_page_once_and_apart_from_the_others(count: int) -> None:
    view = view_of(big_run(count))
    page = run_page(view, NOW, events="/runs/x/events")
    document = read(page)
    ids = [each.attributes["id"] for each in document if "id" in each.attributes]
    assert len(ids) == len(set(ids)), "an id stands for one element"
    parts = fragments(view, NOW)
    assert set(parts) <= set(ids)
    for name, markup in parts.items():
        assert markup in page
        inside = [each.attributes.get("id") for each in read(markup)]
        assert inside[1] == name
        assert not set(inside[2:]) & set(parts)
    assert len(parts) >= 3 * count


def test_the_page_holds_what_a_script_needs() -> None:
    view = view_of(halfway_run(5))
    main = page_of(view).one("main")
    assert main.attributes["id"] == "main"
    assert main.attributes["data-events"] == "/runs/x/events"
    assert main.attributes["data-run"] == view.run
    assert int(main.attributes["data-seq"]) == view.state.last_seq
    assert content(view, NOW) in run_page(view, NOW)
    row = main.all("tr", data_target=next(iter(view.state.targets)))[0]
    assert row.attributes["data-state"] in EVERY_STATE


def test_only_our_own_files_are_loaded_and_nothing_is_inline() -> None:
    for page in (page_of(view_of(big_run(5))), read(runs_page(())), read(message_page("No run", "there is none"))):
        for each in page:
            assert each.name != "style"
            assert "style" not in each.attributes
            for name in ("src", "href"):
                assert each.attributes.get(name, "/")[0] in "/#"
                assert not each.attributes.get(name, "/").startswith("//")
            assert each.name != "script" or (each.text == "" and each.attributes["src"].startswith("/assets/"))


def test_every_link_within_the_page_leads_somewhere() -> None:
    view = view_of(big_run(64))
    for document in (page_of(view), report_of(view)):
        ids = {each.attributes["id"] for each in document if "id" in each.attributes}
        links = {each.attributes["href"] for each in document.all("a")}
        inside = {link.removeprefix("#") for link in links if link.startswith("#")}
        assert inside <= ids
        assert len(inside) > 64


def test_shape_changes_with_what_fragments_can_t_bring_and_not_with_time() -> None:
    empty, early, late = (view_of(records) for records in ([], halfway_run(40, seconds=30.0), halfway_run(40)))
    over = view_of(finished_run(40))
    assert len({shape(view, NOON + 250) for view in (empty, early, over)}) == 3
    assert shape(late, NOON + 210) == shape(late, NOON + 220)


def test_landmarks_headings_and_tables_are_in_order() -> None:
    view = view_of(big_run(64), alive=False)
    for document in (page_of(view, target=next(iter(view.state.targets))), report_of(view)):
        assert document.one("html").attributes["lang"] == "en"
        assert len(document.all("main")) == len(document.all("h1")) == 1
        levels = [int(each.name[1]) for each in document if each.name in {"h1", "h2", "h3"}]
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert all(each.attributes.get("scope") in {"col", "row"} for each in document.all("th"))
        assert all(each.all("caption") for each in document.all("table"))
        named = [each for each in document if each.name in {"progress", "pre"} or "role" in each.attributes]
        assert all(_is_named(each) or each.attributes.get("role") == "status" for each in named)
        assert all(
            each.attributes.get("aria-label") or each.attributes.get("aria-hidden") for each in document.all("svg")
        )
        assert document.all("a", href="#targets")[0].text == "Skip to the targets"


def _is_named(element: Element) -> bool:
    nameless = element.name == "pre" and "tabindex" not in element.attributes
    return nameless or bool(element.attributes.get("aria-label") or element.attributes.get("aria-labelledby"))


def test_what_a_screen_reader_is_told_does_not_change_with_time() -> None:
    view = view_of(halfway_run(40))
    one, other = (fragments(view, NOON + seconds) for seconds in (201, 202))
    assert one["status"] == other["status"]
    assert one["clock"] != other["clock"]
    assert 'role="status"' in one["status"]


def test_drawing_again_makes_only_anew_what_has_changed() -> None:
    view = view_of(halfway_run(200))
    one, other = (fragments(view, NOON + 201) for _ in range(2))
    rows = [name for name in one if name.startswith(("node/", "bar/", "target/"))]
    assert len(rows) == 600
    assert all(one[name] is other[name] for name in rows)


# --- what it tells ---------------------------------------------------------------------------------------------------


def test_how_it_stands_and_how_long_it_will_take() -> None:
    page = page_of(view_of(halfway_run(40)), NOON + 201)
    assert page.one("h1").text == "shop-40 to staging"
    assert page.one("p", id="status").text == "running"
    clock = page.one("p", id="clock").text
    assert clock.startswith(" 27 of 40 targets done in 3m21s; about ")
    assert clock.endswith(" UTC (4 running, 9 pending, 27 succeeded)")
    over = page_of(view_of(finished_run(40), alive=False))
    failing = page_of(view_of(big_run(40, states=[S.FAILED, S.RUNNING])))
    assert failing.one("p", id="status").text == "running · 20 failed"
    assert " left" not in over.one("p", id="clock").text


def test_a_run_whose_process_has_gone_says_how_to_go_on() -> None:
    page = page_of(view_of(halfway_run(40), alive=False))
    note = page.one("div", id="attention").text
    assert page.one("p", id="status").text.startswith("died")
    assert "has gone" in note
    assert "orchestrator resume 20251125-120000-big" in note
    assert "hidden" in page_of(view_of(halfway_run(5))).one("div", id="attention").attributes


def test_time_stands_still_at_the_last_event_of_a_run_that_nobody_carries_on() -> None:
    soon, late = (fragments(view_of(halfway_run(40), alive=False), NOON + seconds) for seconds in (300, 9 * 86400))
    assert soon == late
    assert read(soon["clock"]).text.startswith(" 27 of 40 targets done in 3m00s (")
    assert "last event" in soon["now-line"]
    assert not [name for name, part in soon.items() if 'class="span expected"' in part or "about" in part]


def test_an_approval_is_asked_for_with_the_command_that_gives_it() -> None:
    told = begin([target("web/fleet")])
    gate = gev.GateWaiting(
        gate="cab", target="web/fleet", phase="before", kind="approval", timeout=3600.0, message="Go?"
    )
    told.tell(gate, gate)
    page = page_of(view_of(told.records))
    note = page.one("div", id="attention").text
    assert note.count("Awaiting approval") == 1
    assert (
        "cab: Go? (before web/fleet) orchestrator approve 20251125-120000-big cab until 2025-11-25 13:00:00 UTC" in note
    )
    told.tell(gev.ApprovalDecided(gate="cab", approved=True, by="me", given_at=NOON))
    told.tell(gev.GatePassed(gate="cab", target="web/fleet", phase="before"))
    assert "Awaiting" not in page_of(view_of(told.records)).text


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([ev.FreezeBegan(window="friday", until=NOON + 60)], "the freeze friday lasts until"),
        ([ev.CancelRequested(mode="wait", reason="SIGINT")], "Nothing new starts SIGINT"),
        ([ev.ReleaseRollbackRequested(reason="web failed")], "Going back all that the run changed, to what stood"),
        ([gev.RunBlocked(reason="people", gates=("cab",))], "orchestrator approve 20251125-120000-big cab"),
    ],
)  # fmt: skip
def test_what_a_person_should_know_stands_above_all_else(events: list[ev.Event], words: str) -> None:
    told = one_target()
    told.tell(*events)
    assert words in page_of(view_of(told.records, alive=False)).one("div", id="attention").text


def test_what_failed_comes_first_with_its_log_and_what_to_ask_aws() -> None:
    states = [S.STOPPED, S.FAILED]
    page = page_of(view_of(big_run(40, states=states)))
    section = page.one("section", id="failures")
    assert section.one("h2").text == "40 targets failed"
    at_length = section.all("div", class_="trouble")
    assert len(at_length) == 10
    assert all("LifecycleEvent - ApplicationStart" in each.text for each in at_length), "those of which more is known"
    command = at_length[0].all("code", class_="command")[0].text
    assert command.startswith("aws deploy get-deployment-target --deployment-id d-")
    assert "--target-id i-0" in command
    assert command.endswith("--region eu-west-1")
    assert section.one("summary").text == "and 30 more failed targets"
    assert len(section.one("details").all("li")) == 30


def test_an_instance_s_name_in_a_command_is_quoted_for_a_shell() -> None:
    told = one_target()
    failure = {"instance": "i-1; rm -rf ~", "status": "Failed"}
    told.tell(ev.DeploymentDiagnosed(target="web/fleet", deployment_id="d-1", instances=(failure,), failed=1))
    told.tell(ev.TargetFinished(target="web/fleet", state=S.FAILED))
    assert "--target-id 'i-1; rm -rf ~' --region" in page_of(view_of(told.records)).text


@pytest.mark.parametrize("made", [page_of, report_of])
def test_what_looks_like_a_secret_in_a_log_a_reason_or_a_hook_is_not_shown(made: Callable[[RunView], Element]) -> None:
    secret = "AKIAIOSFODNN7EXAMPLE"
    told = one_target()
    name, said = "web/fleet", f"curl https://joe:hunter2hunter2@host/ {secret} password=hunter2hunter2"
    failure = {"instance": "i-1", "status": "Failed", "message": said, "log_tail": f"one\n{said}"}
    hook = ev_hook(name, said)
    told.tell(*hook, ev.DeploymentDiagnosed(target=name, deployment_id="d-1", instances=(failure,), failed=1))
    told.tell(gev.GateWaiting(gate="g", target=name, phase="after", kind="http"))
    told.tell(gev.GateMeasured(gate="g", target=name, phase="after", verdict="bad", reason=said))
    told.tell(ev.TargetFinished(target=name, state=S.FAILED, reason=said))
    shown = made(view_of(told.records)).text
    assert "curl https://***@host/" in shown
    assert secret not in shown
    assert "hunter2" not in shown


def ev_hook(name: str, said: str) -> list[ev.Event]:
    began = gev.HookStarted(target=name, when="before", number=0, command=("sh", "-c", said))
    return [began, gev.HookFinished(target=name, when="before", number=0, ok=False, reason=said, output=said)]


def test_the_table_says_what_the_drawings_show() -> None:
    view = view_of(big_run(64))
    table = page_of(view).one("table", id="table")
    rows = {row.attributes["data-target"]: row.text for row in table.one("tbody").all("tr")}
    assert list(rows) == list(view.state.targets), "in the plan's order while it runs"
    waiting = [name for name, each in view.state.targets.items() if each.state is S.BLOCKED]
    assert all("waits for d-OTHER0001 is active" in rows[name] for name in waiting)
    over = read(run_page(view_of(finished_run(5), alive=False), NOW)).one("tbody")
    assert len(over.all("tr")) == 5


def test_details_tell_all_that_is_known() -> None:
    told = begin([target("db/g"), target("web/fleet", needs=["db/g"], after=[]), target("last/g", needs=["web/fleet"])])
    web = target("web/fleet")
    told.tell(ev.DurationsExpected(seconds={"web/fleet": 90.0}), ev.TargetFinished(target="db/g", state=S.UNCHANGED))
    told.tell(intended(web), started(web, 1))
    told.tell(
        ev.TargetRetried(target="web/fleet", deployment_id="d-000000001", retry=1, reason="flaky", wait=5.0), after=9.0
    )
    told.tell(intended(web), started(web, 2))
    seen = {"instance": "i-7", "status": "InProgress", "lifecycle_event": "AfterInstall", "since": NOON + 3}
    told.tell(ev.InstancesSeen(target="web/fleet", deployment_id="d-000000002", instances=(seen,), total=4))
    told.tell(gev.HookStarted(target="web/fleet", when="before", number=0, command=("./drain.sh", "--all")))
    told.tell(
        gev.HookFinished(target="web/fleet", when="before", number=0, ok=False, reason="exit code 3", output="no\nluck")
    )
    told.tell(gev.GateWaiting(gate="errors", target="web/fleet", phase="after", kind="prometheus", timeout=60.0))
    told.tell(gev.GateMeasured(gate="errors", target="web/fleet", phase="after", verdict="bad", reason="5xx is 7"))
    told.tell(ev.RollbackStarted(target="web/fleet", deployment_id="d-000000002", rollback_deployment_id="d-R"))
    shown = read(target_fragment(view_of(told.records), "web/fleet", told.now + 1)).one("section", id="details")
    assert shown.attributes["data-target"] == "web/fleet"
    for words in (
        "rolling back",
        "aws deploy get-deployment --deployment-id d-000000002 --region eu-west-1",
        "aws deploy get-deployment --deployment-id d-R --region eu-west-1",
        "d-000000001: flaky",
        "s3://releases/bundles/app/0123456789abcdef.tgz",
        "1m30s",
        "AfterInstall",
        "and 3 more instances",
        "before: ./drain.sh --all exit code 3",
        "no\nluck",
        "5xx is 7",
        "failed attempt",
    ):
        assert words in shown.text, words
    linked = {unquote(each.attributes["href"]) for each in shown.all("a")}
    assert {"#target/db/g", "#target/last/g"} <= linked
    with pytest.raises(KeyError):
        target_fragment(view_of(told.records), "nobody/g", NOW)


def test_a_target_s_details_are_in_the_page_where_the_address_asks_for_them() -> None:
    view = view_of(halfway_run(5))
    name = next(iter(view.state.targets))
    assert page_of(view, target=name).one("section", id="details").attributes["data-target"] == name
    assert "hidden" in page_of(view, target="nobody/g").one("section", id="details").attributes


def test_events_are_told_newest_first_and_the_loud_ones_are_marked() -> None:
    told = one_target()
    told.tell(ev.WarningRaised(message="watch out"), after=5.0)
    items = page_of(view_of(told.records)).one("ol", id="event-list").all("li")
    assert items[0].text.endswith("warning: watch out")
    assert items[0].attributes["class"] == "urgent"
    assert items[-1].text.startswith("12:00:00")


def test_a_chronicle_keeps_the_last_ones_and_of_progress_only_the_newest() -> None:
    told = one_target()
    chronicle = Chronicle(kept=10)
    for number in range(100):
        told.tell(
            ev.DeploymentProgressed(
                target="web/fleet", deployment_id="d-1", status="InProgress", overview={"Pending": number}
            )
        )
        chronicle.handle(told.records[-1], told.state)
    assert [each.seq for each in chronicle.told] == [told.records[-1].seq]
    for number in range(50):
        told.tell(ev.WarningRaised(message=str(number)))
        chronicle.handle(told.records[-1], told.state)
    assert [each.phrase.text for each in chronicle.told] == [f"warning: {number}" for number in range(40, 50)]


# --- runs without a proper state -------------------------------------------------------------------------------------


def test_an_empty_run_and_one_that_can_t_be_read_have_pages_and_reports() -> None:
    empty = RunView(run="20251125-120000-empty")
    broken = RunView(run="20251125-120000-broken", problem="journal.jsonl:3: not a journal record")
    for made in (page_of, report_of):
        assert "no targets" in made(empty).text
        assert made(empty).one("h1").text == "run 20251125-120000-empty"
        assert "journal.jsonl:3: not a journal record" in made(broken).text
    assert fragments(empty, NOW)


# --- the report ------------------------------------------------------------------------------------------------------


def test_a_report_loads_nothing_and_obeys_only_its_own_style() -> None:
    document = report_of(view_of(big_run(64)))
    names = {each.name for each in document}
    assert not names & {"script", "link", "img", "iframe", "object", "form"}
    assert all(each.attributes["href"].startswith("#") for each in document.all("a"))
    policy = document.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_a_report_has_the_details_of_every_target_inside_of_what_is_folded() -> None:
    view = view_of(big_run(64))
    document = report_of(view)
    folded = document.one("section", id="each").all("details")
    assert len(folded) == 64
    anchors = [unquote(each.all("div")[0].attributes["id"]) for each in folded]
    assert anchors == [f"target/{name}" for name in view.state.targets]
    for each, known in zip(folded, view.state.targets.values(), strict=True):
        asks = f"aws deploy get-deployment --deployment-id {known.deployment_id} "
        assert (asks in each.text) == (known.deployment_id is not None)


def test_a_report_shows_the_run_that_went_back_and_no_id_twice() -> None:
    told = one_target()
    told.tell(ev.TargetFinished(target="web/fleet", state=S.FAILED), ev.ReleaseRollbackRequested(reason="it failed"))
    told.tell(ev.ReleaseRollbackStarted(rollback_run="r-back", targets=("web/fleet",)))
    told.tell(
        ev.RollbackStarted(target="web/fleet", deployment_id="d-1", rollback_deployment_id="d-2", of_release=True)
    )
    told.tell(
        ev.TargetFinished(target="web/fleet", state=S.ROLLED_BACK), ev.ReleaseRollbackFinished(rollback_run="r-back")
    )
    told.tell(ev.RunFinished(outcome=Outcome.ROLLED_BACK, exit_code=4))
    back = view_of(finished_run(1), alive=False)
    view = view_of(told.records, alive=False).with_rollback(replace(back, run="r-back"))
    document = report_of(view)
    section = document.one("section", id="rollback")
    assert section.one("h2").text == "Rollback: run r-back"
    assert "succeeded" in section.text
    assert section.all("svg")
    assert "Went back" in document.one("div", id="attention").text
    ids = [each.attributes["id"] for each in document if "id" in each.attributes]
    assert len(ids) == len(set(ids))


# --- the list of runs ------------------------------------------------------------------------------------------------


def test_the_list_of_runs_says_when_there_is_none_or_why_it_can_t_be_read() -> None:
    assert "No runs yet" in runs_page(())
    page = read(runs_page((), where="s3://b/p", problem="AccessDenied <b>", events="/events"))
    assert "AccessDenied <b>" in page.text
    assert page.one("main").attributes["data-events"] == "/events"


def test_each_run_has_a_line_and_the_oldest_of_very_many_are_counted() -> None:
    runs = [
        RunSummary(run=f"2025-{n}<i>", release="shop", started_at=NOON, last_at=NOON + 5, outcome=Outcome.SUCCEEDED)
        for n in range(501)
    ]
    runs[0] = RunSummary(run="back", started_at=NOON, rollback_of="2025-1<i>", problem=None)
    runs[1] = RunSummary(run="odd", started_at=NOON, problem="its first event is <b>")
    page = read(runs_page(runs))
    rows = page.one("tbody").all("tr")
    assert len(rows) == 500
    assert rows[0].text.startswith("died")
    assert "rollback of 2025-1<i>" in rows[0].text
    assert "unreadable" in rows[1].text
    assert "its first event is <b>" in rows[1].text
    assert rows[2].all("a")[0].attributes["href"] == "/runs/2025-2%3Ci%3E"
    assert "5.0s" in rows[2].text
    assert "and 1 older run" in page.text


@pytest.mark.parametrize("html", [runs_page(()), message_page("Not found", "no such run")])
def test_whoever_skips_the_top_of_a_page_gets_somewhere(html: str) -> None:
    page = read(html)
    (skip,) = [each for each in page.all("a") if each.attributes.get("class") == "skip"]
    assert skip.attributes["href"] == f"#{page.one('main').attributes['id']}"
