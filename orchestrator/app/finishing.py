"""The end of a run with parts: said once all of them have ended."""

from __future__ import annotations

import time
from collections.abc import Mapping

from orchestrator.app.stores import open_state
from orchestrator.app.waking import forget
from orchestrator.core.conducting import Launched
from orchestrator.core.events import ReleaseRollbackFinished, RunFinished
from orchestrator.core.outcome import outcome_of
from orchestrator.core.recorder import Recorder
from orchestrator.core.result import exit_code_of
from orchestrator.core.state import RunState, fold


async def finish(launched: Launched, env: Mapping[str, str]) -> str:
    """Records how the run has ended, where nobody has yet, and returns its outcome. Raises `StateError`."""
    async with open_state(launched.state, None, env) as kept:
        await forget(kept.blobs, launched.run)
        whole = await kept.runs.load_run(launched.run)
        if not launched.is_divided or whole.is_finished:
            return str(whole.outcome if whole.is_finished else outcome_of(whole))
        async with kept.runs.open_journal(launched.run, new=False) as journal:
            own = fold(journal.found.records)
            recorder = Recorder(run=launched.run, state=own, journal=journal, sinks=[], clock=time.time)
            if whole.awaits_rollback:
                back = ReleaseRollbackFinished(rollback_run=whole.rollback_run or launched.run)
                recorder.record(back)
                whole.rollback_finished = back
            return await _record_end(recorder, whole)


async def _record_end(recorder: Recorder, whole: RunState) -> str:
    outcome = outcome_of(whole)
    recorder.record(RunFinished(outcome=outcome, exit_code=int(exit_code_of(whole))))
    await recorder.commit()
    return str(outcome)
