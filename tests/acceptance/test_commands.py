"""Every other command as a process: what a new user tries, and what goes wrong around it."""

from __future__ import annotations

import json
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest
from rig import Command, MakeRig, github, interrupt, wait_until

from orchestrator.sandbox.options import Faults, stuck

CONFIGS = Path(__file__).parents[2] / "configs"
BOTH = "environments: {staging: {region: eu-west-1}, prod: {region: us-east-1}}\n"


# --- validate, graph, schema: offline -------------------------------------------------------------------------------


def test_validate_checks_all_environments_and_bundles(command: Command) -> None:
    command.bundle()
    shop = "version: 1\nrelease: shop\n" + BOTH
    shop += (
        "defaults: {bucket: releases}\napplications:\n  web: {revision: {source: ./app}, deployment_groups: [a, b]}\n"
    )
    command.write(shop)
    fine = command("validate", "release.yaml")
    assert (fine.code, fine.err) == (0, "")
    assert fine.out.splitlines() == [
        "release.yaml: staging: 1 application, 2 deployment groups: ok",
        "release.yaml: prod: 1 application, 2 deployment groups: ok",
    ]
    assert command("validate", "release.yaml", "-e", "prod").out.count("ok") == 1
    verbose = command("validate", "release.yaml", "--verbose")
    assert verbose.out.count("app:\n") == 1  # once, although two environments deploy it
    assert re.search(r"\d+ B  appspec\.yml\n", verbose.out)
    assert " in all, as tgz\n" in verbose.out
    command.write("version: 0.0\nos: linux\nextra: 1\nfiles: []\n", "app/appspec.yml")
    warned = command("validate", "release.yaml")
    assert warned.code == 0
    assert "app/appspec.yml:3:1" in warned.err
    strict = command("validate", "release.yaml", "--strict")
    assert (strict.code, strict.out) == (2, "")
    assert "app/appspec.yml:3:1" in strict.err
    command.write("version: 0.0\nos: linux\nfiles: 7\n", "app/appspec.yml")
    assert command("validate", "release.yaml").code == 2
    assert command("validate", "release.yaml", "--no-bundles").code == 0
    shutil.rmtree(command.folder / "app")
    missing = command("validate", "release.yaml")
    assert missing.code == 2
    assert re.match(r"release\.yaml:\d+:\d+: applications\.web\.revision\.source: .*app", missing.err)


def test_a_manifest_in_another_folder_with_a_name_of_its_own(command: Command) -> None:
    command.bundle("straße/app 1")
    command.write(
        "version: 1\nrelease: r\ndefaults: {bucket: releases}\n"
        "applications:\n  web: {revision: {source: ./app 1}, deployment_groups: [a]}\n",
        "straße/release ü.yaml",
    )
    for arguments in (["validate"], ["plan", "--sandbox"], ["graph"]):
        ended = command(*arguments, "straße/release ü.yaml")
        assert ended.code == 0, ended.err
    command.environment = {"PYTHONIOENCODING": "latin-1"}  # which has no ellipsis
    ended = command("plan", "straße/release ü.yaml", "--sandbox")
    assert ended.code == 0, ended.err
    assert "?.tgz" in ended.out
    command.environment = {}
    (command.folder / "straße/app 1/appspec.yml").unlink()
    ended = command("validate", "straße/release ü.yaml")
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_graph_draws_the_shop(command: Command) -> None:
    mermaid = command("graph", str(CONFIGS / "shop/release.yaml"), "-e", "staging")
    assert mermaid.code == 0
    assert mermaid.out.startswith("flowchart LR\n")
    for target in ("canary", "orders", "reporting"):
        assert f'["{target}"]' in mermaid.out
    assert " --> " in mermaid.out
    assert " -.-> " in mermaid.out
    dot = command("graph", str(CONFIGS / "shop/release.yaml"), "--format", "dot")
    assert '"shop-api/canary" -> "shop-api/fleet";' in dot.out
    few = command("graph", str(CONFIGS / "shop/release.yaml"), "--select", "shop-db", "--format", "dot")
    assert "shop-api" not in few.out
    if program := shutil.which("dot"):
        drawn = subprocess.run([program, "-Tsvg"], input=dot.out, capture_output=True, text=True, check=True)
        assert "</svg>" in drawn.stdout


