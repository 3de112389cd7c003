"""What a CI job's log, its test report and its step's summary say of a run, and that nobody else gives orders."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import anyio
import bigruns
import ci_logs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import CHAIN, NOON, Story, d

from orchestrator.app.views import ViewOptions, open_views
from orchestrator.cli.endings import Endings, endings_of
from orchestrator.cli.terminal import explain
from orchestrator.core import bundle_events as bev
from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.errors import ExitCode, Finding, InvalidInputError, UsageError
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.outcome import FAILURES
from orchestrator.core.state import RunState
from orchestrator.sinks.blocks import BlockSink
from orchestrator.sinks.dialects import Dialect, dialect_of
from orchestrator.sinks.junit import junit
from orchestrator.sinks.plain import SILENCE, PlainSink
from orchestrator.sinks.step_summary import LIMIT, append_summary, markdown
from orchestrator.sinks.taming import Tamed, tame

S = TargetState


def told(
    dialect: Dialect, targets: Mapping[str, Sequence[str]] = CHAIN, *, release: str = "shop-1"
) -> tuple[Story, io.StringIO, BlockSink]:
    story, stream = Story(targets, release=release), io.StringIO()
    sink = BlockSink(stream, dialect, clock=lambda: story.now, monotonic=lambda: 0.0, zone=UTC)
    story.sinks.append(sink)
    return story, stream, sink


def two_at_once(story: Story) -> None:
    """Two targets run side by side, one fails; a third is skipped, a fourth unchanged."""
    story.begin().tell(ev.TargetFinished(target="jobs/g", state=S.UNCHANGED, reason="same digest"))
    story.tell(bev.UploadStarted(application="db", region="eu-west-1", targets=("db/g",)))
    story.tell(bev.BundlePacked(application="db", digest="sha256:1", bytes=1200, entries=1, seconds=0.02))
    story.start("db/g", after=1.0).start("web/g", after=1.0)
    story.progress("db/g", after=5.0, Succeeded=1, InProgress=1).progress("web/g", Succeeded=1, InProgress=2)
    story.fail("web/g", after=2.0, message="100% of instances, failed: see below")
    story.succeed("db/g", after=1.0)
    story.skip("api/g", by="web/g").finish(Outcome.FAILED)


FOUR: dict[str, Sequence[str]] = {"db/g": (), "web/g": (), "api/g": ("web/g",), "jobs/g": ()}

# --- blocks ----------------------------------------------------------------------------------------------------------


def test_on_github_each_target_has_a_group_and_each_failure_an_annotation() -> None:
    story, stream, _ = told("github", FOUR)
    two_at_once(story)
    log = ci_logs.github(stream.getvalue().splitlines())
    assert [" ".join(line.split()) for line in log.open] == [
        "12:00:00 run run-1: shop-1 to staging, 4 targets",
        "12:00:00 jobs/g unchanged: same digest",
        "12:00:01 db/g d-DBG000000 started",
        "12:00:02 web/g d-WEBG00000 started",
        "12:00:10 api/g skipped: blocked by web/g",
        "12:00:10 run failed after 10s",
    ]
    failed, succeeded = log.blocks
    why = "failed after 7.0s: ValidateService scripts/check.sh on i-0abc: ScriptFailed: exit code 1"
    assert failed == f"12:00:09 web/g  {why}"
    assert succeeded == "12:00:10 db/g  succeeded after 9.0s"
    assert log.blocks[succeeded] == [
        "    12:00:00 preparing the bundle in eu-west-1",
        "    12:00:00 packed 1 entry, 1.2 kB in 0.0s",
        "    12:00:01 d-DBG000000 started",
        "    12:00:07 d-DBG000000 InProgress, 1/2 instances",
    ]
    assert "                 | connecting" in log.blocks[failed]
    assert log.blocks[failed][-1] == "    12:00:09 failed after 7.0s: the deployment failed"
    assert log.errors == [("web/g failed", f"web/g {why}")]


def test_an_annotation_is_escaped_as_the_runner_unescapes_it() -> None:
    story, stream, _ = told("github")
    story.begin().start("db/primary")
    story.tell(ev.TargetFinished(target="db/primary", state=S.ERRORED, reason="50% :: a,b\r\nc"))
    assert "::error title=db/primary errored::db/primary errored after 0.0s: 50%25 :: a,b c\n" in stream.getvalue()
    log = ci_logs.github(stream.getvalue().splitlines())
    assert log.errors == [("db/primary errored", "db/primary errored after 0.0s: 50% :: a,b c")]


def test_on_gitlab_each_target_has_a_section_and_failed_ones_are_open() -> None:
    story, stream, _ = told("gitlab", FOUR)
    two_at_once(story)
    text = stream.getvalue()
    now = int(NOON) + 10
    assert f"\x1b[0Ksection_start:{now}:db_g.1.{now}[collapsed=true]\r\x1b[0K12:00:10 db/g  succeeded" in text
    log = ci_logs.gitlab(text)
    failed, succeeded = log.blocks
    assert log.folded == {succeeded}
    assert any("ScriptFailed: exit code 1" in line for line in log.blocks[failed])


def test_elsewhere_blocks_have_a_heading() -> None:
    story, stream, _ = told("plain", FOUR)
    two_at_once(story)
    lines = stream.getvalue().splitlines()
    begin = lines.index("--- 12:00:10 db/g  succeeded after 9.0s")
    assert all(line.startswith("    ") for line in lines[begin + 1 : begin + 5])
    assert "\x1b" not in stream.getvalue()
    assert "::" not in stream.getvalue()


def test_on_azure_there_are_groups_and_issues() -> None:
    story, stream, _ = told("azure", FOUR)
    two_at_once(story)
    text = stream.getvalue()
    assert text.count("##[group]") == text.count("##[endgroup]") == 2
    assert "##vso[task.logissue type=error]web/g failed after 7.0s: ValidateService" in text


def test_a_run_that_leaves_shows_what_it_knows_of_what_goes_on() -> None:
    story, stream, sink = told("github")
    story.begin().start("db/primary").progress("db/primary", after=20.0, Succeeded=1, InProgress=2)
    story.tell(ev.RunDetached(reason="the 10 s of --for are over", running=(d("db/primary"),)))
    sink.finish()
    log = ci_logs.github(stream.getvalue().splitlines())
    assert list(log.blocks) == ["db/primary left running"]
    assert "InProgress, 1/3 instances" in log.blocks["db/primary left running"][-1]
    before = stream.getvalue()
    sink.finish()
    assert stream.getvalue() == before


def test_in_silence_there_is_a_sign_of_life_outside_of_blocks(virtual: Any) -> None:
    story, stream = Story(CHAIN), io.StringIO()

    async def watch() -> None:
        sink = BlockSink(stream, "github", clock=lambda: story.now + 60, zone=UTC)
        story.sinks.append(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sink.run)
            story.begin().start("db/primary").progress("db/primary", Succeeded=1, InProgress=2)
            await anyio.sleep(SILENCE + 1)
            tasks.cancel_scope.cancel()

    virtual(watch())
    log = ci_logs.github(stream.getvalue().splitlines())
    assert not log.blocks
    assert "still running: db/primary 1m00s (1/3 instances); waiting: api/fleet" in log.open[-1]


def test_what_has_not_begun_has_no_block_when_the_run_leaves() -> None:
    story, stream, sink = told("github")
    story.begin().tell(bev.UploadStarted(application="db", region="eu-west-1", targets=("db/primary",)))
    sink.finish()
    assert not ci_logs.github(stream.getvalue().splitlines()).blocks


def test_a_target_that_goes_back_has_a_second_block() -> None:
    story, stream, _ = told("gitlab")
    story.begin().start("db/primary").succeed("db/primary", after=5.0)
    back = ev.RollbackStarted(
        target="db/primary", deployment_id=d("db/primary"), rollback_deployment_id="d-BACK", of_release=True
    )
    ended = ev.RollbackEnded(target="db/primary", rollback_deployment_id="d-BACK", status="Succeeded")
    story.tell(back, ended, ev.TargetFinished(target="db/primary", state=S.ROLLED_BACK), after=3.0)
    assert len(ci_logs.gitlab(stream.getvalue()).blocks) == 2
    assert "db_primary.2" in stream.getvalue()


def test_what_people_are_asked_for_is_told_at_once() -> None:
    story, stream, _ = told("github")
    story.begin().tell(gev.GateWaiting(gate="cab", target="db/primary", phase="before", kind="approval"))
    assert "orchestrator approve run-1 cab" in stream.getvalue()
    story.tell(gev.GateWaiting(gate="slo", target=None, phase="after", kind="prometheus"))
    story.tell(gev.GateFailed(gate="slo", target=None, phase="after", reason="0.2"))
    assert ci_logs.github(stream.getvalue().splitlines()).errors == [("shop-1 failed", "gate slo failed: 0.2")]


def test_a_log_that_nobody_reads_ends_no_release() -> None:
    story, stream, _ = told("github", FOUR)
    stream.close()
    two_at_once(story)
    assert story.state.is_finished


# --- orders ----------------------------------------------------------------------------------------------------------

ORDERS = (
    "::set-output name=a::b",
    "  ::error::forged",
    "::stop-commands::x",
    "::endgroup::",
    "x ##[add-path]/tmp/evil",
    "##[endgroup]",
    "##vso[task.setvariable variable=a]b",
    "##teamcity[buildStatus status='SUCCESS']",
    "\n::add-mask::a\n::debug::b",
    "\u2003::warning::wide space",
    "\x1b[0Ksection_end:1:db_g.1\r\x1b[0K",
    "%0A::error::unescaped",
    "]]></system-out></testcase><testcase name='forged'/>",
    "</pre></details><script>alert(1)</script>",
    "| cell | `code` **bold** [link](http://x) @acme/team #1 <b>",
)


def play(story: Story, order: str) -> None:
    """A run in which everything that comes from outside is the order."""
    story.begin().start("db/primary").tell(ev.WarningRaised(message=order, target="db/primary"))
    story.tell(ev.TargetBlocked(target="api/fleet", reason=order))
    failure = dict.fromkeys(("instance", "lifecycle_event", "script", "error_code", "message", "log_tail"), order)
    story.tell(
        gev.HookStarted(target="db/primary", when="before", number=0, command=(order,)),
        gev.HookFinished(target="db/primary", when="before", number=0, ok=False, reason=order, output=order),
        ev.DeploymentEnded(
            target="db/primary", deployment_id=d("db/primary"), status=order, error_code=order, error_message=order
        ),
        ev.DeploymentDiagnosed(
            target="db/primary", deployment_id=d("db/primary"), instances=({**failure, "status": "Failed"},), failed=1
        ),
        ev.TargetFinished(target="db/primary", state=S.FAILED, reason=order),
        ev.TargetFinished(target="web/fleet", state=S.SKIPPED, reason=order),
        ev.FailureLimitReached(reason=order),
        ev.RunDetached(reason=order, running=()),
    )


@pytest.mark.parametrize("order", ORDERS)
def test_nothing_that_passes_through_a_log_is_obeyed(order: str) -> None:
    story, stream, sink = told("github", release=order)
    play(story, order)
    sink.finish()
    log = ci_logs.github(stream.getvalue().split("\n"))
    assert len(log.errors) == 1
    assert list(log.blocks)[1:] == ["api/fleet left blocked"]
    story, stream, sink = told("gitlab")
    play(story, order)
    sink.finish()
    assert len(ci_logs.gitlab(stream.getvalue()).blocks) == 2
    assert not re.search(r"##\w*\[", stream.getvalue())


@given(st.text(st.sampled_from(" :#[]avso\n\u2003"), max_size=30))
def test_tame_text_gives_no_orders_and_stays_tame(text: str) -> None:
    tamed = tame(text)
    ci_logs.github(tamed.split("\n"))
    assert tame(tamed) == tamed
    assert tamed.replace(" ", "") == text.replace(" ", "") or text.lstrip()[:1] in {"[", "{"}


def test_json_means_what_it_meant() -> None:
    value = {"log": "a ##[error]b ##vso[c]", "list": ["::x::", "##"]}
    text = tame(json.dumps(value, indent=2))
    assert "##[" not in text
    assert json.loads(text) == value


def test_a_tamed_stream_obeys_only_us() -> None:
    raw = io.BytesIO()
    stream = Tamed(raw, encoding="utf-8", newline="\n")
    stream.write("::error::theirs\n")
    stream.obeyed("::endgroup::\n")
    stream.flush()
    assert raw.getvalue() == b": :error::theirs\n::endgroup::\n"


@pytest.mark.parametrize(
    ("env", "dialect"),
    [
        ({}, None),
        ({"CI": "false"}, None),
        ({"CI": "true"}, "plain"),
        ({"JENKINS_URL": "http://j"}, "plain"),
        ({"CI": "true", "GITHUB_ACTIONS": "true"}, "github"),
        ({"CI": "true", "GITLAB_CI": "true"}, "gitlab"),
        ({"TF_BUILD": "True"}, "azure"),
    ],
)
def test_which_system_it_is(env: dict[str, str], dialect: Dialect | None) -> None:
    assert dialect_of(env) == dialect


@pytest.mark.anyio
async def test_only_ci_gets_blocks() -> None:
    for env, kind in (({}, PlainSink), ({"CI": "1"}, BlockSink)):
        async with open_views(ViewOptions(env=env), stdout=io.StringIO(), stderr=io.StringIO()) as views:
            assert type(views.console) is kind


def test_a_mistake_in_a_file_is_shown_at_its_line_on_github(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [
        Finding(file="a,b/release.yaml", line=3, column=5, place="applications", message="unknown 'x' ##[group]y"),
        Finding(file="release.yaml", line=4, column=1, place="", message="50%\nof it", hint="none"),
    ]
    error = InvalidInputError(findings)
    assert explain(error, env={"GITHUB_ACTIONS": "true"}) is ExitCode.USAGE
    assert capsys.readouterr().err == (
        "::error file=a%2Cb/release.yaml,line=3,col=5::a,b/release.yaml:3:5: applications: unknown 'x' # #[group]y\n"
        "::error file=release.yaml,line=4,col=1::release.yaml:4:1: 50%25%0Aof it (none)\n"
        "2 errors; nothing was touched\n"
    )
    explain(error, env={"GITLAB_CI": "true"})
    assert "\na,b/release.yaml:3:5: applications: unknown" in "\n" + capsys.readouterr().err


# --- JUnit -----------------------------------------------------------------------------------------------------------

SUITE_NEEDS = {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"}
ORDER_IN_SUITE = ["properties", "testcase"]
ORDER_IN_CASE = ["skipped", "error", "failure", "system-out"]
NUMBER = re.compile(r"\d+\.\d{3}")


def check_junit(text: str) -> ET.Element:
    """What the schemas of Jenkins and Ant have in common: names, required attributes, order, types, totals."""
    root = ET.fromstring(text.encode("utf-8"))  # noqa: S314 - our own
    assert root.tag == "testsuites"
    (suite,) = root
    assert suite.tag == "testsuite"
    assert set(suite.attrib) == SUITE_NEEDS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
    assert [tag for tag in ORDER_IN_SUITE for each in suite if each.tag == tag] == [each.tag for each in suite]
    assert suite[0].tag == "properties"
    assert all(set(each.attrib) == {"name", "value"} and len(each) == 0 for each in suite[0])
    cases = suite.findall("testcase")
    for case in cases:
        assert set(case.attrib) == {"name", "classname", "time"}
        assert case.attrib["name"]
        assert NUMBER.fullmatch(case.attrib["time"])
        tags = [each.tag for each in case]
        assert tags == [tag for tag in ORDER_IN_CASE if tag in tags]
        assert len({"skipped", "error", "failure"} & set(tags)) <= 1
        for each in case:
            wanted = {"skipped": {"message"}, "system-out": set[str]()}.get(each.tag, {"message", "type"})
            assert set(each.attrib) == wanted
            assert len(each) == 0
    for holder in (root, suite):
        assert NUMBER.fullmatch(holder.attrib["time"])
        assert holder.attrib["tests"] == str(len(cases))
        for kind in ("failure", "error"):
            assert holder.attrib[f"{kind}s"] == str(sum(case.find(kind) is not None for case in cases))
    assert suite.attrib["skipped"] == str(sum(case.find("skipped") is not None for case in cases))
    return root


def cases_of(root: ET.Element) -> dict[str, tuple[str, str]]:
    """What became of each case, and the message."""
    found = {}
    for case in root.iter("testcase"):
        became = next((each for each in case if each.tag in {"skipped", "error", "failure"}), None)
        name = f"{case.attrib['classname']}/{case.attrib['name']}"
        found[name] = ("passed", "") if became is None else (became.tag, became.attrib["message"])
    return found


def test_each_target_is_a_test_case() -> None:
    story = Story(FOUR)
    two_at_once(story)
    root = check_junit(junit(story.state, host="ci"))
    cause = "ValidateService scripts/check.sh on i-0abc: ScriptFailed: exit code 1"
    assert cases_of(root) == {
        "db/g": ("passed", ""),
        "web/g": ("failure", cause),
        "api/g": ("skipped", "blocked by web/g"),
        "jobs/g": ("passed", ""),
    }
    web = next(case for case in root.iter("testcase") if case.attrib["classname"] == "web")
    assert web.attrib["time"] == "7.000"
    output = web.findtext("system-out") or ""
    assert "run run-1" in output
    assert "  | connecting\n  | �[31mrefused�[0m" in output
    outcome = {each.attrib["name"]: each.attrib["value"] for each in root.iter("property")}
    assert outcome == {"run": "run-1", "release": "shop-1", "environment": "staging", "outcome": "failed"}


@pytest.mark.parametrize("hostile", [False, True])
def test_every_state_has_its_place_in_the_report(hostile: bool) -> None:
    state = bigruns.big_state(64, hostile=hostile)
    became = list(cases_of(check_junit(junit(state, host="ci"))).values())
    for target, (kind, _) in zip(state.targets.values(), became, strict=True):
        if target.state.is_good:
            assert kind == "passed"
        elif target.state is S.ERRORED:
            assert kind == "error"
        else:
            assert kind == ("failure" if target.state in FAILURES else "skipped")
    cut_off = list(cases_of(check_junit(junit(state, host="ci", problem="the state can't be written"))).values())
    targets = list(state.targets.values())
    place, running = next((place, each) for place, each in enumerate(targets) if each.state is S.RUNNING)
    message = f"the state can't be written; still running: {running.deployment_id}"
    assert cut_off[place] == ("error", message)


def test_a_run_that_failed_by_its_own_gate_is_no_success() -> None:
    story = Story({"db/g": ()}).begin().start("db/g").succeed("db/g", after=1.0)
    story.tell(
        gev.GateWaiting(gate="slo", target=None, phase="after", kind="prometheus"),
        gev.GateFailed(gate="slo", target=None, phase="after", reason="0.2"),
    )
    became = cases_of(check_junit(junit(story.finish(Outcome.FAILED).state, host="ci")))
    kind, message = became["shop-1/the run itself"]
    assert kind == "failure"
    assert "slo" in message


@pytest.mark.parametrize("order", ORDERS)
def test_the_report_holds_whatever_it_is_given(order: str) -> None:
    story = Story(CHAIN, release=order)
    play(story, order)
    assert len(cases_of(check_junit(junit(story.state, host=order)))) == 3


@given(st.text(max_size=40))
def test_any_character_is_valid_xml(text: str) -> None:
    story = Story({"db/g": ()}, release=text).begin().start("db/g")
    story.tell(ev.TargetFinished(target="db/g", state=S.FAILED, reason=text))
    check_junit(junit(story.state, host=text))


# --- the step's summary ----------------------------------------------------------------------------------------------


class Read(HTMLParser):
    """The tags that a browser would see, and the text in `pre`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.pre = ""
        self._in_pre = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        self._in_pre = tag == "pre"
        assert not attrs

    def handle_endtag(self, tag: str) -> None:
        self._in_pre = self._in_pre and tag != "pre"

    def handle_data(self, data: str) -> None:
        self.pre += data if self._in_pre else ""


