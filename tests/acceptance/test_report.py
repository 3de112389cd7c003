"""`report`, `--report` and `graph RUN` as commands, and a hostile report in a real browser."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from bigruns import big_run
from browsing import Tab, tab
from drawn import edges, nodes, parse
from markup import Element, read, read_html
from playwright.sync_api import Browser
from rig import Command, MakeRig

from orchestrator.core.events import Record
from orchestrator.sandbox.options import Failure, Faults

OLD, NEW = "a" * 40, "b" * 40


def chain(commit: str) -> str:
    lines = ["version: 1", "release: shop", "policy: {rollback: release}", "applications:"]
    for name, needs in (("db", ""), ("web", "db")):
        lines += [f"  {name}: {{revision: {{github: {{repository: acme/x, commit: {commit}}}}},"]
        lines += [f"    needs: [{needs}], deployment_groups: [g]}}"]
    return "\n".join(lines) + "\n"


def kept(command: Command, records: list[Record]) -> str:
    """A run with these records in the folder of runs, as a process would have left it."""
    run = records[0].run
    folder = command.folder / ".orchestrator" / "runs" / run
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text("".join(f"{each.to_json()}\n" for each in records))
    return run


def document(path: Path) -> Element:
    return read(path.read_text(encoding="utf-8"))


def test_a_release_that_went_back_is_reported_by_its_run_and_later_from_its_bucket(make_rig: MakeRig) -> None:
    rig = make_rig(["db/g", "web/g"], time_scale=0)
    run, where = rig.command, ("--state", "s3://releases/state")
    run.write(chain(OLD))
    assert run("apply", "release.yaml", *where).code == 0
    run.write(chain(NEW))
    rig.set_faults(Faults(failures=(Failure(target="web/g", revision=NEW),)))
    ended = run("apply", "release.yaml", *where, "--report", "beside.html", "--result", "result.json")
    assert ended.code == 4, ended.out + ended.err
    made = run("report", "-o", "later.html", *where)
    assert (made.code, made.out) == (0, "")
    for name in ("beside.html", "later.html"):
        page = document(run.folder / name)
        assert page.one("p", id="status").text.startswith("rolled back")
        assert "ScriptFailed" in page.one("section", id="failures").text
        assert "Went back" in page.one("div", id="attention").text
        assert page.one("section", id="rollback").one("h2").text.startswith("Rollback: run ")
        assert len(page.one("section", id="each").all("details")) == 2
    drawn = run("graph", run.result()["run"], "--format", "svg", *where)
    assert drawn.code == 0, drawn.err
    assert len(nodes(parse(drawn.out))) == 2
    assert len(edges(parse(drawn.out))) == 1
    assert "rolled back" in drawn.out


def test_runs_that_are_odd_are_reported_as_far_as_they_can_be_read(command: Command) -> None:
    assert command("report", "-o", "x.html").code == 2, "there are no runs yet"
    run = kept(command, big_run(5))
    assert command("report", run).code == 2, "where to?"
    assert command("report", run, "-o", "no/such/folder.html").code == 2
    shown = command.shell(f"PYTHONIOENCODING=ascii $ORCHESTRATOR report {run} -o -")
    assert shown.code == 0, shown.err
    assert read(shown.out).one("p", id="status").text.startswith("died")
    journal = command.folder / ".orchestrator" / "runs" / run / "journal.jsonl"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([lines[0], "no record", *lines[2:]]) + "\n")
    broken = command("report", run, "-o", "x.html")
    assert broken.code == 1
    assert "journal.jsonl:2: not a journal record" in broken.err
    assert "journal.jsonl:2: not a journal record" in document(command.folder / "x.html").text
    journal.write_text("")
    assert command("report", run, "-o", "x.html").code == 0
    assert "no targets" in document(command.folder / "x.html").text
    assert not [path for path in command.folder.iterdir() if path.name.startswith(".x.html")], "no half of one"
    assert command("graph", run).code == 2


def test_a_browser_sees_nothing_in_a_hostile_report_but_what_we_put_there_and_everybody_can_use_it(
    command: Command, browser: Browser
) -> None:
    run = kept(command, big_run(64, hostile=True))
    assert command("report", run, "-o", "hostile.html").code == 0
    path = command.folder / "hostile.html"
    expected = Counter(each.name for each in document(path))
    assert "script" not in expected
    for scheme, width in (("light", 1280), ("dark", 320)):
        with tab(browser, color_scheme=scheme, viewport={"width": width, "height": 800}) as seen:
            seen.page.goto(path.as_uri())
            assert Counter(each.name for each in read_html(seen.page.content())) == expected
            assert seen.complaints == [], "its own policy lets its style be"
            assert seen.page.evaluate("getComputedStyle(document.querySelector('.scroll')).overflow") == "auto"
            assert not seen.scrolls_sideways()
            unfolds_what_a_link_leads_to(seen)
            if width == 1280:
                assert seen.violations() == []


def unfolds_what_a_link_leads_to(seen: Tab) -> None:
    seen.page.locator("#table tbody a").nth(3).click()
    assert seen.page.locator("#each details[open]").count() == 1


def test_it_chooses_one_state_without_a_script_and_can_be_printed(command: Command, browser: Browser) -> None:
    run = kept(command, big_run(64))
    assert command("report", run, "-o", "report.html").code == 0
    with tab(browser, java_script_enabled=False) as seen:
        seen.page.goto((command.folder / "report.html").as_uri())
        rows = seen.page.locator("#table tbody tr:visible")
        assert rows.count() == 64
        seen.page.locator("label.choice", has_text="failed").click()
        assert rows.count() == 4
        seen.page.emulate_media(media="print")
        assert seen.page.locator(".chooser:visible").count() == 0
        assert len(seen.page.pdf()) > 10_000
