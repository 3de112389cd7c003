"""Notifications of the real command: closed also after a kill, and never in the release's way."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

from receivers import Receivers, Reply, receivers
from rig import Command, MakeRig, Rig, github, wait_until

SHA = "b" * 40
ALL = (
    "{chat: {type: slack, channel: '#deploys'}, "
    f"repository: {{type: github, repository: acme/shop, commit: {SHA}}}, "
    "hook: {type: webhook, url: '%s/hook', text: '${release}: ${outcome}'}, "
    "late: {type: webhook, url: '%s/late'}}"
)


def prepared(make_rig: MakeRig, told: Receivers, notifications: str, *, time_scale: float = 20) -> tuple[Rig, Command]:
    """Two applications, one after the other."""
    rig = make_rig(["first/g", "second/g"], time_scale=time_scale)
    run = replace(rig.command, environment={**rig.command.environment, **told.environment()})
    manifest = github(["first", "second"], notifications=notifications)
    run.write(manifest.replace("  second:", "  second:\n    needs: [first]"))
    return rig, run


def hooks(told: Receivers) -> list[Any]:
    return [call.data for call in told.to("/hook")]


def test_a_killed_runs_message_and_deployment_are_closed_by_its_resume(make_rig: MakeRig) -> None:
    with receivers() as told:
        rig, run = prepared(make_rig, told, ALL % (told.url, told.url), time_scale=20)
        told.script["/late"] = [Reply(401)] * 3  # the beginning, the resume, the end
        with run.start("apply", "release.yaml") as process:
            wait_until(lambda: bool(told.messages) and bool(told.deployments), "both are opened")
            wait_until(lambda: len(rig.deployments()) == 1, "a deployment")
            journal = next((run.folder / ".orchestrator" / "runs").iterdir()) / "journal.jsonl"
            wait_until(lambda: journal.read_text().count('"notification_opened"') == 3, "that is in the journal")
            process.kill()
            process.communicate()
        assert [each["statuses"][-1]["state"] for each in told.deployments.values()] == ["in_progress"]
        ended = run("resume")
        assert ended.code == 0, ended.out + ended.err
        (contents,) = told.messages.values()  # one message, from beginning to end
        assert "running" in contents[0]["text"]
        assert "succeeded" in contents[-1]["text"]
        (deployment,) = told.deployments.values()
        assert deployment["statuses"][-1]["state"] == "success"
        assert [each["state"] for each in told.commit_statuses][-1] == "success"
        assert {each["sha"] for each in told.commit_statuses} == {SHA}
        assert [each["event"] for each in hooks(told)] == ["started", "resumed", "finished"]
        assert hooks(told)[-1]["text"] == "test: succeeded"
        kinds = [json.loads(line)["type"] for line in journal.read_text().splitlines()]
        assert kinds.count("notification_opened") == 3
        assert kinds.count("notification_closed") == 3
        assert "succeeded" in run("runs").out
        again = run("resume")
        assert (again.code, "nothing to resume" in again.err) == (0, True)
        assert "notification late: closed, succeeded" in again.err
        assert [call.data["event"] for call in told.to("/late")] == ["started", "resumed", "finished", "finished"]
        assert len(told.to("/hook")) == 3
        secrets = told.environment()
        for text in (journal.read_text(), ended.out + ended.err):
            assert not [name for name in ("SLACK_BOT_TOKEN", "GITHUB_TOKEN") if secrets[name] in text]


def test_a_receiver_that_hangs_delays_and_fails_nothing(make_rig: MakeRig) -> None:
    """One that never answers, one that drips, one that refuses connections; and one that works."""
    notifications = (
        "{hangs: {type: webhook, url: '%s/hang'}, drips: {type: webhook, url: '%s/drip'}, "
        "gone: {type: webhook, url: 'http://127.0.0.1:9/'}, hook: {type: webhook, url: '%s/hook'}}"
    )
    with receivers() as told:
        rig, run = prepared(make_rig, told, notifications % (told.url, told.url, told.url), time_scale=200)
        began = time.monotonic()
        alone = run("apply", "release.yaml", "--force", "--no-notify", "--events", "alone.jsonl")
        without = time.monotonic() - began
        assert (alone.code, told.calls) == (0, [])
        began = time.monotonic()
        ended = run("apply", "release.yaml", "--force", "--events", "events.jsonl")
        took = time.monotonic() - began
        assert ended.code == 0, ended.out + ended.err
        # Had one of them held anything up, it would have been for the five seconds of a request.
        assert seconds(run, "events.jsonl") < seconds(run, "alone.jsonl") + 4.0
        assert took < without + 12.0
        assert [each["event"] for each in hooks(told)] == ["started", "finished"]
        for name in ("hangs", "drips", "gone"):
            assert f"notification {name}: " in ended.err
        assert len(rig.deployments()) == 4


def test_a_rehearsal_tells_nobody_unless_it_is_asked_to(make_rig: MakeRig) -> None:
    with receivers() as told:
        _, run = prepared(make_rig, told, f"{{hook: {{type: webhook, url: '{told.url}/hook'}}}}")
        silent = run("apply", "release.yaml", "--sandbox", "--time-scale", "0")
        assert (silent.code, told.calls) == (0, [])
        assert "a rehearsal: 1 notification not sent; --notify sends them" in silent.err
        loud = run("apply", "release.yaml", "--sandbox", "--time-scale", "0", "--notify")
        assert loud.code == 0, loud.err
        assert [each["event"] for each in hooks(told)] == ["started", "finished"]


def seconds(run: Command, name: str) -> float:
    """From the run's first event to its end."""
    events = [json.loads(line) for line in (run.folder / name).read_text().splitlines()]
    times = [each["ts"] for each in events if each["type"] in {"run_started", "run_finished"}]
    begin, end = (time.mktime(time.strptime(each[:19], "%Y-%m-%dT%H:%M:%S")) + float(each[19:23]) for each in times)
    return end - begin
