"""Errors as output, files that options name, the region of a profile, and graphs."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import click
import pytest

from orchestrator.app.regions import default_region, require_region
from orchestrator.cli.files import check_writable, write_whole
from orchestrator.cli.logs import OneLine, Stderr
from orchestrator.cli.options import Duration, Variable
from orchestrator.cli.process import wants_debug
from orchestrator.cli.show_graph import dot, mermaid
from orchestrator.cli.terminal import explain, unwrap
from orchestrator.core.errors import ExitCode, RefusedError, StateError, UsageError
from orchestrator.core.model import GitHubRevision, Location, Target
from orchestrator.core.state import RunState, TargetRun
from orchestrator.sinks.summary import left_running
from orchestrator.wording.text import short_digests

# --- errors ---------------------------------------------------------------------------------------------------------


def test_an_error_of_ours_is_told_with_its_hint_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    error = StateError("can't write x", hint="make room")
    group = ExceptionGroup("one", [ExceptionGroup("two", [ValueError("cancelled"), error])])
    group.add_note("left running: d-1 (web/g)")
    error.add_note("besides")
    assert explain(group) is ExitCode.INTERNAL
    assert capsys.readouterr().err.splitlines() == [
        "error: can't write x",
        "hint: make room",
        "note: left running: d-1 (web/g)",
        "note: besides",
    ]
    assert unwrap(group)[0] is error


def test_a_surprise_is_one_line_and_debug_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(ValueError("first\nsecond")) is ExitCode.INTERNAL
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == "internal error: ValueError: first second; please report it"
    assert "ORCHESTRATOR_DEBUG=1" in shown[1]
    assert len(shown) == 2
    explain(KeyError("x"), debug=True)
    assert "KeyError: 'x'" in capsys.readouterr().err.splitlines()[0]


def test_an_error_of_the_system_names_the_file_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(FileNotFoundError(2, "No such file or directory", "a/b")) is ExitCode.INTERNAL
    assert capsys.readouterr().err == "error: a/b: No such file or directory\n"
    assert explain(OSError("odd")) is ExitCode.INTERNAL
    assert capsys.readouterr().err == "error: odd\n"


def test_a_folder_that_is_gone_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, gone = Path.cwd(), tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    try:
        gone.rmdir()
        explain(FileNotFoundError(2, "No such file or directory"))
    finally:
        os.chdir(before)
    assert "the current folder is gone" in capsys.readouterr().err


def test_an_error_keeps_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(UsageError("x")) is ExitCode.USAGE
    assert explain(RefusedError("no", operation="HeadObject", code="NoSuchBucket")) is ExitCode.FAILED
    assert "HeadObject: NoSuchBucket: no" in capsys.readouterr().err


def test_logs_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    handler = Stderr(logging.WARNING)
    handler.setFormatter(OneLine("warning: %(message)s"))
    error = (ValueError, ValueError("inside"), None)
    record = logging.LogRecord("x", logging.WARNING, "f", 1, "left %s\nbehind", ("this",), error)
    handler.handle(record)
    assert capsys.readouterr().err == "warning: left this behind\n"


@pytest.mark.parametrize(("value", "wanted"), [("1", True), ("yes", True), ("0", False), ("", False), ("False", False)])
def test_debug_is_a_switch(value: str, wanted: bool) -> None:
    assert wants_debug({"ORCHESTRATOR_DEBUG": value}) is wanted
    assert wants_debug({}) is False


# --- files ----------------------------------------------------------------------------------------------------------


def test_files_are_replaced_whole_and_links_are_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old")
    link.symlink_to(real)
    check_writable(link, "--result")
    write_whole(link, "new ü\n")
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == "new ü\n"
    assert real.stat().st_mode & 0o777 == 0o644
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link.json", "real.json"]


def test_a_device_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    check_writable(Path("/dev/null"), "--result")
    write_whole(Path("/dev/null"), "x")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="No space left"):
        write_whole(Path("/dev/full"), "x")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_said_before(tmp_path: Path) -> None:
    check_writable(None, "--result")
    (tmp_path / "file").write_text("x")
    for path, says in ((tmp_path, "it is a folder"), (tmp_path / "a" / "b", "there is no folder"),
                       (tmp_path / "file" / "b", "there is no folder")):  # fmt: skip
        with pytest.raises(UsageError, match=says) as found:
            check_writable(path, "--result")
        assert found.value.message.startswith("--result: can't write ")


# --- regions --------------------------------------------------------------------------------------------------------

CONFIG = """
[default]
region = eu-north-1
s3 =
  max_concurrent_requests = 10
