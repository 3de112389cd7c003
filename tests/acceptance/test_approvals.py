"""Approvals with the real command: nobody keeps a process alive for them."""

from __future__ import annotations

import getpass
import json
import socket
from dataclasses import replace

import pytest
from rig import Command, MakeRig, Rig, wait_until

STATE = "s3://releases/state"
MANIFEST = """
version: 1
release: shop
gates: {{cab: {{type: approval, message: "is CHG-4711 approved?"{timeout}}}}}
applications:
  web:
    revision: {{github: {{repository: acme/x, commit: {commit}}}}}
    deployment_groups: {{g: {{gates: {{before: [cab]}}}}}}
  api: {{revision: {{github: {{repository: acme/x, commit: {commit}}}}}, deployment_groups: [g]}}
"""


def prepared(make_rig: MakeRig, timeout: str = "", time_scale: float = 200) -> Rig:
    rig = make_rig(["web/g", "api/g"], time_scale=time_scale)
    rig.command.write(MANIFEST.format(commit="a" * 40, timeout=f", timeout: {timeout}" if timeout else ""))
    return rig


def run_id(run: Command, state: str | None = None) -> str:
    where = ("--state", state) if state else ()
    return str(json.loads(run("runs", "--output", "json", *where).out)[0]["run"])


def blocked(rig: Rig, *options: str) -> str:
    """A run that waits for its approval; its id."""
    ended = rig.command("apply", "release.yaml", "--result", "result.json", *options)
    assert ended.code == 6, ended.out + ended.err
    result = rig.command.result()
    assert result["outcome"] == "blocked"
    assert rig.command.states() == {"web/g": "blocked", "api/g": "succeeded"}
    waits = {each["target"]: each["waiting_for"] for each in result["targets"]}
    assert waits["web/g"]["kind"] == "approval"
    run = str(result["run"])
    assert f"awaiting approval: orchestrator approve {run} cab [--reason TEXT]" in ended.out
    assert ended.out.splitlines()[-1] == f"then resume with: orchestrator resume {run}"
    assert "is CHG-4711 approved?" in ended.err
    return run


@pytest.mark.parametrize("state", [None, STATE])
def test_a_run_leaves_for_its_approval_and_a_resume_goes_on(make_rig: MakeRig, state: str | None) -> None:
    rig = prepared(make_rig)
    where = ("--state", state) if state else ()
    run = blocked(rig, *where)
    there = rig.command
    if state:  # another machine, with another checkout
        folder = rig.command.folder / "elsewhere"
        folder.mkdir()
        (folder / "release.yaml").write_bytes((rig.command.folder / "release.yaml").read_bytes())
        there = replace(rig.command, folder=folder)
    assert "blocked" in there("runs", *where).out
    still = there("resume", *where)
    assert still.code == 6, "nobody has approved yet"
    approved = there("approve", run, "cab", "--reason", "CHG-4711", *where)
    assert approved.code == 0, approved.err
    assert "gate cab approved by arn:aws:" in approved.out
    assert f"go on with: orchestrator resume {run}" in approved.out
    twice = there("approve", run, "cab", *where)
    assert twice.code == 2
    assert "has a decision already: approved by arn:aws:" in twice.err
    ended = there("resume", "--events", "events.jsonl", *where)
    assert ended.code == 0, ended.out + ended.err
    events = [json.loads(line) for line in (there.folder / "events.jsonl").read_text().splitlines()]
    decided = next(event for event in events if event["type"] == "approval_decided")
    assert (decided["gate"], decided["approved"], decided["reason"]) == ("cab", True, "CHG-4711")
    assert [each.application for each in rig.deployments()] == ["api", "web"]
    over = there("approve", run, "cab", *where)
    assert over.code == 2
    assert "already approved by arn:aws:" in over.err


def test_a_living_process_goes_on_within_seconds(make_rig: MakeRig) -> None:
    rig = prepared(make_rig, time_scale=1)  # `api` takes its time, so the process stays
    with rig.command.start("apply", "release.yaml", "--result", "result.json") as process:
        wait_until(lambda: "approval cab (orchestrator approve" in rig.command("status").out, "it waits")
        approved = rig.command("approve", run_id(rig.command), "cab")
        assert approved.code == 0, approved.err
        assert approved.out.rstrip().endswith("; the run goes on")
        wait_until(lambda: len(rig.deployments("web")) == 1, "it goes on", seconds=10)
        process.kill()
        process.communicate()


def test_a_rejection_fails_the_target(make_rig: MakeRig) -> None:
    rig = prepared(make_rig)
    run = blocked(rig)
    rejected = rig.command("approve", run, "cab", "--reject", "--reason", "not on a Friday")
    assert rejected.code == 0
    ended = rig.command("resume", "--result", "result.json")
    assert ended.code == 3
    assert rig.command.states() == {"web/g": "failed", "api/g": "succeeded"}
    assert "gate cab: rejected by arn:aws:" in ended.out
    assert "not on a Friday" in ended.out
    over = rig.command("approve", run, "cab")
    assert over.code == 2


def test_an_approval_that_comes_too_late_is_refused(make_rig: MakeRig) -> None:
    rig = prepared(make_rig, timeout="1s")
    ended = rig.command("apply", "release.yaml", "--result", "result.json", "--select", "web")
    run = run_id(rig.command)
    if ended.code == 6:  # it left before the second was over
        late = wait_for_refusal(rig, run)
        assert "too late: gate cab could be approved until" in late
        ended = rig.command("resume", "--result", "result.json")
    assert ended.code == 3, ended.out + ended.err
    assert "gate cab: nobody approved it within 1s" in ended.out
    assert rig.command("approve", run, "cab").code in {2, 6}
    assert rig.deployments("web") == []


def wait_for_refusal(rig: Rig, run: str) -> str:
    found: list[str] = []

    def is_refused() -> bool:
        tried = rig.command("approve", run, "cab")
        found.append(tried.err)
        return tried.code == 6

    wait_until(is_refused, "the time is over")
    return found[-1]


def test_what_cannot_be_approved_is_said(make_rig: MakeRig) -> None:
    rig = prepared(make_rig)
    assert rig.command("approve", "2026", "cab").code == 2, "there is no run yet"
    run = blocked(rig)
    unknown = rig.command("approve", run, "cob")
    assert unknown.code == 2
    assert "there is no approval gate 'cob'" in unknown.err
    assert "it has cab" in unknown.err
    rig.command.write(MANIFEST.format(commit="b" * 40, timeout="").replace("{before: [cab]}", "{before: []}"))
    assert rig.command("apply", "release.yaml", "--select", "api").code == 0
    over = rig.command("approve", run_id(rig.command), "cab")
    assert over.code == 2
    assert "it has none" in over.err


def test_without_aws_it_is_the_user_of_this_machine(make_rig: MakeRig) -> None:
    rig = prepared(make_rig)
    run = blocked(rig)
    alone = Command(rig.command.folder, rig.command.programs)
    approved = alone("approve", run, "cab")
    assert approved.code == 0, approved.err
    assert f"approved by {getpass.getuser()}@{socket.gethostname()}" in approved.out
