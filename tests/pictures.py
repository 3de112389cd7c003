"""The pictures in docs/images, drawn by the product itself: `make pictures` writes them, and a test draws them again.

`shop.svg` is the sample manifest. `shop-run.svg` is a run of it under way: the events are made up, so that the picture
is the same each time, and stand in a journal as any run's do; `orchestrator graph` reads and draws it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pages
from bigruns import NOON, Told, begin, intended, started, unfinished

from orchestrator.app.offline import graph_targets
from orchestrator.cli.run_graph import run_graph
from orchestrator.core import events as ev
from orchestrator.core.model import Target, TargetState

IMAGES = pages.DOCS / "images"
SHOP = pages.ROOT / "configs" / "shop" / "release.yaml"
RUN = "20251125-120000-shop00"
S = TargetState

_NO_CHOICE: Mapping[str, Any] = {
    "select": (),
    "exclude": (),
    "include_needs": False,
    "include_dependents": False,
    "variables": (),
    "environment": "staging",
    "form": "svg",
    "state": None,
}

ENDED = {
    "shop-db/primary": (2, 64, S.SUCCEEDED),
    "shop-db/reporting": (3, 48, S.SUCCEEDED),
    "log-shipper/all": (2, 41, S.SUCCEEDED),
    "shop-pages/fleet": (2, 2, S.UNCHANGED),
    "shop-search/fleet": (50, 97, S.SUCCEEDED),
    "shop-api/canary": (66, 105, S.SUCCEEDED),
    "shop-jobs/emails": (66, 112, S.FAILED),
}
"""Seconds after the begin at which it started and ended, and how."""
RUNNING = {"shop-jobs/orders": (66, 4), "shop-api/fleet": (107, 2)}
"""When it started, and how many of its six instances are done."""


def pictures() -> dict[str, str]:
    """By the names of their files."""
    return {"shop.svg": _drawn(str(SHOP), {}), "shop-run.svg": _of_a_run()}


def _drawn(name: str, more: Mapping[str, Any]) -> str:
    return run_graph(name, {**_NO_CHOICE, **more}, {}) + "\n"


def _of_a_run() -> str:
    targets = graph_targets(SHOP, "staging", {}, {})
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder, "runs", RUN, "journal.jsonl")
        journal.parent.mkdir(parents=True)
        journal.write_text("".join(f"{record.to_json()}\n" for record in _under_way(targets).records))
        return _drawn(RUN, {"state": folder})


def _under_way(targets: tuple[Target, ...]) -> Told:
    told = begin(targets, run=RUN)
    happening: list[tuple[float, ev.Event]] = [(0, ev.DurationsExpected(seconds={each.id: 60.0 for each in targets}))]
    for number, each in enumerate(targets):
        start, _ = RUNNING.get(each.id, ENDED.get(each.id, (0, 0))[:2])
        end = ENDED.get(each.id)
        if start and (end is None or end[2] is not S.UNCHANGED):
            happening += [(start, intended(each)), (start, started(each, number))]
        if end is not None:
            happening.append((end[1], ev.TargetFinished(target=each.id, state=end[2])))
        if each.id in RUNNING:
            happening.append((start + 30, unfinished(each, number, done=RUNNING[each.id][1], of=6)))
    for when, event in sorted(happening, key=lambda pair: pair[0]):
        told.tell(event, after=NOON + when - told.now)
    return told


def main() -> int:
    IMAGES.mkdir(exist_ok=True)
    for name, drawing in pictures().items():
        (IMAGES / name).write_text(drawing, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
