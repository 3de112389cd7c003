"""The two phases of a run: the release, and its rollback where one is due; orders reach the one that runs."""

from __future__ import annotations

from orchestrator.core import events as ev
from orchestrator.core.approvals import Approvals
from orchestrator.core.control import OnCancel
from orchestrator.core.engine import Engine
from orchestrator.core.recorder import Recorder
from orchestrator.core.rollback import ReleaseRollback


class Phases:
    """Runs one after the other; is told what to do as an engine is."""

    def __init__(self, recorder: Recorder, engine: Engine, rollback: ReleaseRollback | None) -> None:
        """`rollback`: None for what can't go back, such as a wait for the deployments of others."""
        self._recorder = recorder
        self._engine = engine
        self._rollback = rollback
        self.is_rolling_back = False

    @property
    def approvals(self) -> Approvals:
        """Where decisions of people come in."""
        return self._engine.approvals

    async def run(self) -> None:
        """Until all has ended, or until told to leave. Raises as `Engine.run`."""
        state = self._recorder.state
        if state.rollback_run is None:  # else only its rollback is left of it
            await self._engine.run()
        if self._rollback is None or self._engine.has_left:
            return
        if state.awaits_rollback and state.detached is None and state.blocked is None:
            self.is_rolling_back = True
            await self._rollback.run()

    def cancel(self, mode: OnCancel, *, reason: str, signal: int | None = None) -> None:
        """A rollback that has begun isn't stopped: only left, for a resume to go on with."""
        if not self.is_rolling_back:
            self._engine.cancel(mode, reason=reason, signal=signal)
            return
        if self._recorder.state.is_finished:
            return
        self._recorder.record(ev.CancelRequested(mode=str(mode), reason=reason, signal=signal))
        if mode in {OnCancel.DETACH, OnCancel.STOP}:
            self.leave(reason)

    def leave(self, reason: str, *, pause: bool = False) -> None:
        """Goes, and leaves running what runs. `pause`: as `Engine.leave`."""
        if self.is_rolling_back and self._rollback is not None:
            self._rollback.leave(reason, pause=pause)
        else:
            self._engine.leave(reason, pause=pause)

    @property
    def rests_until(self) -> float | None:
        """As `Engine.rests_until`, of the phase that was left."""
        if self.is_rolling_back and self._rollback is not None:
            return self._rollback.rests_until
        return self._engine.rests_until
