"""What launched runs of all sizes cost: looks, operations, calls, objects, in virtual time. `make scale` prints tables.

The conductor, engine, leases and journals are the real ones; CodeDeploy is scripted, S3 is in memory and takes 20 ms.
Deployments take 2 to 20 minutes; each account's targets make chains of three, and every tenth bakes for an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import anyio
import looptime

sys.path.insert(0, str(Path(__file__).parent))

from looked_in import RUN, LaunchedRun, SplitWorld, calls
from world import HERE, target

from orchestrator.core.conducting import Order
from orchestrator.core.controls import Controls
from orchestrator.core.model import Target
from orchestrator.core.state import RunState
from orchestrator.core.timing import Timing
from orchestrator.testing import Script, ScriptedCodeDeploy

GB = 1.0
"""Of the function's memory, as assumed below."""
PRICES = {
    "a GB-second of Lambda": 0.0000166667,
    "1,000 PUT or LIST requests to S3": 0.005,
    "1,000 GET requests to S3": 0.0004,
    "1,000,000 durable operations": 8.0,
    "a GB written to durable executions": 0.25,
}
"""US dollars; assumptions, of 2026 and us-east-1: look them up before you rely on them."""


@dataclass(frozen=True)
class Size:
    accounts: int
    each: int

    @property
    def targets(self) -> int:
        return self.accounts * self.each


def release(size: Size, seed: int = 1) -> LaunchedRun:
    random = Random(seed)  # noqa: S311 - a scenario, no secret
    targets: list[Target] = []
    places = {}
    for account in range(size.accounts):
        place = replace(HERE, role_arn=f"arn:aws:iam::{account:012d}:role/deploy")
        scripts = {}
        for number in range(size.each):
            name = f"a{account}-{number}"
            scripts[name, "g"] = Script(seconds=random.uniform(120.0, 1200.0))
            targets.append(
                target(
                    f"{name}/g",
                    location=place,
                    needs=[f"a{account}-{number - 1}/g"] if number % 3 else [],
                    controls=Controls(bake=3600.0) if number % 10 == 0 else Controls(),
                )
            )
        places[place] = ScriptedCodeDeploy(scripts)
    return LaunchedRun(SplitWorld(targets, places=places, timing=Timing()), seed=seed)


@dataclass(frozen=True)
class Row:
    size: Size
    run: LaunchedRun
    state: RunState
    seconds: float
    """Of virtual time."""
    wall: float

    @property
    def hours(self) -> float:
        return self.seconds / 3600

    @property
    def objects(self) -> int:
        return sum(name.startswith("runs/") for name in self.run.blobs.objects)

    @property
    def busy(self) -> float:
        """Seconds that the function is there: waiting for answers, or computing, whichever is more in this machine."""
        return max(self.run.figures.alive, self.run.figures.cpu)

    def dollars(self) -> dict[str, float]:
        counted, figures = self.run.blobs.calls, self.run.figures
        return {
            "Lambda": self.busy * GB * PRICES["a GB-second of Lambda"],
            "durable": figures.operations * PRICES["1,000,000 durable operations"] / 1e6
            + figures.result_bytes / 1e9 * PRICES["a GB written to durable executions"],
            "S3": (counted["put"] + counted["list"]) / 1e3 * PRICES["1,000 PUT or LIST requests to S3"]
            + counted["get"] / 1e3 * PRICES["1,000 GET requests to S3"],
        }


def play(size: Size, seed: int = 1) -> Row:
    run = release(size, seed)
    loop = looptime.new_event_loop(start=1000.0, noop_cycles=1)
    began = time.monotonic()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        state = runner.run(run.run())
    return Row(size, run, state, (state.last_ts or 0.0) - (state.started_at or 0.0), time.monotonic() - began)


HEAD = (
    "| targets | accounts | parts | hours | rounds | looks | operations | CodeDeploy calls | S3 requests | objects | "
    "function busy (s) | CPU (s) | largest result (bytes) | dollars |"
)


def line(row: Row) -> str:
    figures, counted = row.run.figures, row.run.blobs.calls
    requests = sum(counted[name] for name in ("get", "put", "list", "delete"))
    cells = (
        f"{row.size.targets:,}",
        f"{row.size.accounts}",
        f"{len(row.run.parts)}",
        f"{row.hours:.1f}",
        f"{figures.rounds:,}",
        f"{figures.looks:,}",
        f"{figures.operations:,}",
        f"{sum(calls(row.run).values()):,}",
        f"{requests:,}",
        f"{row.objects:,}",
        f"{figures.alive:,.0f}",
        f"{figures.cpu:,.0f}",
        f"{figures.largest_result}",
        f"{sum(row.dollars().values()):.3f}",
    )
    return f"| {' | '.join(cells)} |"


LOOK_HEAD = "| targets of the part | journal (MB) | one look: CPU (s) | of that reading the journal (s) |"


def look_at(count: int) -> str:
    """One look at a part with so many targets, all of them running: a row of the table."""
    run = release(Size(1, count))
    run.world.targets = [replace(each, needs=(), controls=Controls()) for each in run.world.targets]

    async def play() -> tuple[float, float, int]:
        await run.launch()
        await run.look([Order(run=RUN)])  # starts them all
        await anyio.sleep(30.0)
        began = time.process_time()
        await run.runs.load_run(RUN)
        read = time.process_time() - began
        began = time.process_time()
        await run.look([Order(run=RUN)])
        size = sum(len(blob.content) for name, blob in run.blobs.objects.items() if "/journal/" in name)
        return time.process_time() - began, read, size

    loop = looptime.new_event_loop(start=1000.0, noop_cycles=1)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        seconds, read, size = runner.run(play())
    return f"| {count:,} | {size / 1e6:.1f} | {seconds:.2f} | {read:.2f} |"


def violations(row: Row) -> list[str]:
    """What would make the figures worth nothing."""
    made = [each for place in row.run.world.places.values() for each in place.made.values()]
    wrong = []
    if not all(each.state.is_good for each in row.state.targets.values()):
        wrong.append("not all have succeeded")
    if len(made) != row.size.targets or len({each.key for each in made}) != row.size.targets:
        wrong.append(f"{len(made)} deployments for {row.size.targets} targets")
    if row.run.figures.largest_result > 1000:
        wrong.append("a step's result is large")
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "sizes", nargs="*", default=["1x10", "4x25", "100x10", "10x100", "100x100"], help="accounts x targets"
    )
    parser.add_argument("--looks", nargs="*", type=int, default=[10, 100, 1_000, 10_000], help="targets of one part")
    given = parser.parse_args(arguments)
    if given.looks:
        print(LOOK_HEAD + "\n|---|---|---|---|")
        for count in given.looks:
            print(look_at(count), flush=True)
        print()
    print(HEAD)
    print("|" + "---|" * (HEAD.count("|") - 1))
    failed = False
    for text in given.sizes:
        accounts, each = (int(part) for part in text.split("x"))
        row = play(Size(accounts, each))
        print(line(row), flush=True)
        print(f"{row.wall:.0f} s of this machine", file=sys.stderr)
        for wrong in violations(row):
            failed = True
            print(f"{text}: {wrong}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
