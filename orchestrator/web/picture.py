"""A run at one moment, with what several sections need and is worth computing once."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.forecast import Forecast, forecast
from orchestrator.core.state import RunState
from orchestrator.web.gantt import Gantt, chart_of
from orchestrator.web.view import RunView


@dataclass(frozen=True, slots=True)
class Picture:
    view: RunView
    now: float
    """Epoch seconds."""
    forecast: Forecast
    gantt: Gantt
    inline: bool
    """All is in one document: links to a target lead to its details further down, and there is no server to ask."""

    @property
    def state(self) -> RunState:
        return self.view.state


def picture_of(view: RunView, now: float, *, inline: bool = False, second: bool = False) -> Picture:
    """`inline`: see `Picture`. `second`: the document shows another run already, with the same ids."""
    ahead = forecast(view.state, now)
    return Picture(
        view, now, ahead, Gantt(view.state, now, ahead, chart_of(view.state, now, ahead), not second), inline
    )
