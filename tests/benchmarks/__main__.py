"""`python -m tests.benchmarks [NAME…]`: runs the benchmarks of these names, or all, and prints their figures."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from . import (
    batchget,
    dag,
    digests,
    drawing,
    packing,
    page,
    rehearsal,
    scraping,
    service,
    start,
    state,
    terminal,
    thousand,
    uploading,
    validate,
)
from .figures import HEADING, Figure, closing, line
from .processes import CommandError

BENCHMARKS: Mapping[str, tuple[str, Callable[[Path], Iterator[Figure]]]] = {
    "start": ("CPU of commands that must feel instant (median of 5)", start.figures),
    "validate": ("CPU of `validate --no-bundles` (best of 3; of 1 for the largest)", validate.figures),
    "packing": ("packing beside that of `aws deploy push`, in alternating rounds (medians)", packing.figures),
    "uploading": (
        "packing and uploading to an S3 30 ms away, 40 MB/s a connection, TLS, beside `aws deploy push`",
        uploading.figures,
    ),
    "digests": ("CPU of walking and digesting 200 MB in 3,000 files (median of 5)", digests.figures),
    "batchget": ("CPU of one BatchGetDeployments of 25 (median of 5 rounds)", batchget.figures),
    "scraping": ("CPU of a scrape of the metrics of 10,000 targets", scraping.figures),
    "drawing": ("CPU of drawing a run of 1,000 targets (best of 5)", drawing.figures),
    "page": ("the page in Chromium, over a folder; and a run that is watched", page.figures),
    "terminal": ("the live view of 1,000 targets, and the log (CPU, best of 5)", terminal.figures),
    "thousand": ("1,000 independent targets against `orchestrator sandbox`, a process of its own", thousand.figures),
    "rehearsal": (
        "1,000 groups of 3 instances deployed to in `orchestrator sandbox` at time scale 0",
        rehearsal.figures,
    ),
    "service": ("`orchestrator sandbox` as a server, a process of its own", service.figures),
    "state": ("runs and their state, in a folder and in S3", state.figures),
    "dag": ("200 targets in a random graph against `orchestrator sandbox`", dag.figures),
}


def main(names: Sequence[str]) -> int:
    """0 also where a target is missed, which a busy machine may do; 1 when something couldn't be measured at all."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    shown: list[Figure] = []
    unmeasured: list[str] = []
    began = time.monotonic()
    print(HEADING)
    for name in names or BENCHMARKS:
        title, figures = BENCHMARKS[name]
        print(f"\n{name}: {title}", flush=True)
        try:
            _run(figures, shown)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except (CommandError, OSError) as error:
            unmeasured.append(name)
            print(f"could not be measured: {error}", flush=True)
    print(f"\n{closing(shown)} ({time.monotonic() - began:.0f} s)")
    if unmeasured:
        print(f"could not be measured: {', '.join(unmeasured)}", file=sys.stderr)
    return 1 if unmeasured else 0


def _run(figures: Callable[[Path], Iterator[Figure]], shown: list[Figure]) -> None:
    """Prints each figure as it comes."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder:
        for figure in figures(Path(folder)):
            print(line(figure), flush=True)
            shown.append(figure)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
