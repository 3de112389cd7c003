"""`make mutants`: does the simulation bite? Breaks the engine in one place at a time and looks for a seed that notices.

Each mutant is a copy of the package with one replacement, which must match exactly once. Ends with 1 if one survives.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "orchestrator"


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    old: str
    new: str


MUTANTS = (
    Mutant(
        "skip the reconcile after a lost answer",
        "core/starter.py",
        "        found = await self._look_for(start, since)\n        if found is None and lost",
        "        found = None\n        if found is None and lost",
    ),
    Mutant(
        "forget the grace period",
        "core/starter.py",
        "for look in range(LOOKS_IN_GRACE + 1):",
        "for look in range(1):",
    ),
    Mutant(
        "send create without the intent's commit",
        "core/starter.py",
        "        )\n        await self._recorder.commit()",
        "        )",
    ),
    Mutant(
        "resume without reconcile",
        "core/engine.py",
        "deployment_id = await self._starter.find(intended, known.intended_at or 0.0)",
        "deployment_id = None if intended else deployment_id",
    ),
    Mutant(
        "ignore needs",
        "core/schedule.py",
        "before = {other for other in (*step.target.needs, *step.target.after) if other in self._steps}",
        "before = {other for other in step.target.after if other in self._steps}",
    ),
    Mutant(
        "ignore what went wrong with a need",
        "core/schedule.py",
        "if need is not None and need.state.is_final and not need.state.is_good:",
        "if need is not None and need.state.is_final and need.state is TargetState.CANCELLED:",
    ),
    Mutant(
        "ignore slots",
        "core/slots.py",
        "return limit is not None and self._used[layer] >= limit",
        "return limit is not None and limit < 0",
    ),
    Mutant(
        "a resumed deployment takes no slot",
        "core/slots.py",
        "        self._used.update(layers)\n        try:",
        "        self._used.update(layers[:0])\n        layers = layers[:0]\n        try:",
    ),
    Mutant(
        "drop the fence: put without absent",
        "store/blobjournal.py",
        "batch.content, absent=True)",
        "batch.content)",
    ),
    Mutant(
        "ignore the lease before a mutating call",
        "core/leased.py",
        "            await self._ensure()\n",
        "            pass\n",
    ),
    Mutant(
        "renew without condition",
        "core/lease.py",
        "self._sign(), match=self._tag)",
        "self._sign())",
    ),
    Mutant(
        "take over without waiting for the time to live",
        "core/signs.py",
        "if asked_at - known[1] < self._ttl:",
        "if asked_at - known[1] < 0:",
    ),
    Mutant(
        "believe in the lease for ever",
        "core/lease.py",
        "return anyio.current_time() < self._confirmed_at + self._timing.ttl - self._timing.margin",
        "return self._confirmed_at > 0",
    ),
    Mutant(
        "a conflict is believed without reading back",
        "core/blobs.py",
        "            if found is not None and found.content == content:\n                return found.tag\n",
        "",
    ),
    Mutant(
        "the poller takes a missing id for an ended deployment",
        "core/poller.py",
        "        watch.misses += 1\n        if watch.misses >= MISSES_BEFORE_ASKING:",
        "        if watch.seen is not None:\n            watch.done.set()\n"
        "        watch.misses += 1\n        if watch.misses >= MISSES_BEFORE_ASKING:",
    ),
    Mutant(
        "an unknown status is final",
        "core/model.py",
        "return self in {DeploymentStatus.SUCCEEDED, DeploymentStatus.FAILED, DeploymentStatus.STOPPED}",
        "return self not in {DeploymentStatus.CREATED, DeploymentStatus.QUEUED, DeploymentStatus.IN_PROGRESS}",
    ),
    Mutant(
        "a throttle is a failure of the call",
        "core/codedeploy.py",
        "self._on_throttle(operation, self.budget.rate)\n                continue",
        "self._on_throttle(operation, self.budget.rate)\n                raise",
    ),
    Mutant(
        "a lost answer of a poll ends the watch",
        "core/poller.py",
        "        except CallError as error:\n            self._no_answer(error)\n        else:\n"
        "            self._answered()\n            for deployment_id in ids:",
        "        except CallError as error:\n            self._no_answer(error)\n"
        "            for each in ids:\n                if (watch := self._watches.get(each)) is not None:\n"
        "                    watch.error = error\n                    watch.done.set()\n        else:\n"
        "            self._answered()\n            for deployment_id in ids:",
    ),
    Mutant(
        "a busy group is a failure",
        "core/starter.py",
        "if not group_is_busy(error):",
        "if error.code:",
    ),
    Mutant(
        "a release goes back in the order in which it went out",
        "core/rollback.py",
        "                before[other].add(name)",
        "                before[name].add(other)",
    ),
    Mutant(
        "a rollback begins while deployments of the run still go on",
        "core/phases.py",
        "        if state.rollback_run is None:  # else only its rollback is left of it\n            await",
        "        if state.rollback is None:\n            await",
    ),
    Mutant(
        "a rollback begins anew in each process",
        "core/rollback.py",
        "        run = state.rollback_run\n",
        "        run = None\n",
    ),
    Mutant(
        "what can't go back is not counted",
        "core/outcome.py",
        "    if any(target.state is not S.ROLLED_BACK for target in to_go_back):",
        '    if any(target.rollback_status == "Failed" for target in to_go_back):',
    ),
    Mutant(
        "gates: a target starts without waiting for them",
        "core/stages.py",
        "step.target.controls.gates_before, over=self._control.closing)",
        "(), over=self._control.closing)",
    ),
    Mutant(
        "gates: one measurement is enough, whatever it says",
        "core/measuring.py",
        "(self.good >= spec.successes or spec.is_lenient)",
        "(self.good >= spec.successes or self.last is not None)",
    ),
    Mutant(
        "gates: what can't be asked is bad",
        "core/measuring.py",
        "                return replace(self, last=measurement)",
        "                return Row(0, self.bad + 1, measurement)",
    ),
    Mutant(
        "gates: a bake ends when its gates have passed",
        "core/gating.py",
        "held=now < place.hold_until, is_late",
        "held=False, is_late",
    ),
    Mutant(
        "gates: a bake begins anew in each process",
        "core/stages.py",
        "        if known.bake_until is None:",
        "        if known.bake_until is not self:",
    ),
    Mutant(
        "gates: a no is as good as a yes",
        "core/approvals.py",
        "return made.approved, describe(made)",
        "return True, describe(made)",
    ),
    Mutant(
        "gates: a run leaves for people while something still goes on",
        "core/standstill.py",
        "self._schedule.may_go(step) and None not in waiting",
        "step.target.id == ''",
    ),
    Mutant(
        "hooks: what has run is run again by the next process",
        "core/hooks.py",
        "finished = known.finished or await",
        "finished = await",
    ),
    Mutant(
        "adopt what is not ours",
        "core/codedeploy.py",
        'found.description.split(" ", 1)[0] == token\n        and ',
        "",
    ),
)


def main() -> int:
    """0: each was found; 1: one survived, or doesn't apply any more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--only", help="those whose name holds this")
    options = parser.parse_args()
    chosen = [each for each in MUTANTS if (options.only or "") in each.name]
    width = max(len(each.name) for each in chosen)
    survived = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        for mutant, found in zip(chosen, threads.map(partial(_hunt, seeds=options.seeds), chosen), strict=True):
            survived += found is None
            print(f"{mutant.name:{width}}  {found or 'SURVIVED'}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} mutants found within {options.seeds} seeds")
    return int(bool(survived))