def test_schema_is_json_schema(command: Command) -> None:
    ended = command("schema")
    assert ended.code == 0
    assert json.loads(ended.out)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


# --- plan -----------------------------------------------------------------------------------------------------------


def test_a_plan_for_people_and_for_programs(make_rig: MakeRig) -> None:
    run = make_rig(["web/g", "api/g"]).command
    run.bundle()
    run.write(
        "version: 1\nrelease: r\ndefaults: {bucket: releases}\napplications:\n"
        "  api: {revision: {source: ./app}, deployment_groups: [g]}\n"
        "  web: {revision: {source: ./app}, needs: [api], deployment_groups: [g]}\n"
    )
    plan = run("plan", "release.yaml")
    assert (plan.code, run("plan", "release.yaml", "--detailed-exitcode").code) == (0, 7)
    assert plan.out.startswith("release r to default: 2 of 2 targets to deploy\n")
    assert re.search(r"nothing -> s3://releases/api/[0-9a-f]{12}…\.tgz", plan.out)
    assert max(map(len, plan.out.splitlines())) <= 80
    made = json.loads(run("plan", "release.yaml", "--output", "json").out)
    assert [each["target"] for each in made["targets"]] == ["api/g", "web/g"]
    assert {each["action"] for each in made["targets"]} == {"deploy"}
    digest = made["targets"][0]["digest"].removeprefix("sha256:")
    assert len(digest) == 64
    assert digest in made["targets"][0]["new"]
    assert made["targets"][1]["needs"] == ["api/g"]
    assert not (run.folder / ".orchestrator").exists()


