"""Figures and how they are shown: one line each, with the target and the baseline beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NAME_WIDTH = 35
VALUE_WIDTH = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One thing that was measured."""

    name: str
    value: float | None
    """None: it couldn't be measured; `beside` then says why."""
    unit: str = ""
    at_most: float | None = None
    """The target; None: a baseline, or only of interest, unless there is an `at_least`."""
    at_least: float | None = None
    """A target that is met by more: of ratios."""
    beside: str = ""
    """What it is to be compared with, in words."""

    @property
    def is_met(self) -> bool | None:
        """None where there is no target, or nothing was measured."""
        if self.value is None or (self.at_most is None and self.at_least is None):
            return None
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    @property
    def target(self) -> str:
        """In words; empty where there is none."""
        if self.at_least is not None:
            return f"≥ {amount(self.at_least, self.unit)}"
        return "" if self.at_most is None else f"≤ {amount(self.at_most, self.unit)}"


HEADING = f"{'':{NAME_WIDTH}} {'measured':>{VALUE_WIDTH}}  {'target':>{VALUE_WIDTH}}"


def line(figure: Figure) -> str:
    value = "–" if figure.value is None else amount(figure.value, figure.unit)
    verdict = {None: "", True: "ok", False: "MISSED"}[figure.is_met]
    judged = f"{value:>{VALUE_WIDTH}}  {figure.target:>{VALUE_WIDTH}}  {verdict:6}"
    text = f"{figure.name:{NAME_WIDTH}} {judged}  {figure.beside}"
    return text.rstrip()


def amount(value: float, unit: str) -> str:
    """At least two digits that count, and the unit: `0.28 s`, `12.4 s`, `97 MB`, `1,042`."""
    if value == int(value) or value >= 50:
        number = f"{value:,.0f}"
    else:
        number = f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{number} {unit}".rstrip()


def closing(figures: Iterable[Figure]) -> str:
    """How many targets were met, and which were not."""
    judged = [figure for figure in figures if figure.is_met is not None]
    missed = [figure.name for figure in judged if not figure.is_met]
    met = f"{len(judged) - len(missed)} of {len(judged)} targets met"
    return f"{met}; missed: {', '.join(missed)}" if missed else met
