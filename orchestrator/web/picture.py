"""A run at one moment, with what several sections need and is worth computing once."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    """`inline`: see `Picture`. `second`: the document shows another run already, with the same ids.

    Of a run that nobody carries on, time stands still at its last event, and nothing is expected.
    """
    state = view.state
    abandoned = not view.alive and state.ended_at is None and state.last_ts is not None
    now = state.last_ts or now if abandoned else now
    ahead = forecast(state, now)
    if abandoned:
        ahead = replace(ahead, starts={}, ends={}, remaining={}, ends_at=None)
    chart = chart_of(state, now, ahead)
    return Picture(view, now, ahead, Gantt(state, now, ahead, chart, ids=not second, alive=not abandoned), inline)
