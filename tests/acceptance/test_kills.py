"""The command is killed at seeded moments, over a network that cuts and delays, and another machine goes on.

State in S3, all runs in one place. `make kills KILLS=200` kills more of them.
"""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest
from forks import Process
from proxy import Proxy, Weather, proxy
from rig import Command, Ended, MakeRig, Rig

from orchestrator.sandbox.options import Faults

KILLS = int(os.environ.get("ORCHESTRATOR_KILLS", "20"))
AT_ONCE = 6
STATE = "s3://releases/state"
APPLICATIONS = 4
LONGEST = 4.0
"""Seconds after its first event until a run is killed; most are over by then."""

Weathers = dict[str, Weather]


@dataclass(frozen=True)
class Victim:
    seed: int
    command: Command

    @property
    def applications(self) -> list[str]:
        return [f"v{self.seed}-{number}" for number in range(APPLICATIONS)]

    def write(self) -> None:
        """A chain of two, something beside it, and a bundle that has to be made and uploaded."""
        first, second, third, bundle = self.applications
        revision = "revision: {github: {repository: acme/x, commit: " + "a" * 40 + "}}, deployment_groups: [g]"
        self.command.folder.mkdir(parents=True)
        self.command.bundle("app")
        self.command.write(
            "version: 1\nrelease: r\ndefaults: {bucket: releases}\napplications:\n"
            f"  {first}: {{{revision}}}\n  {second}: {{{revision}, needs: [{first}]}}\n  {third}: {{{revision}}}\n"
            f"  {bundle}: {{revision: {{source: ./app}}, deployment_groups: [g], needs: [{third}]}}\n"
        )

    def run_and_be_killed(self) -> str | None:
        """The run's id; None when it was killed before it had begun."""
        random = Random(self.seed)  # noqa: S311 - a moment, no secret
        events = self.command.folder / "events.jsonl"
        events.touch()
        options = ["--state", STATE, "--events", events.name, "--poll-interval", "200ms"]
        with self.command.start("apply", "release.yaml", *options) as process:
            _wait_for_an_event(process, events)
            time.sleep(random.uniform(0, LONGEST))
            process.kill()
            process.communicate()
        lines = events.read_text().splitlines()
        return json.loads(lines[0])["run"] if lines else None

    def go_on(self, run: str | None, elsewhere: Path) -> Ended:
        """From another folder, with nothing but a checkout; it waits for the lease of the dead."""
        there = replace(self.command, folder=elsewhere)
        replace(self, command=there).write()
        options = ["--state", STATE, "--result", "result.json", "--poll-interval", "200ms"]
        if run is not None:
            ended = there("resume", run, *options)
            if "nothing was started by it" not in ended.err:
                return ended
            assert ended.code == 2, ended.err
        return there("apply", "release.yaml", *options)


def _wait_for_an_event(process: Process, events: Path) -> None:
    while process.poll() is None and events.stat().st_size == 0:
        time.sleep(0.02)


@pytest.mark.long
def test_killed_anywhere_and_gone_on_with_elsewhere(make_rig: MakeRig, tmp_path: Path) -> None:
    groups = [f"v{seed}-{number}/g" for seed in range(KILLS) for number in range(APPLICATIONS)]
    rig = make_rig(groups, time_scale=10, faults=Faults(latency=0.01))
    weather = Weather(cut=0.25, delay=0.02)
    with rig.portal.wrap_async_context_manager(proxy(_url_of(rig), weather, seed=1)) as between:
        variables = between.environment(rig.command.environment)
        victims = [
            Victim(seed, replace(rig.command, folder=tmp_path / f"here-{seed}", environment=variables))
            for seed in range(KILLS)
        ]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            runs = list(threads.map(_kill, victims))
        with ThreadPoolExecutor(KILLS) as threads:
            theirs = [tmp_path / f"there-{victim.seed}" for victim in victims]
            ended = list(threads.map(Victim.go_on, victims, runs, theirs))
    _report(runs, between, rig)
    for victim, done in zip(victims, ended, strict=True):
        assert done.code == 0, f"victim {victim.seed}: {done.out}{done.err}"
        _check(rig, victim, tmp_path / f"there-{victim.seed}")
    assert between.cuts > KILLS, "a network that never cut anything proves nothing"


def _kill(victim: Victim) -> str | None:
    victim.write()
    return victim.run_and_be_killed()


def _check(rig: Rig, victim: Victim, folder: Path) -> None:
    """Nothing was lost, and nothing was started twice."""
    made = [each for name in victim.applications for each in rig.deployments(name)]
    assert sorted(each.application for each in made) == victim.applications, f"victim {victim.seed}"
    result = json.loads((folder / "result.json").read_text())
    assert {each["state"] for each in result["targets"]} <= {"succeeded", "unchanged"}
    known = {each["deployment_id"] for each in result["targets"] if each["state"] == "succeeded"}
    assert known <= {each.id for each in made}, f"victim {victim.seed}"


def _report(runs: list[str | None], between: Proxy, rig: Rig) -> None:
    began = sum(run is not None for run in runs)
    print(
        f"{len(runs)} killed, {began} of them after their run had begun; {between.connections} connections, "
        f"{between.cuts} cut; {len(rig.deployments())} deployments of {len(runs) * APPLICATIONS}"
    )


def _url_of(rig: Rig) -> str:
    return next(value for name, value in rig.command.environment.items() if name.startswith("AWS_ENDPOINT_URL"))
