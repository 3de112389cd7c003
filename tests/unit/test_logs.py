"""Logs: what stands in each line, that calls find their targets, and that secrets don't get in, however they try."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import bigruns
import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import CHAIN, Story, d

from orchestrator.aws import calllog
from orchestrator.aws.calllog import CallEnd, log_call
from orchestrator.cli import logs
from orchestrator.cli.logformat import Correlation, JsonFormat, LogFormat, TextFormat
from orchestrator.cli.logs import LogFile, LogOptions
from orchestrator.cli.main import _to_the_front, cli
from orchestrator.core.errors import CallError, RefusedError, UsageError
from orchestrator.core.model import Location
from orchestrator.core.scrub import HIDDEN, Scrubber
from orchestrator.core.state import RunState
from orchestrator.sinks import eventlog
from orchestrator.sinks.eventlog import EventLog

HERE = Location(region="eu-west-1")


class Lines(logging.Handler):
    """Keeps what would be written."""

    def __init__(self, format_: LogFormat, level: int = logging.DEBUG) -> None:
        super().__init__()
        self.setFormatter(format_)
        self.addFilter(Correlation(level))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def listen() -> Iterator[Any]:
    """`listen(format, level)`: a handler that hears what the product logs, until the end of the test."""
    root = logging.getLogger("orchestrator")
    before = (root.level, root.propagate)
    root.setLevel(logging.DEBUG)
    root.propagate = False
    handlers: list[logging.Handler] = []

    def hear(format_: LogFormat | None = None, level: int = logging.DEBUG) -> Lines:
        handler = Lines(format_ or JsonFormat(Scrubber({})), level)
        handlers.append(handler)
        root.addHandler(handler)
        return handler

    yield hear
    for handler in handlers:
        root.removeHandler(handler)
    root.setLevel(before[0])
    root.propagate = before[1]


def call(operation: str, parameters: Mapping[str, Any], problem: CallError | None = None, request: str = "r-1") -> None:
    metadata = {} if problem else {"RequestId": request, "HTTPStatusCode": 200}
    end = CallEnd(outcome="refused" if problem else "ok", seconds=0.0421, metadata=metadata, problem=problem)
    log_call("codedeploy", HERE, operation, parameters, end)


# --- lines -----------------------------------------------------------------------------------------------------------


def test_a_call_says_what_was_called_how_it_ended_and_by_which_request(listen: Any) -> None:
    heard = listen()
    call("GetDeployment", {"deploymentId": "d-1"}, request="0a1b")
    call("BatchGetDeployments", {"deploymentIds": ["d-1", "d-2"]})
    (first, second) = heard.records
    assert first.pop("ts").endswith("Z")
    assert first == {
        "level": "debug",
        "logger": "orchestrator.aws.calls",
        "message": "codedeploy GetDeployment: ok in 0.042 s",
        "run": None,
        "target": None,
        "service": "codedeploy",
        "operation": "GetDeployment",
        "outcome": "ok",
        "seconds": 0.0421,
        "region": "eu-west-1",
        "request_id": "0a1b",
        "status": 200,
        "deployment_id": "d-1",
    }
    assert second["deployments"] == 2
    error = RefusedError("no", operation="CreateDeployment", code="RoleRequired", request_id="0c")
    call("CreateDeployment", {"applicationName": "a", "revision": {"x": 1}}, error)
    last = heard.records[-1]
    assert {last[name] for name in ("level", "outcome", "request_id", "code", "error")} == {
        "info", "refused", "0c", "RoleRequired", "no",
    }  # fmt: skip
    assert "revision" not in last


def test_calls_and_events_are_one_story_of_a_run_and_its_targets(listen: Any) -> None:
    heard = listen()
    story = Story(CHAIN)
    story.sinks.append(EventLog(logging.getLogger(eventlog.LOGGER)))
    call("BatchGetDeploymentGroups", {"applicationName": "db"})
    story.begin().start("db/primary")
    call("CreateDeployment", {"applicationName": "db", "deploymentGroupName": "primary"})
    call("GetDeployment", {"deploymentId": d("db/primary")})
    call("GetDeployment", {"deploymentId": "d-OTHER"})
    story.progress("db/primary", Succeeded=1).fail("db/primary")
    about = [(each["run"], each["target"], each.get("operation") or each.get("event")) for each in heard.records]
    assert about == [
        (None, None, "BatchGetDeploymentGroups"),
        ("run-1", None, "run_started"),
        ("run-1", "db/primary", "deployment_intended"),
        ("run-1", "db/primary", "deployment_started"),
        ("run-1", "db/primary", "CreateDeployment"),
        ("run-1", "db/primary", "GetDeployment"),
        ("run-1", None, "GetDeployment"),
        ("run-1", "db/primary", "deployment_progressed"),
        ("run-1", "db/primary", "deployment_ended"),
        ("run-1", "db/primary", "deployment_diagnosed"),
        ("run-1", "db/primary", "target_finished"),
    ]
    levels = {each.get("event"): each["level"] for each in heard.records}
    assert levels["deployment_progressed"] == "debug"
    assert levels["deployment_diagnosed"] == "warning"
    assert levels["target_finished"] == "error"


def test_what_is_below_the_level_still_tells_which_run_it_is(listen: Any) -> None:
    heard = listen(level=logging.WARNING)
    story = Story(CHAIN)
    story.sinks.append(EventLog(logging.getLogger(eventlog.LOGGER)))
    story.begin().start("db/primary")
    logging.getLogger("orchestrator.aws.cleanup").warning("left behind")
    (only,) = heard.records
    assert (only["run"], only["message"]) == ("run-1", "left behind")


def test_as_text_a_record_is_a_line_too(listen: Any) -> None:
    heard = listen(TextFormat(Scrubber({})))
    call("GetDeployment", {"deploymentId": "d 1\n"})
    (line,) = heard.lines
    assert line[24:] == (
        " DEBUG   orchestrator.aws.calls: codedeploy GetDeployment: ok in 0.042 s service=codedeploy "
        "operation=GetDeployment outcome=ok seconds=0.0421 region=eu-west-1 request_id=r-1 status=200 "
        'deployment_id="d 1\\n"'
    )


@pytest.mark.parametrize("format_", [JsonFormat, TextFormat])
def test_whatever_an_event_holds_its_record_is_one_safe_line(listen: Any, format_: type[LogFormat]) -> None:
    heard = listen(format_(Scrubber({})))
    log = EventLog(logging.getLogger(eventlog.LOGGER))
    state = RunState()
    for record in bigruns.big_run(32, hostile=True):
        state.apply(record)
        log.handle(record, state)
    assert len(heard.lines) > 100
    assert all(line.replace("\ufffe", "").isprintable() for line in heard.lines)


def test_an_error_has_its_traceback_in_its_line(listen: Any) -> None:
    heard = listen()
    error = ValueError("password=hunter22")
    logging.getLogger("orchestrator").error("odd", exc_info=error)
    (only,) = heard.records
    assert "ValueError: password=***" in only["traceback"]
    assert "hunter22" not in heard.lines[0]


def test_the_names_of_the_loggers_are_the_same_everywhere() -> None:
    assert (logs.EVENTS, logs.CALLS) == (eventlog.LOGGER, calllog.LOGGER)


# --- secrets ---------------------------------------------------------------------------------------------------------

KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEBYaDKexampletoken/+=="
ENV = {
    "AWS_SECRET_ACCESS_KEY": KEY,
    "AWS_SESSION_TOKEN": TOKEN,
    "ORCHESTRATOR_PROMETHEUS_TOKEN": "prom-5f2c9a",
    "DB_PASSWORD": "correct horse battery",
    "HOME": "/home/somebody",
    "API_KEY": "short",
    "HOOK_SIGNING_KEY": "0f9e8d7c6b5a",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/aws-token",
}
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"

CREDENTIALS = '{"Credentials": {"SecretAccessKey": "abcDEF123456abcDEF123456", "SessionToken": "IQoJb3JpZ2lu"}}'

LEAKS = (
    # (text, what must not be seen of it)
    (f"request failed with key {KEY}", KEY),
    (f"b'{TOKEN}'", TOKEN),
    ("prometheus said prom-5f2c9a is wrong", "prom-5f2c9a"),
    ("psql: correct horse battery refused", "correct horse"),
    ("signed with 0f9e8d7c6b5a", "0f9e8d7c6b5a"),
    ("Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261126/eu-west-1/s3/aws4_request, "
     "SignedHeaders=host, Signature=fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024", "fe5f80f7"),
    ("{'Authorization': 'Bearer abcdef0123456789'}", "abcdef0123456789"),
    ('{"authorization": "Basic dXNlcjpwYXNzd29yZA=="}', "dXNlcjpwYXNz"),
    ("sent header Bearer abcdef0123456789", "abcdef0123456789"),
    ("x-amz-security-token: IQoJb3JpZ2luX2VjEXAMPLE", "IQoJb3JpZ2lu"),
    ("Set-Cookie: session=0123456789abcdef; Path=/", "0123456789abcdef"),
    ("cloning https://user:hunter22@github.com/acme/web.git", "hunter22"),
    ("cloning https://ghp_0123456789abcdefghij@github.com/acme", "ghp_0123456789"),
    ("GET https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIAIOSFODNN7EXAMPLE%2F20261126"
     "&X-Amz-Security-Token=IQoJb3Jp&X-Amz-Signature=fe5f80f77d5fa3be&X-Amz-Expires=900", "fe5f80f77d5fa3be"),
    ("https://b.s3.amazonaws.com/k?AWSAccessKeyId=AKIDEXAMPLE&Signature=vjbyPxybdZaNmGa%2ByT27", "vjbyPxybdZa"),
    ("https://hooks.example/x?token=0123abc&ok=1", "0123abc"),
    ("https://hooks.slack.com/services/T000/B000/XXXXXXXX", "T000/B000"),
    ("access key AKIAIOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"),
    ("temporary ASIAIOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"),
    ("aws_secret_access_key = abcDEF123456abcDEF123456abcDEF123456abcd", "abcDEF123456"),
    (CREDENTIALS, "abcDEF123456"),
    (CREDENTIALS, "IQoJb3JpZ2lu"),
    ("<SecretAccessKey>abcDEF123456</SecretAccessKey>", "abcDEF123456"),
    ("password: hunter22", "hunter22"),
    ("--password=hunter22", "hunter22"),
    ("client_secret=hunter22&x=1", "hunter22"),
    (f"token {JWT}", JWT[:30]),
    ("xoxb-123456789012-abcdefghijkl", "123456789012"),
    ("glpat-abcdefghij0123456789", "abcdefghij01"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----", "MIIEpAIB"),
    ("-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA", "MIIEpAIB"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "secret"), LEAKS)
def test_secrets_do_not_get_into_a_log(listen: Any, text: str, secret: str) -> None:
    scrubber = Scrubber(ENV)
    handlers = [listen(JsonFormat(scrubber)), listen(TextFormat(scrubber))]
    log = logging.getLogger("orchestrator.x")
    log.warning("%s", text)
    log.warning("fields", extra={"fields": {"error": text, "nested": {"list": [text, {text: 1}]}}})
    log.error("failed", exc_info=RuntimeError(text))
    call("GetDeployment", {"deploymentId": "d-1"}, RefusedError(text, operation="GetDeployment", code="X"))
    for handler in handlers:
        assert len(handler.lines) == 4
        written = "\n".join(handler.lines)
        assert secret not in written
        assert HIDDEN in written


@pytest.mark.parametrize(
    "text",
    [
        "run 20261126-011736-fd061c: shop-1.8.0 to staging, 5 targets",
        "s3://releases/bundles/app/0123456789abcdef0123456789abcdef01234567.tgz",
        "commit 8d3f0b6a8d3f0b6a8d3f0b6a8d3f0b6a8d3f0b6a of acme/web",
        "arn:aws:iam::111111111111:role/deploy is not authorized to perform: s3:PutObject",
        "https://b.s3.amazonaws.com/key?versionId=abc123&partNumber=2",
        "d-ABCDEF123 failed: HEALTH_CONSTRAINTS: too many instances failed",
        "the next page's token was invalid",
        "can't read /var/run/aws-token",
        "basic checks passed; a bearer of news",
    ],
)
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert Scrubber(ENV).text(text) == text


def test_a_field_with_the_name_of_a_secret_is_hidden_whole() -> None:
    value = {"password": 12345678, "sessionToken": ["a"], "headers": {"Cookie": "a=b"}, "key": "bundles/x", "ok": None}
    assert Scrubber({}).value(value) == {
        "password": HIDDEN, "sessionToken": HIDDEN, "headers": {"Cookie": HIDDEN}, "key": "bundles/x", "ok": None,
    }  # fmt: skip


@given(
    st.text(st.characters(categories=["L", "N"]), min_size=8, max_size=40), st.text(max_size=30), st.text(max_size=30)
)
def test_what_the_process_was_given_as_a_secret_is_nowhere(secret: str, before: str, after: str) -> None:
    scrubbed = Scrubber({"MY_TOKEN": secret}).text(before + secret + after)
    assert secret not in scrubbed or secret in HIDDEN


def test_scrubbing_takes_no_time_that_grows_with_the_square() -> None:
    import time  # noqa: PLC0415 - CPU time is what it is about

    for piece in ("eyJ", "password=", "://a:", "-----BEGIN PRIVATE KEY-----", "Authorization: ", "a" * 10, "?token="):
        text = piece * (200_000 // len(piece))
        begun = time.process_time()
        Scrubber(ENV).text(text)
        assert time.process_time() - begun < 2.0, piece


# --- where it goes ---------------------------------------------------------------------------------------------------


def test_a_log_file_is_appended_to_and_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for text in ("one", "two\ud800"):
        handler = LogFile(path)
        handler.setFormatter(logging.Formatter("%(message)s"))
        handler.handle(logging.LogRecord("x", logging.INFO, "f", 1, text, (), None))
        handler.close()
    assert path.read_text().splitlines() == ["one", "two\\ud800"]
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="--log-file: can't write"):
        LogFile(tmp_path)


def test_a_full_disk_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    handler = LogFile(Path("/dev/full"))
    for _ in range(3):
        handler.handle(logging.LogRecord("x", logging.INFO, "f", 1, "text", (), None))
    assert capsys.readouterr().err == "warning: /dev/full can't be written any more; it goes on without a log\n"
    handler.close()


@pytest.mark.parametrize(
    ("given_", "parsed"),
    [
        (["apply", "x", "--log-file", "f", "--yes"], ["--log-file", "f", "apply", "x", "--yes"]),
        (["apply", "--log-level=debug", "x"], ["--log-level=debug", "apply", "x"]),
        (["--log-format", "json", "runs"], ["--log-format", "json", "runs"]),
        (["wait", "--", "--log-file", "f"], ["wait", "--", "--log-file", "f"]),
    ],
)
def test_options_for_the_log_may_stand_anywhere(given_: list[str], parsed: list[str]) -> None:
    assert _to_the_front(given_) == parsed


def test_an_option_for_the_log_without_its_value_is_told() -> None:
    with pytest.raises(click.UsageError, match="'--log-file' requires an argument"):
        cli.make_context("orchestrator", ["runs", "--log-file"])


def test_a_log_is_wanted_by_any_of_its_options() -> None:
    assert not LogOptions().are_wanted
    assert LogOptions(level="info").are_wanted
    assert LogOptions(file=Path("x")).are_wanted


SCRIPT = """
import logging, sys
from orchestrator.cli import main
try:
    sys.argv = ["orchestrator", *sys.argv[1:]]
    main.main()
except SystemExit as end:
    code = end.code
print("stdout stays clean", flush=True)
sys.exit(code)
"""


def test_the_command_logs_to_stderr_and_never_to_stdout(tmp_path: Path) -> None:
    manifest = tmp_path / "release.yaml"
    secret = base64.b64encode(b"a secret of this test").decode()
    manifest.write_text(f"version: 1\nrelease: {secret}\nnonsense: 1\n")
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, "validate", str(manifest), "--log-format", "json", "--log-level", "debug"],
        env={"PATH": "", "MY_SECRET": secret},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2
    assert ended.stdout == "stdout stays clean\n"
    found = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    assert found[0]["message"].startswith("orchestrator ")
    assert found[-1]["message"] == "exit code 2"
    assert any("traceback" in each for each in found)
    assert all(secret not in json.dumps(each) for each in found)