def _hunt(mutant: Mutant, seeds: int) -> str | None:
    """The seed that found it, and how; None: it survived."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / PACKAGE.name
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / mutant.file
        text = file.read_text()
        if text.count(mutant.old) != 1:
            raise SystemExit(
                f"{mutant.name}: its text stands {text.count(mutant.old)} times in {mutant.file}, not once"
            )
        file.write_text(text.replace(mutant.old, mutant.new))
        began = time.monotonic()
        command = [sys.executable, "-B", str(TESTS / "simulate.py"), "--stop", "--jobs", "1", "--seeds", str(seeds)]
        done = subprocess.run(  # noqa: PLW1510 - its code is what we want to know
            command, env={**os.environ, "PYTHONPATH": folder}, capture_output=True, text=True
        )
        if f"(the engine of {copy})" not in done.stdout:
            raise SystemExit(
                f"{mutant.name}: the simulation didn't end, or with another engine:\n{done.stderr[-2000:]}"
            )
        if done.returncode == 0:
            return None
        return f"{_verdict(done.stdout, done.stderr)} ({time.monotonic() - began:.0f} s)"


def _verdict(output: str, errors: str) -> str:
    failed = re.search(r"^FAILED ([\w-]+ \d+)", output, re.MULTILINE)
    played = re.search(r"^(\d+) seeds in", output, re.MULTILINE)
    story = errors.splitlines()
    said = story[1] if len(story) > 1 else ""
    if said.startswith("Traceback"):
        said = next((line for line in story if re.match(r"[\w.]+(Error|Exception|Group)\b", line.lstrip("| +"))), said)
    assert failed is not None
    assert played is not None
    return f"{failed[1]}, after {played[1]} seeds: {said.strip()[:90]}"


if __name__ == "__main__":
    sys.exit(main())
