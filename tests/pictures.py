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
from bigruns import Told, begin, intended, started, unfinished

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
    "log-shipper/all": S.SUCCEEDED,
    "shop-db/primary": S.SUCCEEDED,
    "shop-db/reporting": S.SUCCEEDED,
    "shop-search/fleet": S.SUCCEEDED,
    "shop-api/canary": S.SUCCEEDED,
    "shop-jobs/emails": S.FAILED,
    "shop-pages/fleet": S.UNCHANGED,
}
RUNNING = {"shop-api/fleet": 2, "shop-jobs/orders": 1}
"""Instances that are done, of six."""


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
    told.tell(ev.DurationsExpected(seconds={each.id: 60.0 for each in targets}))
    for number, each in enumerate(targets):
        if each.id in ENDED and ENDED[each.id] is S.UNCHANGED:
            told.tell(ev.TargetFinished(target=each.id, state=S.UNCHANGED))
        elif each.id in ENDED:
            told.tell(intended(each), started(each, number), after=2.0)
            told.tell(ev.TargetFinished(target=each.id, state=ENDED[each.id]), after=41.0 + 9 * number)
        elif each.id in RUNNING:
            told.tell(intended(each), started(each, number), unfinished(each, number, done=RUNNING[each.id], of=6))
    return told


def main() -> int:
    IMAGES.mkdir(exist_ok=True)
    for name, drawing in pictures().items():
        (IMAGES / name).write_text(drawing, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