def test_the_summary_of_a_step() -> None:
    story = Story(FOUR)
    two_at_once(story)
    text = markdown(story.state)
    lines = text.split("\n")
    assert lines[0] == "### ❌ shop&#45;1 to staging: failed"
    assert "1 failed, 1 succeeded, 1 unchanged, 1 skipped, 10s" in lines[2]
    rows = [line for line in lines if line.startswith("| <code>")]
    assert [row.split(" | ")[1] for row in rows] == ["failed", "succeeded", "unchanged", "skipped"]
    assert "| connecting" in Read(text).pre
    assert Read(text).tags == {"code", "details", "summary", "pre"}
    assert "Goes on with" not in text


def test_the_summary_says_how_to_go_on() -> None:
    story = Story(CHAIN).begin()
    story.tell(gev.RunBlocked(reason="waits for people", gates=("cab",)))
    text = markdown(story.state)
    assert "Awaits approval: <code>orchestrator approve run&#45;1 cab</code>" in text
    assert "Goes on with: <code>orchestrator resume run&#45;1</code>" in text


@pytest.mark.parametrize("order", ORDERS)
def test_no_markup_gets_into_the_summary(order: str) -> None:
    story = Story(CHAIN, release=order)
    play(story, order)
    text = markdown(story.state, problem=order)
    assert Read(text).tags <= {"code", "details", "summary", "pre"}
    ours = re.sub(r"</?(code|details|summary|pre)>|&#\d+;", "", text)
    for line in ours.split("\n"):
        assert not set(line.removeprefix("###").replace("--:", "").replace("---", "")) & set("`*_[]()<>!~@#\\")
        assert line.count("|") in {0, 6}


