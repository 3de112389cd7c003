"""Gates, bakes and hooks around the real command: real commands, HTTP servers and alarms of the sandbox."""

from __future__ import annotations

import http.server
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rig import MakeRig, Rig, wait_until

COMMIT = "a" * 40


def manifest(gates: str = "{}", settings: str = "{}", policy: str = "{}") -> str:
    """`api` needs `web`, which has the settings."""
    return "\n".join(
        [
            "version: 1",
            "release: shop",
            f"gates: {gates}",
            f"policy: {policy}",
            "applications:",
            "  web:",
            f"    revision: {{github: {{repository: acme/x, commit: {COMMIT}}}}}",
            f"    deployment_groups: {{g: {settings}}}",
            "  api:",
            f"    revision: {{github: {{repository: acme/x, commit: {COMMIT}}}}}",
            "    needs: [web]",
            "    deployment_groups: [g]",
            "",
        ]
    )


def prepared(make_rig: MakeRig, text: str, *, time_scale: float = 200, **group: object) -> Rig:
    rig = make_rig(["web/g", "api/g"], time_scale=time_scale, **group)
    rig.command.write(text)
    return rig


def script(rig: Rig, name: str, text: str) -> None:
    rig.command.write(f"#!/bin/sh\n{text}\n", name)
    (rig.command.folder / name).chmod(0o755)


def events(rig: Rig) -> list[dict[str, object]]:
    return [json.loads(line) for line in (rig.command.folder / "events.jsonl").read_text().splitlines()]


def created(rig: Rig) -> list[str]:
    return [each.application for each in rig.deployments()]


class Answers(http.server.BaseHTTPRequestHandler):
    body = b"all healthy"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def web_server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


# --- before and after -----------------------------------------------------------------------------------------------


def test_gates_before_and_after_hold_what_they_guard(make_rig: MakeRig) -> None:
    with web_server() as url:
        gates = (
            f"{{open: {{type: command, command: [./open.sh], interval: 200ms, failures: 1000}}, "
            f"health: {{type: http, url: '{url}/', contains: healthy, interval: 200ms, successes: 3}}}}"
        )
        rig = prepared(make_rig, manifest(gates, "{gates: {before: [open], after: [health]}}"))
        script(rig, "open.sh", 'test -e go && test "$ORCHESTRATOR_TARGET" = web/g')
        with rig.command.start("apply", "release.yaml", "--events", "events.jsonl") as process:
            wait_until(lambda: "gate open (bad" in rig.command("status").out, "status says what is waited for")
            assert created(rig) == []
            (rig.command.folder / "go").touch()
            out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert created(rig) == ["web", "api"]
    kinds = [event["type"] for event in events(rig)]
    assert kinds.count("gate_passed") == 2
    assert kinds.index("bake_started") < kinds.index("target_finished")


def test_an_after_gate_that_fails_takes_the_target_back(make_rig: MakeRig) -> None:
    rig = prepared(make_rig, manifest())
    assert rig.command("apply", "release.yaml").code == 0
    text = manifest(
        "{smoke: {type: command, command: [./smoke.sh], interval: 200ms, failures: 2}}",
        "{gates: {after: [smoke]}}",
        "{rollback: target}",
    )
    rig.command.write(text.replace(COMMIT, "b" * 40))
    script(rig, "smoke.sh", "echo 5xx; exit 1")
    ended = rig.command("apply", "release.yaml", "--result", "result.json")
    assert ended.code == 4, ended.out + ended.err
    assert rig.command.states() == {"web/g": "rolled_back", "api/g": "skipped"}
    assert "gate smoke: bad: exited with 1: 5xx (2 times in a row)" in ended.out
    commits = [each.revision["gitHubLocation"]["commitId"] for each in rig.deployments("web")]
    assert commits == [COMMIT, "b" * 40, COMMIT]