[profile ci]
region=us-west-2
[profile empty]
output = json
"""


@pytest.mark.parametrize(
    ("env", "region"),
    [
        ({}, "eu-north-1"),
        ({"AWS_PROFILE": "ci"}, "us-west-2"),
        ({"AWS_DEFAULT_PROFILE": "ci"}, "us-west-2"),
        ({"AWS_PROFILE": "empty"}, None),
        ({"AWS_PROFILE": "missing"}, None),
        ({"AWS_DEFAULT_REGION": "a", "AWS_PROFILE": "ci"}, "a"),
        ({"AWS_REGION": "b", "AWS_DEFAULT_REGION": "a"}, "b"),
        ({"AWS_REGION": "", "AWS_PROFILE": "ci"}, "us-west-2"),
    ],
)
def test_the_region_is_the_variables_or_the_profiles(tmp_path: Path, env: dict[str, str], region: str | None) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(CONFIG)
    assert default_region({"HOME": str(tmp_path), **env}) == region
    elsewhere = {"AWS_CONFIG_FILE": "~/.aws/config", "HOME": str(tmp_path), **env}
    assert default_region(elsewhere) == region


@pytest.mark.parametrize("content", [None, "nonsense", "[default\nregion=x", "region = x\n", "\xff"])
def test_a_profile_that_cannot_be_read_is_the_sdks_to_complain_about(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    assert default_region({"AWS_CONFIG_FILE": str(path)}) is None
    with pytest.raises(UsageError, match="no region"):
        require_region(None)


# --- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("90s", 90), ("1h30m", 5400), ("1.5s", 1.5)])
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "0s", "-1s", "1 h", "soon", "1h-", "1d", "９s９"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


def test_variables() -> None:
    assert Variable().convert("a=b=c", None, None) == ("a", "b=c")
    assert Variable().convert("a=", None, None) == ("a", "")
    with pytest.raises(click.BadParameter):
        Variable().convert("=b", None, None)


# --- graphs ---------------------------------------------------------------------------------------------------------


def target(name: str, needs: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> Target:
    application, group = name.split("/")
    return Target(
        id=name,
        application=application,
        deployment_group=group,
        application_name=application,
        deployment_group_name=group,
        location=Location(region="eu-west-1"),
        source=GitHubRevision(repository="a/b", commit_id="c"),
        needs=needs,
        after=after,
    )


ODD = [
    target("db/primary"),
    target('we"b/a\\b', needs=("db/primary",)),
    target("api/<fleet>&", after=('we"b/a\\b', "not/chosen")),
]
TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|->|[{}\[\];=]|\w+)')


def dot_edges(text: str) -> list[tuple[str, str, str]]:
    """A small reading of the dot language: (from, to, style) of each edge; raises for what isn't of it."""
    tokens: list[str] = []
    place = 0
    while text[place:].strip():
        found = TOKEN.match(text, place)
        if found is None:
            raise ValueError(text[place : place + 40])
        tokens.append(found[1])
        place = found.end()
    assert tokens.count("{") == tokens.count("}")
    edges = []
    for number, token in enumerate(tokens):
        if token == "->":
            style = tokens[number + 4] if tokens[number + 2] == "[" else ""
            edges.append((plain(tokens[number - 1]), plain(tokens[number + 1]), tokens[number + 5] if style else ""))
    return edges


def plain(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1])


def test_dot_is_dot_whatever_the_names_are() -> None:
    assert dot_edges(dot(ODD)) == [
        ("db/primary", 'we"b/a\\b', ""),
        ('we"b/a\\b', "api/<fleet>&", "dashed"),
    ]
    assert dot([]).startswith("digraph release {")


def test_mermaid_escapes_names() -> None:
    lines = mermaid(ODD).splitlines()
    assert '    t1["a\\b"]' in lines
    assert '  subgraph a1["we&quot;b"]' in lines
    assert '    t2["&lt;fleet>&amp;"]' in lines
    assert lines[-2:] == ["  t0 --> t1", "  t1 -.-> t2"]


def test_what_runs_on_is_followed_region_by_region() -> None:
    def running(region: str, deployment: str) -> TargetRun:
        return TargetRun(
            id=f"{region}/g", application=region, deployment_group="g", region=region, deployment_id=deployment
        )

    one = RunState(targets={"a": running("a", "d-1")})
    assert left_running(one) == ["left running: d-1 (a/g)", "follow with: orchestrator wait d-1"]
    two = RunState(targets={"a": running("a", "d-1"), "b": running("b", "d-2"), "c": running("a", "d-3")})
    assert left_running(two)[1:] == [
        "follow with: orchestrator wait --region a d-1 d-3",
        "follow with: orchestrator wait --region b d-2",
    ]
    assert left_running(two, follow=None) == left_running(two)[:1]


def test_digests_are_short_for_people() -> None:
    digest = "0123456789abcdef" * 4
    assert short_digests(f"s3://b/{digest}.tgz sha256:{digest}") == "s3://b/0123456789ab….tgz sha256:0123456789ab…"
    assert short_digests("s3://b/deadbeef/1.tgz") == "s3://b/deadbeef/1.tgz"
