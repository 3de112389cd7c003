"""Runs the hooks of a target or of the run: each once, in their order, the first failure ends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio

from orchestrator.core import gate_events as gev
from orchestrator.core.calling_off import cancel_after
from orchestrator.core.controls import HookSpec, HookTime
from orchestrator.core.gate_state import HookRun
from orchestrator.core.gating import INTERRUPTED, PASSED, Held
from orchestrator.core.ports import Commands, Ran
from orchestrator.core.recorder import Recorder


class Hooks:
    def __init__(self, recorder: Recorder, commands: Commands) -> None:
        self._recorder = recorder
        self._commands = commands
        self.running = 0

    async def run_all(
        self,
        target: str | None,
        when: HookTime,
        hooks: Sequence[HookSpec],
        facts: Mapping[str, str],
        over: anyio.Event,
    ) -> Held:
        """`over` ends one that runs, and its outcome stays unknown. Raises `StateError` only."""
        for number, hook in enumerate(hooks):
            known = self._recorder.state.gates.hooks.get((target, when, number), HookRun(command=hook.command))
            finished = known.finished or await self._run(target, when, number, hook, facts, over)
            if finished is None:
                return INTERRUPTED
            if not finished.ok:
                return Held("failed", finished.reason)
        return PASSED

    async def _run(
        self,
        target: str | None,
        when: HookTime,
        number: int,
        hook: HookSpec,
        facts: Mapping[str, str],
        over: anyio.Event,
    ) -> gev.HookFinished | None:
        self._recorder.record(gev.HookStarted(target=target, when=when, number=number, command=hook.command))
        await self._recorder.commit()  # one that may have run is known to have been begun
        began = anyio.current_time()
        ran: Ran | None = None
        self.running += 1
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cancel_after, over, tasks.cancel_scope)
                ran = await self._commands.run(hook, {**facts, "ORCHESTRATOR_HOOK": when})
                tasks.cancel_scope.cancel()
        finally:
            self.running -= 1
        if ran is None:
            return None
        finished = gev.HookFinished(
            target=target,
            when=when,
            number=number,
            ok=ran.ok,
            reason=f"{when} hook `{' '.join(hook.command)}` {ran.reason}",
            exit_code=ran.exit_code,
            output=ran.output,
            seconds=anyio.current_time() - began,
        )
        self._recorder.record(finished)
        await self._recorder.commit()  # what has run isn't run again
        return finished