def test_a_gate_that_never_answers_fails_when_its_time_is_up_and_says_why(make_rig: MakeRig) -> None:
    gates = "{health: {type: http, url: 'http://127.0.0.1:9/?token=s3cr3t', interval: 200ms, timeout: 2s}}"
    rig = prepared(make_rig, manifest(gates, "{gates: {before: [health]}}"))
    ended = rig.command("apply", "release.yaml", "--result", "result.json")
    assert ended.code == 3
    assert "gate health: not passed within 2s; last measurement: unknown: connection refused" in ended.out
    assert created(rig) == []
    journal = next((rig.command.folder / ".orchestrator" / "runs").glob("*/journal.jsonl")).read_text()
    assert "s3cr3t" not in ended.out + ended.err
    assert [line for line in journal.splitlines() if "s3cr3t" in line and '"run_started"' not in line] == []


def test_gates_of_the_run(make_rig: MakeRig) -> None:
    policy = "{gates: {before: [open], after: [smoke]}}"
    gates = "{open: {type: command, command: ['true']}, smoke: {type: command, command: ['false']}}"
    rig = prepared(make_rig, manifest(gates, policy=policy))
    ended = rig.command("apply", "release.yaml", "--result", "result.json")
    assert (ended.code, rig.command.result()["outcome"]) == (3, "failed"), ended.out + ended.err
    assert set(rig.command.states().values()) == {"succeeded"}
    assert "gate smoke: bad: exited with 1" in ended.out
    again = rig.command("apply", "release.yaml", "--result", "result.json")
    assert again.code == 0, "what changes nothing asks no gate"


def test_an_alarm_of_the_group_in_the_bake_fails_the_target(make_rig: MakeRig) -> None:
    rig = prepared(make_rig, manifest(settings="{bake: 10m}"), alarms=("shop-p99",))
    with rig.command.start("apply", "release.yaml", "--result", "result.json") as process:
        wait_until(lambda: "baking" in rig.command("status").out, "it bakes")
        rig.portal.call(rig.endpoint.controls.set_alarm, "shop-p99", "on")
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3, out + err
    assert rig.command.states() == {"web/g": "failed", "api/g": "skipped"}
    assert "in ALARM: shop-p99" in out
    assert rig.portal.call(rig.endpoint.calls.total, "DescribeAlarms", "ok", "monitoring") >= 2


def test_alarms_that_cannot_be_read_do_not_fail_a_bake_and_are_told(make_rig: MakeRig) -> None:
    gates = "{p99: {type: cloudwatch_alarm, names: [shop-p99], interval: 200ms, timeout: 2s}}"
    rig = prepared(make_rig, manifest(settings="{bake: 1s}"), alarms=("shop-p99",), ignores_unreadable_alarms=True)
    rig.portal.call(rig.endpoint.controls.set_alarm, "shop-p99", "unreadable")
    ended = rig.command("apply", "release.yaml")
    assert ended.code == 0, ended.out + ended.err
    assert "the group's alarms unknown: DescribeAlarms: AccessDenied" in ended.err
    rig.command.write(manifest(gates, "{gates: {before: [p99]}}").replace(COMMIT, "b" * 40))
    asked = rig.command("apply", "release.yaml")
    assert asked.code == 3
    assert "last measurement: unknown: DescribeAlarms: AccessDenied" in asked.out


def test_a_killed_run_goes_on_with_its_bake(make_rig: MakeRig) -> None:
    rig = prepared(make_rig, manifest(settings="{bake: 4s}"))
    with rig.command.start("apply", "release.yaml") as process:
        wait_until(lambda: "baking" in rig.command("status").out, "it bakes")
        process.kill()
        process.communicate()
    ended = rig.command("resume", "--events", "events.jsonl")
    assert ended.code == 0, ended.out + ended.err
    assert created(rig) == ["web", "api"]
    assert "bake_started" not in [event["type"] for event in events(rig) if event.get("target") == "web/g"]


def test_a_rehearsal_asks_nobody(make_rig: MakeRig) -> None:
    gates = "{cab: {type: approval}, health: {type: http, url: 'http://127.0.0.1:9/'}}"
    settings = "{gates: {before: [cab, health]}, hooks: {before: [{command: [./page.sh]}]}}"
    rig = prepared(make_rig, manifest(gates, settings))
    script(rig, "page.sh", "touch paged")
    ended = rig.command("apply", "release.yaml", "--sandbox", "--time-scale", "200")
    assert ended.code == 0, ended.out + ended.err
    assert "approved by the rehearsal" in ended.err
    assert "rehearsal: not asked, taken as good" in ended.err
    assert "was not run: this is a rehearsal" in ended.err
    assert not (rig.command.folder / "paged").exists()