def test_the_summary_keeps_to_githubs_limit(tmp_path: Path) -> None:
    names = [f"application-{number}/deployment-group" for number in range(3000)]
    story = Story(dict.fromkeys(names, ())).begin()
    for name in names[:1500]:
        story.start(name).fail(name, message="x" * 2000)
    path = tmp_path / "summary"
    path.write_text("of another command\n" * 1000)
    append_summary(path, story.state)
    text = path.read_text(encoding="utf-8")
    assert LIMIT * 0.8 < len(text.encode()) <= LIMIT
    assert text.startswith("of another command\n")
    assert re.search(r"\d+ more failures: see the log", text)
    assert text.count("<details>") == text.count("</details>") > 100
    path.write_text("x" * (LIMIT - 100))
    append_summary(path, story.state)
    assert len(path.read_bytes()) == LIMIT - 100


# --- files at the end ------------------------------------------------------------------------------------------------


def endings(folder: Path, **env: str) -> Endings:
    given = {"result": folder / "result.json", "junit": folder / "junit.xml"}
    return endings_of(given, env, sys.stderr)


def test_the_files_are_written_together(tmp_path: Path) -> None:
    story = Story(FOUR)
    two_at_once(story)
    summary = tmp_path / "summary"
    found = endings(tmp_path, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert found.write(story.state)
    assert json.loads((tmp_path / "result.json").read_text())["outcome"] == "failed"
    check_junit((tmp_path / "junit.xml").read_text(encoding="utf-8"))
    assert "❌" in summary.read_text(encoding="utf-8")
    assert {each.name for each in tmp_path.iterdir()} == {"result.json", "junit.xml", "summary"}


def test_a_summary_that_cannot_be_written_fails_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = endings(tmp_path, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(tmp_path / "no" / "where"))
    assert found.write(Story(CHAIN).begin().state)
    assert "warning: GITHUB_STEP_SUMMARY can't be written" in capsys.readouterr().err
    assert endings(tmp_path, GITHUB_STEP_SUMMARY="x").step_summary is None


def test_a_report_that_cannot_be_written_is_found_out_before_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="--junit: can't write"):
        endings_of({"result": None, "junit": tmp_path}, {}, sys.stderr)
    found = Endings(stderr=sys.stderr, junit=Path("/dev/full"))
    assert not found.write(RunState(run="r"))
    assert "error: --junit: can't write /dev/full" in capsys.readouterr().err
