"""`make simulate SEEDS=5000`: random runs of the real engine, as many as wanted, on all processors.

`--only leases --seed 17` plays one again and tells its story.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence

from simulations import SIMULATIONS, play, replay

import orchestrator

Job = tuple[str, int]


def main() -> int:
    """0: every promise was kept; 1: one was broken."""
    options = _options()
    names = options.only or list(SIMULATIONS)
    if options.seed is not None:
        stories = [play(name, options.seed) for name in names]
        print("\n".join(filter(None, stories)) or "all promises kept")
        return int(any(stories))
    began = time.monotonic()
    played, failed = _play_all(list(_jobs(names, options.first, options.seeds)), options.jobs, options.stop)
    seconds = time.monotonic() - began
    print(f"{played} seeds in {seconds:.1f} s, {played / seconds:.0f} seeds/s; {len(failed)} failed")
    print(f"(the engine of {os.path.dirname(orchestrator.__file__ or '')})")  # noqa: PTH120 - a line to read
    for name, seed in failed:
        print(f"FAILED {name} {seed}: {replay(name, seed)}")
    return int(bool(failed))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="in all, shared out among the simulations")
    parser.add_argument("--first", type=int, default=0, help="the first seed of each simulation")
    parser.add_argument("--seed", type=int, help="this one only, with its story")
    parser.add_argument("--only", action="append", choices=list(SIMULATIONS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--stop", action="store_true", help="at the first violation")
    return parser.parse_args()


def _jobs(names: Sequence[str], first: int, seeds: int) -> Iterator[Job]:
    for number in range(seeds):
        yield names[number % len(names)], first + number // len(names)


def _play_all(jobs: Sequence[Job], processes: int, stop: bool) -> tuple[int, list[Job]]:
    played, failed = 0, []
    with multiprocessing.Pool(processes) as pool:
        for job, story in pool.imap(_play, jobs, chunksize=1 if stop else 8):
            played += 1
            if story:
                failed.append(job)
                print(story if len(failed) == 1 else story.split("\n", 1)[0], file=sys.stderr)
                if stop:
                    break
    return played, failed


def _play(job: Job) -> tuple[Job, str]:
    return job, play(*job)


if __name__ == "__main__":
    sys.exit(main())
