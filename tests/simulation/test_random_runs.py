"""Random runs of the real engine in virtual time: whatever goes wrong, the promises hold.

`ORCHESTRATOR_SEEDS=9000` runs more of them (`make simulate` on all processors); a seed that fails is a test of its own
name, tells its story, and says how to play it again.
"""

from __future__ import annotations

import os

import pytest
from simulations import play

SEEDS = int(os.environ.get("ORCHESTRATOR_SEEDS", "2000"))
"""In all."""
SHARES = {
    "faults": 0.3,
    "crashes": 0.2,
    "rollbacks": 0.15,
    "gates": 0.15,
    "leases": 0.1,
    "looks": 0.04,
    "looks-back": 0.02,
    "looks-gates": 0.04,
}
"""Of the seeds: those with leases take five times as long as the others."""


@pytest.mark.parametrize("seed", range(round(SEEDS * SHARES["faults"])))
def test_the_promises_hold(seed: int) -> None:
    _play("faults", seed)


@pytest.mark.parametrize("seed", range(10_000, 10_000 + round(SEEDS * SHARES["crashes"])))
def test_the_promises_hold_over_crashes(seed: int) -> None:
    _play("crashes", seed)


@pytest.mark.parametrize("seed", range(30_000, 30_000 + round(SEEDS * SHARES["rollbacks"])))
def test_the_promises_hold_when_releases_go_back(seed: int) -> None:
    _play("rollbacks", seed)


@pytest.mark.parametrize("seed", range(40_000, 40_000 + round(SEEDS * SHARES["gates"])))
def test_the_promises_hold_at_gates(seed: int) -> None:
    _play("gates", seed)


@pytest.mark.parametrize("seed", range(20_000, 20_000 + round(SEEDS * SHARES["leases"])))
def test_the_promises_hold_with_leases(seed: int) -> None:
    _play("leases", seed)


@pytest.mark.parametrize("name", ["looks", "looks-back", "looks-gates"])
def test_the_promises_hold_when_nobody_stays_with_the_run(name: str) -> None:
    for seed in range(50_000, 50_000 + round(SEEDS * SHARES[name])):
        _play(name, seed)


def _play(name: str, seed: int) -> None:
    story = play(name, seed)
    assert not story, story
