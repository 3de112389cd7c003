"""JSON lines, the choice of the output, and text that is safe to print."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import ExitCode, UsageError
from orchestrator.core.events import Record, WarningRaised, record_from_dict
from orchestrator.core.state import RunState
from orchestrator.sinks.jsonlines import JsonLinesSink, open_events
from orchestrator.sinks.output import Output, Wanted, choose_output
from orchestrator.wording.text import age, clean, duration, listing, one_line, size


def record(seq: int = 1, message: str = "hello") -> Record:
    return Record(seq, 1000.0, "run-1", WarningRaised(message=message))


# --- JSON lines ------------------------------------------------------------------------------------------------------


def test_each_event_is_a_line_at_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("of an earlier run\n")
    complaints: list[str] = []
    with open_events(path, complain=complaints.append) as sink:
        sink.handle(record(1, "a\nb\u2028"), RunState())
        sink.handle(record(2), RunState())
        lines = path.read_text(encoding="ascii").splitlines()
    assert [record_from_dict(json.loads(line)) for line in lines] == [record(1, "a\nb\u2028"), record(2)]
    assert complaints == []


def test_a_file_that_cannot_be_opened_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--events: can't write") as caught, open_events(tmp_path, complain=print):
        pass
    assert caught.value.exit_code is ExitCode.USAGE
    with pytest.raises(UsageError, match="No such file"), open_events(tmp_path / "no" / "where", complain=print):
        pass


def test_a_full_disk_is_complained_about_once() -> None:
    complaints: list[str] = []
    with open_events(Path("/dev/full"), complain=complaints.append) as sink:
        for seq in range(1, 10):
            sink.handle(record(seq), RunState())
    assert complaints == ["warning: /dev/full can't be written any more; the release goes on without it"]


def test_a_pipe_that_is_closed_is_complained_about_once() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    complaints: list[str] = []
    with os.fdopen(writer, "w") as stream:
        sink = JsonLinesSink(stream, name="stdout", complain=complaints.append)
        for seq in range(1, 10):
            sink.handle(record(seq), RunState())
    assert complaints == ["warning: stdout can't be written any more; the release goes on without it"]


def test_a_closed_stdout_changes_neither_the_exit_code_nor_stderr() -> None:
    script = (
        "import sys\n"
        "from orchestrator.core.events import Record, WarningRaised\n"
        "from orchestrator.core.state import RunState\n"
        "from orchestrator.sinks.jsonlines import JsonLinesSink\n"
        "sink = JsonLinesSink(sys.stdout, name='stdout', complain=lambda line: print(line, file=sys.stderr))\n"
        "for seq in range(1, 100):\n"
        "    sink.handle(Record(seq, 1.0, 'r', WarningRaised(message='x')), RunState())\n"
        "print('the result')\n"
        "sys.exit(8)\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        ended = subprocess.run(
            [sys.executable, "-c", script], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=30
        )
    assert ended.returncode == 8
    assert ended.stderr == "warning: stdout can't be written any more; the release goes on without it\n"


# --- the choice ------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("wanted", "terminal", "environment", "chosen"),
    [
        ("auto", True, {"TERM": "xterm"}, "live"),
        ("auto", True, {}, "live"),
        ("auto", False, {"TERM": "xterm"}, "plain"),
        ("auto", True, {"TERM": "dumb"}, "plain"),
        ("auto", True, {"TERM": "xterm", "CI": "true"}, "plain"),
        ("auto", True, {"TERM": "xterm", "CI": "false"}, "live"),
        ("live", True, {"CI": "1"}, "live"),
        ("live", False, {}, "plain"),
        ("live", True, {"TERM": "dumb"}, "plain"),
        ("plain", True, {}, "plain"),
        ("json", True, {}, "json"),
    ],
)
def test_the_choice_of_output(wanted: Wanted, terminal: bool, environment: dict[str, str], chosen: Output) -> None:
    assert choose_output(wanted, Terminal() if terminal else io.StringIO(), environment) == chosen


def test_a_closed_stream_is_no_terminal() -> None:
    stream = io.StringIO()
    stream.close()
    assert choose_output("auto", stream, {}) == "plain"


# --- text ------------------------------------------------------------------------------------------------------------


@given(st.text())
def test_cleaned_text_steers_no_terminal(text: str) -> None:
    cleaned = clean(text)
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in cleaned.replace("\n", ""))
    assert not set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u2028\u2029") & set(cleaned)
    cleaned.encode("utf-8")  # no halves of surrogate pairs
    assert "\n" not in one_line(text)
    assert len(one_line(text, 10)) <= 10


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0.0s"), (0.44, "0.4s"), (59.9, "59s"), (61, "1m01s"), (3600, "1h00m"), (90061, "1d01h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_small_words() -> None:
    assert [age(2.9), age(-5), age(75)] == ["2s", "0s", "1m15s"]
    assert [size(999), size(1000), size(999_960), size(5_000_000_000_000)] == ["999 B", "1.0 kB", "1.0 MB", "5.0 TB"]
    assert listing(["a", "b", "c"], 2) == "a, b and 1 more"
