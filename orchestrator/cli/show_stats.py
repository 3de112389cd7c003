"""How releases go, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.core.delivery import (
    FAILED,
    PERCENTILES,
    WINDOWS,
    Delivery,
    Release,
    Stream,
    deliveries,
    percentile,
)
from orchestrator.core.model import Outcome
from orchestrator.wording.text import duration, one_line

_NAMES: Mapping[str, str] = {"7d": "7 days", "30d": "30 days"}
_WIDTH = 26


def stats_as_text(releases: Sequence[Release], now: float) -> str:
    """A table for each manifest and environment; `now` in epoch seconds."""
    streams = _measured(releases, now)
    if not streams:
        return "no releases yet"
    blocks = []
    for (manifest, environment), by_window in sorted(streams.items()):
        where = f" to {one_line(environment)}" if environment else ""
        heading = "".join(_NAMES[window].rjust(16) for window in WINDOWS)
        rows = [
            f"  {name.ljust(_WIDTH)}{''.join(cell.rjust(16) for cell in cells)}" for name, cells in _rows(by_window)
        ]
        blocks.append("\n".join([f"{one_line(manifest)}{where}", " " * (_WIDTH + 2) + heading, *rows]))
    return "\n\n".join([*blocks, "times: half of them took no longer, and 90 of 100 took no longer"])


def stats_as_json(releases: Sequence[Release], now: float) -> str:
    """An object for each manifest, environment and window; times are seconds."""
    return json.dumps(
        [
            {
                "manifest": manifest,
                "environment": environment,
                "window": window,
                "outcomes": {str(outcome): count for outcome, count in delivery.outcomes.items()},
                "failure_ratio": delivery.failure_ratio,
                "lead_time_seconds": {
                    "commit": _percentiles(delivery.from_commit),
                    "start": _percentiles(delivery.from_start),
                },
                "restore_seconds": _percentiles(delivery.restored),
            }
            for (manifest, environment), by_window in sorted(_measured(releases, now).items())
            for window, delivery in by_window.items()
        ],
        indent=2,
    )


def _measured(releases: Sequence[Release], now: float) -> dict[Stream, dict[str, Delivery]]:
    found: dict[Stream, dict[str, Delivery]] = {}
    for window, seconds in WINDOWS.items():
        for stream, delivery in deliveries(releases, now - seconds).items():
            found.setdefault(stream, {})[window] = delivery
    return found


def _rows(by_window: Mapping[str, Delivery]) -> Iterable[tuple[str, list[str]]]:
    found = list(by_window.values())
    yield "succeeded", [str(each.outcomes.get(Outcome.SUCCEEDED, 0)) for each in found]
    yield "failed, or had to go back", [str(sum(each.outcomes.get(bad, 0) for bad in FAILED)) for each in found]
    yield "change failure rate", [_share(each.failure_ratio) for each in found]
    yield "from commit to success", [_times(each.from_commit) for each in found]
    yield "from start to success", [_times(each.from_start) for each in found]
    yield "time to restore", [_times(each.restored) for each in found]


def _share(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.0%}"


def _times(rising: Sequence[float]) -> str:
    return " / ".join(duration(percentile(rising, each / 100) or 0.0) for each in PERCENTILES) if rising else "–"


def _percentiles(rising: Sequence[float]) -> dict[str, Any] | None:
    return {f"p{each}": percentile(rising, each / 100) for each in PERCENTILES} if rising else None
