"""CPU of a second run's digests: with every file read, and with a walk alone."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from .figures import Figure
from .processes import PYTHON, measure

DIGEST = """
import sys, time
from pathlib import Path
from orchestrator.bundle.digest import tree_digest
from orchestrator.bundle.remembered import HashCache
from orchestrator.bundle.source import digest, open_source
from orchestrator.bundle.tree import scan
from orchestrator.core.model import BundleSource
import orchestrator.bundle.pipeline
source = BundleSource(path=Path(sys.argv[1]), bucket="", prefix="", format="tgz")
bundle = open_source(source)
cache = HashCache(Path(sys.argv[2])) if sys.argv[2] else None
began = time.process_time()
scan(source.path)
found = digest(bundle, cache=cache)
print(time.process_time() - began, found.value)
"""
ROUNDS = 5
SETTLED = 3
"""Seconds; a file that is newer isn't remembered."""


def figures(folder: Path) -> Iterator[Figure]:
    source = folder / "source"
    measure([PYTHON, "-m", "tests.benchmarks.trees", "mixed", str(source)])
    read, digest = _median(source, "")
    yield Figure(name="every file read", value=read, unit="s", at_most=0.2)
    _until_settled(source)
    _median(source, str(folder / "cache"), rounds=1)
    walked, again = _median(source, str(folder / "cache"))
    beside = "the same digest" if digest == again else "ANOTHER DIGEST"
    yield Figure(name="nothing changed: a walk", value=walked, unit="s", at_most=0.05, beside=beside)


def _median(source: Path, cache: str, *, rounds: int = ROUNDS) -> tuple[float, str]:
    outputs = [measure([PYTHON, "-c", DIGEST, str(source), cache]).output.split() for _ in range(rounds)]
    return statistics.median(float(seconds) for seconds, _ in outputs), outputs[0][1]


def _until_settled(source: Path) -> None:
    """Waits until no file is too new to be remembered."""
    newest = max(os.stat(path).st_ctime for path in source.rglob("*"))  # noqa: PTH116 - thousands of them
    time.sleep(max(0.0, newest + SETTLED - time.time()))
