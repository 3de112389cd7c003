"""For CI: all about a target in one block, printed whole when it ends, however many targets run at once.

Starts, failures and what concerns the whole run are told at once besides, a line each, and so are signs of life.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TextIO

from orchestrator.core import bundle_events as bev
from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.events import Record
from orchestrator.core.model import TargetState
from orchestrator.core.outcome import FAILURES
from orchestrator.core.state import RunState, TargetRun
from orchestrator.sinks.dialects import Dialect, annotation, closing, opening
from orchestrator.sinks.plain import PlainSink
from orchestrator.sinks.taming import order, tame
from orchestrator.wording.facts import cause, how_long
from orchestrator.wording.phrase import Phrase
from orchestrator.wording.phrases import phrase
from orchestrator.wording.text import clock_time, one_line

_NEWS = (ev.DeploymentStarted, ev.DeploymentRefused, ev.RollbackStarted, ev.TargetRetried, ev.WarningRaised)
"""Of a target, and told at once; its end is told by its block."""

_NOT_BEGUN = (TargetState.PENDING, TargetState.UPLOADING)
"""There is nothing to tell of these but their bundles."""


@dataclass(slots=True)
class _Block:
    lines: list[str] = field(default_factory=list)
    number: int = 1
    """A target that goes back has a second one."""


class BlockSink(PlainSink):
    """As `PlainSink`, with blocks."""

    def __init__(self, stream: TextIO, dialect: Dialect, **more: Any) -> None:
        """`more`: as for `PlainSink`."""
        super().__init__(stream, **more)
        self._dialect = dialect
        self._blocks: dict[str, _Block] = {}

    def handle(self, record: Record, state: RunState) -> None:
        self._look(record, state)
        said = phrase(record, state)
        if said is None or not self._is_due(record, said, state):
            return
        event = record.event
        owners = [target for target in _owners(event, state) if target.id in state.targets]
        for target in owners:
            self._keep(target, record.ts, said)
        if isinstance(event, ev.TargetFinished):
            self._end(owners[0], record.ts, said)
        elif not owners or isinstance(event, _NEWS) or _asks(event):
            self._tell(record.ts, said)
        if isinstance(event, gev.GateFailed) and event.target is None:
            self._order(annotation(self._dialect, tame(f"{one_line(state.release)} failed"), tame(said.text)))

    def finish(self) -> None:
        """Blocks of targets that haven't ended: the process leaves, and they go on, or wait for something outside."""
        if self._state is None:
            return
        targets = [self._state.targets[name] for name, block in self._blocks.items() if block.lines]
        for target in (each for each in targets if each.state not in _NOT_BEGUN):
            title = f"{one_line(target.id)} left {target.state}"
            self._print(target, title, self._state.last_ts or 0.0, folded=False)

    def _keep(self, target: TargetRun, ts: float, said: Phrase) -> None:
        block = self._blocks.setdefault(target.id, _Block())
        block.lines += [f"{clock_time(ts, self._zone)} {said.text}", *(f"         {line}" for line in said.below)]

    def _end(self, target: TargetRun, ts: float, said: Phrase) -> None:
        """Its verdict is the block's title; one that has nothing else to tell is a line."""
        lines = self._blocks[target.id].lines
        if len(lines) == 1 and target.state not in FAILURES:
            self._tell(ts, said)
            self._begin_next(target)
            return
        verdict = said.text
        if target.state in FAILURES:
            took = how_long(target, ts)
            verdict = f"{target.state} after {took}: {cause(target)}" if took else f"{target.state}: {cause(target)}"
            name = one_line(target.id)
            self._order(annotation(self._dialect, tame(f"{name} {target.state}"), tame(f"{name} {verdict}")))
        else:
            lines.pop()  # it says what the title says
        title = f"{clock_time(ts, self._zone)} {said.about}  {verdict}"
        self._print(target, title, ts, folded=target.state not in FAILURES)

    def _begin_next(self, target: TargetRun) -> None:
        self._blocks[target.id] = _Block(number=self._blocks[target.id].number + 1)

    def _print(self, target: TargetRun, title: str, now: float, *, folded: bool) -> None:
        block = self._blocks[target.id]
        name = f"{target.id}.{block.number}.{int(now)}"  # another command of the job may have one of it, too
        self._order(opening(self._dialect, tame(title), name, now, folded=folded))
        for line in block.lines:
            self._write(f"    {line}")
        self._order(closing(self._dialect, name, now))
        self._begin_next(target)

    def _write(self, line: str) -> None:
        super()._write(tame(line))

    def _order(self, text: str) -> None:
        if text and not self._broken:
            self._broken = not order(self._stream, text)


def _owners(event: ev.Event, state: RunState) -> Iterable[TargetRun]:
    """The targets that the event is about; those of a bundle are all that share it."""
    match event:
        case bev.UploadStarted():
            names = set(event.targets)
            return [target for target in state.targets.values() if target.id in names]
        case bev.BundlePacked():
            return [target for target in state.targets.values() if target.application == event.application]
        case bev.BundleUploaded():
            return [
                target
                for target in state.targets.values()
                if target.application == event.application and target.region in {event.region, ""}
            ]
        case _:
            name = getattr(event, "target", None)
            return [state.targets[name]] if name in state.targets else []


def _asks(event: ev.Event) -> bool:
    """People are waited for."""
    return isinstance(event, gev.GateWaiting) and event.kind == "approval"
