"""Freezes that hold, that begin during a run, and that somebody overrides."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from rig import MakeRig, github, wait_until

from orchestrator.sandbox.options import Faults, Slow


def frozen(names: list[str], start: datetime, end: datetime) -> str:
    """A manifest whose environment is frozen every day between these two."""
    window = f'rrule: FREQ=DAILY, start: "{start:%H:%M:%S}", end: "{end:%H:%M:%S}"'
    return github(names) + "environments:\n  prod: {freeze: [{" + window + "}]}\n"


def in_(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_in_a_freeze_nothing_starts_unless_somebody_says_why(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    run = rig.command
    end = in_(3600)
    run.write(frozen(["web"], in_(-60), end))
    ended = run("apply", "release.yaml")
    assert ended.code == 6
    assert "prod is frozen: the freeze FREQ=DAILY" in ended.err
    assert f"lasts until {end:%Y-%m-%d %H:%M} UTC" in ended.err
    assert not rig.deployments()
    planned = run("plan", "release.yaml")
    assert (planned.code, "lasts until" in planned.out) == (0, True)
    assert run("apply", "release.yaml", "--sandbox").code == 0, "a rehearsal is never frozen"

    forced = run("apply", "release.yaml", "--override-freeze", "CVE-2026-1234", "--events", "events.jsonl")
    assert forced.code == 0, forced.err
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    (overridden,) = [event for event in events if event["type"] == "freeze_overridden"]
    assert overridden["reason"] == "CVE-2026-1234"
    assert overridden["window"].startswith("FREQ=DAILY")
    assert run("apply", "release.yaml").code == 0, "where nothing is to be done there is nothing to freeze"


def test_a_freeze_that_begins_during_the_run(make_rig: MakeRig) -> None:
    """What runs is watched to its end, nothing is stranded, and a resume goes on afterwards."""
    rig = make_rig(["long/g", "next/g"], faults=Faults(slow=(Slow(target="long/g", factor=8.0),)), time_scale=20.0)
    run = rig.command
    text = frozen(["long", "next"], in_(7), in_(12)).replace("  next:", "  next:\n    needs: [long]")
    run.write(text)
    ended = run("apply", "release.yaml", "--result", "result.json")
    assert ended.code == 6, ended.out + ended.err
    assert run.states() == {"long/g": "succeeded", "next/g": "pending"}
    assert run.result()["outcome"] == "blocked"
    assert "nothing new starts: the freeze FREQ=DAILY" in ended.err
    assert ended.out.splitlines()[-1].startswith("resume with: orchestrator resume ")
    wait_until(lambda: run("resume", "--result", "result.json").code == 0, "the end of the freeze")
    assert run.states() == {"long/g": "succeeded", "next/g": "succeeded"}
    assert [each.application for each in rig.deployments()] == ["long", "next"]
