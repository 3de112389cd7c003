"""What measurements make of a gate: decided here, asked for elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from orchestrator.core.controls import GateSpec

Answer = Literal["good", "bad", "unknown"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One look at what a gate is about."""

    verdict: Answer
    """unknown: it couldn't be asked. That decides nothing, and leaves the rows of good and bad ones as they are."""
    reason: str
    """In words, without secrets."""


@dataclass(frozen=True, slots=True)
class Row:
    """How the measurements of a gate stand."""

    good: int = 0
    """So many good ones since the last bad one."""
    bad: int = 0
    last: Measurement | None = None

    def after(self, measurement: Measurement) -> Row:
        match measurement.verdict:
            case "good":
                return Row(self.good + 1, 0, measurement)
            case "bad":
                return Row(0, self.bad + 1, measurement)
            case "unknown":
                return replace(self, last=measurement)

    def decide(self, spec: GateSpec, *, held: bool, is_late: bool) -> Literal["passed", "failed", "pending"]:
        """`held`: a bake is still going on, in which the gate can fail but not pass; `is_late`: its time is up."""
        if self.bad >= spec.failures:
            return "failed"
        if not held and (self.good >= spec.successes or spec.is_lenient):
            return "passed"
        return "failed" if is_late and not held else "pending"

    def why_failed(self, spec: GateSpec, *, waited: float) -> str:
        """One sentence; `waited` in seconds."""
        last = "it was never measured" if self.last is None else f"{self.last.verdict}: {self.last.reason}"
        if self.bad >= spec.failures:
            times = "" if spec.failures == 1 else f" ({self.bad} times in a row)"
            return f"{last}{times}"
        return f"not passed within {span(waited)}; last measurement: {last}"


def span(seconds: float) -> str:
    """`5m`, `1h30m`, `45s`: as people write it in a manifest."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count)
