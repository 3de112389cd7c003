"""`runs --stats`: the measures of delivery for people and for programs."""

from __future__ import annotations

import json

from orchestrator.cli.show_stats import stats_as_json, stats_as_text
from orchestrator.core.delivery import DAY, Release
from orchestrator.core.model import Outcome

NOW = 1_700_000_000.0


def release(number: int, outcome: Outcome, days_ago: float, took: float, *, manifest: str = "release.yaml") -> Release:
    started_at = NOW - days_ago * DAY
    return Release(
        run=f"r{number}",
        release="shop",
        environment="prod",
        manifest=manifest,
        outcome=outcome,
        started_at=started_at,
        ended_at=started_at + took,
        committed_at=started_at - 3600,
    )


RELEASES = [
    release(1, Outcome.SUCCEEDED, 20, 300),
    release(2, Outcome.FAILED, 3, 100),
    release(3, Outcome.SUCCEEDED, 2, 200),
]


def test_for_people() -> None:
    assert stats_as_text(RELEASES, NOW).splitlines() == [
        "release.yaml to prod",
        "                                      7 days         30 days",
        "  succeeded                                1               2",
        "  failed, or had to go back                1               1",
        "  change failure rate                    50%             33%",
        "  from commit to success       1h03m / 1h03m   1h03m / 1h05m",
        "  from start to success        3m20s / 3m20s   3m20s / 5m00s",
        "  time to restore              1d00h / 1d00h   1d00h / 1d00h",
        "",
        "times: half of them took no longer, and 90 of 100 took no longer",
    ]


def test_without_any_release_or_with_names_that_are_no_names() -> None:
    assert stats_as_text([], NOW) == "no releases yet"
    assert stats_as_json([], NOW) == "[]"
    (first, *_) = stats_as_text([release(1, Outcome.FAILED, 1, 5, manifest="a\x1b[31m\nb")], NOW).splitlines()
    assert "\x1b" not in first
    assert first.endswith(" to prod")


def test_for_programs() -> None:
    week, month = json.loads(stats_as_json(RELEASES, NOW))
    assert (week["window"], month["window"]) == ("7d", "30d")
    assert month["outcomes"] == {"succeeded": 2, "failed": 1}
    assert week["failure_ratio"] == 0.5
    assert month["lead_time_seconds"]["start"] == {"p50": 200.0, "p90": 300.0}
    assert week["restore_seconds"] == {"p50": DAY + 100, "p90": DAY + 100}
    nothing = json.loads(stats_as_json([release(1, Outcome.FAILED, 1, 5)], NOW))[0]
    assert nothing["lead_time_seconds"] == {"commit": None, "start": None}
    assert nothing["restore_seconds"] is None