# --- hooks ----------------------------------------------------------------------------------------------------------


def test_hooks_run_with_the_targets_facts_and_their_output_is_in_the_journal(make_rig: MakeRig) -> None:
    hooks = "{hooks: {before: [{command: [./say.sh, one]}], after: [{command: [./say.sh, two]}]}}"
    rig = prepared(make_rig, manifest(settings=hooks))
    facts = "$ORCHESTRATOR_HOOK $ORCHESTRATOR_TARGET $ORCHESTRATOR_DEPLOYMENT_ID $ORCHESTRATOR_TARGET_STATE"
    script(rig, "say.sh", f'echo "$1 {facts}"; pwd')
    ended = rig.command("apply", "release.yaml", "--events", "events.jsonl")
    assert ended.code == 0, ended.out + ended.err
    made = rig.deployments("web")[0]
    outputs = [str(event["output"]) for event in events(rig) if event["type"] == "hook_finished"]
    assert outputs[0].startswith("one before web/g  pending\n")
    assert outputs[1].startswith(f"two after web/g {made.id} succeeded\n")
    assert outputs[0].splitlines()[1] == str(rig.command.folder)


@pytest.mark.parametrize(
    ("hooks", "code", "reason"),
    [
        ("{before: [{command: [./no.sh]}]}", 0, "before hook `./no.sh` exited with 3: no"),
        ("{after: [{command: [./no.sh]}]}", 1, "after hook `./no.sh` exited with 3: no"),
        ("{before: [{command: [sleep, '60'], timeout: 300ms}]}", 0, "didn't end within 300ms, and was killed"),
        ("{before: [{command: [./nothing.sh]}]}", 0, "couldn't be started: No such file or directory"),
    ],
)
def test_a_hook_that_fails_fails_its_target(make_rig: MakeRig, hooks: str, code: int, reason: str) -> None:
    """`code`: how many deployments there are then."""
    given = f"{{hooks: {{on_failure: [{{command: [./page.sh]}}], {hooks[1:-1]}}}}}"
    rig = prepared(make_rig, manifest(settings=given))
    script(rig, "no.sh", "echo no; exit 3")
    script(rig, "page.sh", 'echo "$ORCHESTRATOR_TARGET_STATE: $ORCHESTRATOR_TARGET_REASON" >paged')
    ended = rig.command("apply", "release.yaml", "--result", "result.json")
    assert ended.code == 3, ended.out + ended.err
    assert rig.command.states() == {"web/g": "failed", "api/g": "skipped"}
    assert reason in ended.out
    assert len(rig.deployments()) == code
    paged = (rig.command.folder / "paged").read_text()
    assert paged.startswith("failed: ")
    assert reason in paged


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_cancel_kills_a_hook_with_its_children(make_rig: MakeRig) -> None:
    rig = prepared(make_rig, manifest(settings="{hooks: {before: [{command: [./long.sh]}]}}"))
    script(rig, "long.sh", "sleep 600 &\necho $! >pid\nwait")
    pid = rig.command.folder / "pid"
    with rig.command.start("apply", "release.yaml", "--on-cancel", "stop", "--result", "result.json") as process:
        wait_until(lambda: pid.exists() and bool(pid.read_text().strip()), "the hook runs")
        assert "its before hook `./long.sh`" in rig.command("status").out
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert rig.command.states() == {"web/g": "cancelled", "api/g": "cancelled"}
    wait_until(lambda: not is_alive(int(pid.read_text())), "its child is gone")


def test_hooks_of_the_run(make_rig: MakeRig) -> None:
    policy = "{hooks: {before: [{command: [./say.sh]}], after: [{command: [./say.sh]}]}}"
    rig = prepared(make_rig, manifest(policy=policy))
    script(rig, "say.sh", 'echo "$ORCHESTRATOR_HOOK $ORCHESTRATOR_RELEASE $ORCHESTRATOR_RUN_STATE" >>said')
    ended = rig.command("apply", "release.yaml")
    assert ended.code == 0, ended.out + ended.err
    assert (rig.command.folder / "said").read_text() == "before shop \nafter shop succeeded\n"