# --- the sandbox ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sample", "environment"), [("shop", "staging"), ("shop", "prod"), ("minimal", None)], ids=str)
def test_the_samples_are_rehearsed(command: Command, sample: str, environment: str | None) -> None:
    chosen = [] if environment is None else ["-e", environment]
    manifest = str(CONFIGS / sample / "release.yaml")
    ended = command(
        "apply", manifest, *chosen, "--sandbox", "--time-scale", "0", "--result", "result.json",
        "--poll-interval", "50ms",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert set(command.states().values()) == {"succeeded"}


def test_given_s3_revisions_are_rehearsed_with_stand_ins(command: Command) -> None:
    command.write(
        "version: 1\nrelease: r\napplications:\n"
        '  a: {revision: {s3: {bucket: rel, key: a.zip, version: "x1", etag: "d41d", bundle_type: zip}}, '
        "deployment_groups: [g, h]}\n"
        "  b: {revision: {s3: {bucket: rel, key: b.tar, bundle_type: tar}}, deployment_groups: [g]}\n"
    )
    ended = command("apply", "release.yaml", "--sandbox", "--time-scale", "0", "--result", "result.json")
    assert ended.code == 0, ended.err
    assert command.states() == {"a/g": "succeeded", "a/h": "succeeded", "b/g": "succeeded"}
    warnings = [line for line in ended.err.splitlines() if "stand-in" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("release.yaml:4:")
    assert "of a, b;" in warnings[0]


def test_the_sandbox_prints_its_variables_and_ends_with_ctrl_c(command: Command) -> None:
    command.write(github(["web"], state="./state"))
    with command.start("sandbox", "release.yaml", "--env-file", "sandbox.env", "--time-scale", "0") as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[1].rstrip(";")
        lines = (command.folder / "sandbox.env").read_text()
        assert f"export AWS_ENDPOINT_URL={url}\n" in lines
        assert (command.folder / "sandbox.env").stat().st_mode & 0o077 == 0
        used = command.shell(". ./sandbox.env; $ORCHESTRATOR apply release.yaml && $ORCHESTRATOR runs --state state")
        assert used.code == 0, used.err
        assert used.out.splitlines()[-1].split()[2] == "succeeded"
        port = url.rsplit(":", 1)[1]
        busy = command("sandbox", "--port", port)
        assert (busy.code, busy.out) == (2, "")
        assert f"127.0.0.1:{port}: the port is in use" in busy.err
        interrupt(process)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out == lines
    assert err == "sandbox: ended\n"
    assert command("sandbox", "--env-file", "no/such/file").code == 2
    assert command("sandbox", "--host", "0.0.0.0").code == 2  # noqa: S104 - refused, that is the point


# --- status and runs ------------------------------------------------------------------------------------------------


def test_a_live_run_is_seen_from_outside_and_a_killed_one_has_died(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"], faults=Faults(slow=(stuck("web/g"),)))
    run = rig.command
    assert json.loads(run("runs", "--output", "json").out) == []
    run.write(github(["web"]))
    with run.start("apply", "release.yaml") as process:
        wait_until(lambda: len(rig.deployments()) == 1, "a deployment")
        wait_until(lambda: f"running: {rig.deployments()[0].id}" in run("status").out, "the id in the journal")
        alive = json.loads(run("runs", "--output", "json").out)
        assert [each["state"] for each in alive] == ["running"]
        assert "left running" not in run("status", alive[0]["run"][:12]).out
        interrupt(process, signal.SIGKILL)
    assert json.loads(run("runs", "--output", "json").out)[0]["state"] == "died"
    assert " died " in run("runs").out
    shown = run("status")
    assert f"left running: {rig.deployments()[0].id} (web/g)" in shown.out
    assert json.loads(run("status", "--output", "json").out)["outcome"] == "running"


def test_a_state_folder_that_is_a_file(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    rig.command.write("x", "state")
    rig.command.write(github(["web"]))
    for arguments in (["apply", "release.yaml"], ["runs"], ["status"]):
        ended = rig.command(*arguments, "--state", "state")
        assert ended.code == 2
        assert "state is a file" in ended.err
    assert rig.deployments() == []


# --- metrics --------------------------------------------------------------------------------------------------------


@contextmanager
def pushgateway() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A small server that takes what is pushed: (path, body) each."""
    taken: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            taken.append((self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", taken
        server.shutdown()
        thread.join()


def test_metrics_are_scraped_written_and_pushed_and_hold_no_secret(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"], time_scale=10)
    run = rig.command
    run.bundle()
    run.write(
        "version: 1\nrelease: r\ndefaults: {bucket: releases}\n"
        "applications: {web: {revision: {source: ./app}, deployment_groups: [g]}}\n"
    )
    with pushgateway() as (gateway, taken):
        options = ["--metrics-listen", "127.0.0.1:0", "--metrics-textfile", "m.prom", "--pushgateway", gateway]
        files = ["--events", "events.jsonl", "--result", "result.json"]
        with run.start("apply", "release.yaml", *options, *files) as process:
            assert process.stderr is not None
            first = process.stderr.readline()
            url = re.search(r"metrics at (http://127\.0\.0\.1:\d+/metrics)", first)
            assert url is not None
            wait_until(lambda: len(rig.deployments()) == 1, "a deployment")
            wait_until(lambda: 'orchestrator_targets{state="running"} 1.0' in scrape(url[1]), "a running target")
            out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    text = (run.folder / "m.prom").read_text()
    assert 'orchestrator_run_outcome{outcome="succeeded"} 1.0' in text
    assert 'orchestrator_api_requests_total{operation="CreateDeployment",outcome="ok",service="codedeploy"} 1.0' in text
    assert taken[-1][0].startswith("/metrics/job/orchestrator/")
    assert "orchestrator_last_success_timestamp_seconds" in taken[-1][1]
    journal = "".join(path.read_text() for path in (run.folder / ".orchestrator").rglob("*") if path.is_file())
    written = [(run.folder / name).read_text() for name in ("events.jsonl", "result.json")]
    everything = "\n".join([first, out, err, text, *(body for _, body in taken), journal, *written])
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        assert run.environment[name] not in everything


def scrape(url: str) -> str:
    with urlopen(url, timeout=5) as answer:  # noqa: S310 - our own server
        return str(answer.read().decode())


def test_a_busy_port_and_a_file_that_cannot_be_written_are_said_before_any_call(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    rig.command.write(github(["web"]))
    rig.command.write("x", "folder/file")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for option, value, says in (
            ("--metrics-listen", address, f"can't listen on {address}"),
            ("--metrics-listen", "nonsense", "no port"),
            ("--metrics-textfile", "no/such/m.prom", "there is no folder"),
            ("--metrics-textfile", "folder", "it is a folder"),
            ("--result", "folder", "it is a folder"),
            ("--events", "folder", "folder"),
            ("--pushgateway", "ftp://x", "no URL"),
        ):
            ended = rig.command("apply", "release.yaml", option, value)
            assert ended.code == 2, (option, value, ended)
            assert says in ended.err
    assert rig.endpoint.calls.total() == 0


def test_a_gateway_that_is_not_there_fails_no_release(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    rig.command.write(github(["web"]))
    ended = rig.command("apply", "release.yaml", "--pushgateway", "http://user:pass-word@127.0.0.1:9")
    assert ended.code == 0, ended.err
    assert "the release goes on without these metrics" in ended.err
    assert "pass-word" not in ended.out + ended.err


# --- around the process ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "| true"])
def test_closed_and_broken_streams_change_no_release(make_rig: MakeRig, redirection: str) -> None:
    rig = make_rig(["web/g"])
    rig.command.write(github(["web"]))
    ended = rig.command.shell(f"$ORCHESTRATOR apply release.yaml --result result.json {redirection}")
    assert ended.code == 0, ended.err
    assert rig.command.states() == {"web/g": "succeeded"}
    assert "Traceback" not in ended.err
    assert "Exception ignored" not in ended.err


def test_a_result_that_cannot_be_written_leaves_the_summary_and_says_so(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    rig.command.write(github(["web"]))
    ended = rig.command("apply", "release.yaml", "--result", "/dev/full")
    assert ended.code == 1
    assert "outcome: succeeded" in ended.out
    assert "--result: can't write /dev/full: No space left" in ended.err


def test_a_journal_that_cannot_be_written_any_more_says_what_runs_on(make_rig: MakeRig) -> None:
    """A limit on the size of files stands in for a full disk."""
    rig = make_rig(["web/g", "api/g"], faults=Faults(slow=(stuck("web/g"),)), time_scale=20)
    rig.command.write(github(["web", "api"]))
    with rig.command.start("apply", "release.yaml") as process:
        wait_until(lambda: len(rig.deployments()) == 2, "both deployments")
        running = next(each.id for each in rig.deployments() if each.application == "web")
        wait_until(lambda: running in rig.command("status").out, "the id in the journal")
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, 1))
        _out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.search(r"error: can't write \.orchestrator/runs/\S+/journal\.jsonl: File too large", err)
    assert f"note: left running: {running} (web/g)" in err
    assert f"note: follow with: orchestrator wait {running}" in err
    assert err.count("File too large") == 1
    assert " died " in rig.command("runs").out


@pytest.mark.parametrize("debug", ["0", "1"])
def test_no_error_shows_a_secret(make_rig: MakeRig, debug: str) -> None:
    rig = make_rig(["web/g"])
    rig.command.bundle()
    rig.command.write(
        "version: 1\nrelease: r\ndefaults: {bucket: releases}\n"
        "applications: {web: {revision: {source: ./app}, deployment_groups: [g]}}\n"
    )
    secrets = {"AWS_SESSION_TOKEN": "FwoGZXIvYXdzEXAMPLEtoken", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIexamplekey"}
    given = {**secrets, "AWS_ACCESS_KEY_ID": "AKIAFOREIGN", "ORCHESTRATOR_DEBUG": debug}
    rig.command.environment = {**rig.command.environment, **given}
    for arguments in (
        ["plan", "release.yaml"],
        ["apply", "release.yaml", "--metrics-textfile", "m.prom", "--events", "e.jsonl"],
        ["wait", "d-ABCDEF123"],
        ["push", "--application-name", "web", "--source", "app", "--s3-location", "s3://releases/a.tgz"],
    ):
        ended = rig.command(*arguments)
        assert ended.code in {2, 3}, ended.err
        assert "\nerror: " in f"\n{ended.err}"
        for secret in secrets.values():
            assert secret not in ended.out + ended.err
    written = "".join(path.read_text() for path in rig.command.folder.rglob("*") if path.is_file())
    assert not any(secret in written for secret in secrets.values())


def test_a_folder_that_is_gone(command: Command) -> None:
    command.write(github(["web"]))
    gone = command.folder / "gone"
    gone.mkdir()
    ended = command.shell(f"cd gone && rmdir {gone} && $ORCHESTRATOR apply ../release.yaml --sandbox")
    assert ended.code in {1, 2}
    assert "Traceback" not in ended.err
    assert ended.err.strip()


def test_options_come_from_variables(make_rig: MakeRig) -> None:
    run = make_rig(["web/g", "api/g"]).command
    run.write(github(["web", "api"]))
    run.environment = {
        **run.environment,
        "ORCHESTRATOR_SELECT": "web",
        "ORCHESTRATOR_OUTPUT": "live",
        "ORCHESTRATOR_RESULT": "from-variable.json",
        "ORCHESTRATOR_STATE": "states",
        "ORCHESTRATOR_POLL_INTERVAL": "100ms",
        "ORCHESTRATOR_YES": "1",
        "TERM": "xterm",
    }
    ended = run("apply", "release.yaml")
    assert ended.code == 0, ended.err
    assert [each["target"] for each in run.result("from-variable.json")["targets"]] == ["web/g"]
    assert (run.folder / "states/runs").is_dir()
    assert "succeeded" in run("status").out
    run.environment = {**run.environment, "ORCHESTRATOR_POLL_INTERVAL": "soon"}
    wrong = run("apply", "release.yaml")
    assert wrong.code == 2
    assert "'soon' is no duration" in wrong.err


def test_an_error_of_the_program_is_one_line_and_debug_shows_where(command: Command) -> None:
    """A command whose module isn't there: nothing expects that."""
    program = (
        "import orchestrator.cli.main as main; "
        "main.COMMANDS = {'boom': ('nowhere', 'x')}; import sys; sys.argv[1:] = ['boom']; main.main()"
    )
    for debug in ("0", "1"):
        ended = command.shell(f'$PYTHON -c "{program}"', ORCHESTRATOR_DEBUG=debug)
        assert ended.code == 1
        assert "internal error: ModuleNotFoundError: " in ended.err
        assert ("Traceback" in ended.err) == (debug == "1")
        assert ("ORCHESTRATOR_DEBUG=1" in ended.err) == (debug == "0")


# --- completion -----------------------------------------------------------------------------------------------------


def test_bash_completes_commands_and_options(command: Command) -> None:
    """The script is sourced in a real bash, which then asks the real command."""
    (command.folder / "bin").mkdir()
    program = command.folder / "bin" / "orchestrator"
    program.write_text('#!/bin/sh\nexec $ORCHESTRATOR "$@"\n')
    program.chmod(0o755)
    script = """
        export PATH="$PWD/bin:$PATH"
        eval "$(orchestrator completion bash)"
        ask() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _orchestrator_completion orchestrator; echo "${COMPREPLY[@]}"
        }
        ask orchestrator va
        ask orchestrator apply --on
        ask orchestrator apply release.yaml --on-cancel ''
        ask orchestrator completion ''
    """
    ended = command.shell(script)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == ["validate", "--on-cancel", "wait stop rollback detach", "bash zsh fish"]
    for shell in ("zsh", "fish"):
        assert "_ORCHESTRATOR_COMPLETE" in command("completion", shell).out


def test_ctrl_c_before_the_run_says_that_nothing_was_started(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"], faults=Faults(error_rate=1.0))
    rig.command.write(github(["web"]))
    with rig.command.start("apply", "release.yaml") as process:
        wait_until(lambda: rig.calls() > 0, "a look")
        interrupt(process)
        _out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.split() == ["nothing", "was", "started", "interrupted"]
    assert not (rig.command.folder / ".orchestrator").exists()


def test_an_unreadable_run_is_listed_with_its_problem(make_rig: MakeRig) -> None:
    run = make_rig(["web/g"]).command
    run.write(github(["web"]))
    assert run("apply", "release.yaml").code == 0
    run.write("nonsense\n", ".orchestrator/runs/20990101-000000-abcdef/journal.jsonl")
    listed = run("runs")
    assert listed.code == 0
    assert max(len(line) for line in listed.out.splitlines() if "succeeded" in line) <= 80
    assert "unreadable" in listed.out
    states = {each["state"]: each["problem"] for each in json.loads(run("runs", "--output", "json").out)}
    assert states["succeeded"] is None
    assert states["unreadable"]
    assert run("status").code == 0
