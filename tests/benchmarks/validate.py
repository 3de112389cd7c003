"""CPU of `validate` on large manifests, beside what PyYAML alone takes to load the same file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .figures import Figure
from .manifests import rich, write
from .processes import ORCHESTRATOR, PYTHON, measure

SIZES = ((1_000, 0.8), (10_000, 6.0))
"""Applications, and seconds of CPU."""

LOAD = """
import sys, time, yaml
text = open(sys.argv[2]).read()
began = time.process_time()
yaml.load(text, getattr(yaml, sys.argv[1]))
print(time.process_time() - began)
"""
SLOW_UP_TO = 1_000
"""Applications; PyYAML's loader in Python takes half a minute for ten times as many."""


def figures(folder: Path) -> Iterator[Figure]:
    for count, seconds in SIZES:
        manifest = write(folder / f"release-{count}.yaml", rich(count))
        rounds = 3 if count <= SLOW_UP_TO else 1
        cpu = min(measure([ORCHESTRATOR, "validate", str(manifest), "--no-bundles"]).cpu for _ in range(rounds))
        kilobytes = manifest.stat().st_size / 1000
        yield Figure(
            name=f"{count:,} applications, {kilobytes:,.0f} kB",
            value=cpu,
            unit="s",
            at_most=seconds,
            beside=_loaders(manifest, with_slow=count <= SLOW_UP_TO),
        )


def _loaders(manifest: Path, *, with_slow: bool) -> str:
    loaders = ["CSafeLoader", "SafeLoader"] if with_slow else ["CSafeLoader"]
    times = {each: float(measure([PYTHON, "-c", LOAD, each, str(manifest)]).output) for each in loaders}
    return "yaml: " + ", ".join(f"{loader} {seconds:.2f} s" for loader, seconds in times.items())
