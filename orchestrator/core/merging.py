"""The journals of a run and of its parts as one: whoever reads the run sees all of its targets.

Within a journal the order is kept; between two of them it hardly matters: no target of one waits for one of another.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.errors import UsageError

PARTS = "parts"
"""The option of `run_started` that names the runs which carry out the parts."""

PART_OF = "part_of"
"""The option of a part's `run_started` that names the whole run."""

FUNCTION = "function"
"""The option that names the function which goes on with the run."""

_OF_THE_PART = (
    ev.RunStarted,
    ev.RunDetached,
    ev.RunFinished,
    ev.ReleaseRollbackStarted,
    ev.ReleaseRollbackFinished,
    gev.RunBlocked,
)
"""Turns in the life of a part alone: the run has its own."""


def parts_of(records: Sequence[ev.Record]) -> tuple[str, ...]:
    """The runs that carry out the parts of the run with these records; empty: it has none, and goes on by itself."""
    first = records[0].event if records else None
    found = first.options.get(PARTS) if isinstance(first, ev.RunStarted) else None
    return tuple(str(name) for name in found or ())


def check_undivided(records: Sequence[ev.Record], command: str) -> None:
    """Raises `UsageError` where a run is carried on by its parts alone."""
    parts = parts_of(records)
    if parts:
        raise UsageError(
            f"run {records[0].run} is carried out in {len(parts)} parts, each of which is a run of its own",
            hint=" && ".join(f"orchestrator {command} {part}" for part in parts),
        )


def whole_of(event: ev.RunStarted) -> str | None:
    """The run that this one is a part of."""
    found = event.options.get(PART_OF)
    return None if found is None else str(found)


class Merger:
    """Numbers the records of several journals anew, in the order in which they are given to it."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._seq = 0
        self._targets: dict[str, tuple[str, ...]] = {}
        self._goes_back = False

    def take(self, record: ev.Record) -> ev.Record | None:
        """The record as one of the whole run's; None: it says nothing about that. To be called in a journal's order."""
        event = record.event if record.run == self._run else self._of_part(record)
        if event is None:
            return None
        self._seq += 1
        return ev.Record(self._seq, record.ts, self._run, event)

    def _of_part(self, record: ev.Record) -> ev.Event | None:
        event = record.event
        if isinstance(event, ev.RunStarted):
            self._targets[record.run] = tuple(data["id"] for data in event.targets)
        if isinstance(event, _OF_THE_PART):
            return None
        if isinstance(event, ev.RunResumed):
            return replace(event, targets=self._targets.get(record.run, ()))
        if isinstance(event, ev.ReleaseRollbackRequested):
            first, self._goes_back = not self._goes_back, True
            return event if first else None
        return event


def merged(run: str, own: Sequence[ev.Record], parts: Mapping[str, Sequence[ev.Record]]) -> Iterator[ev.Record]:
    """All records as the whole run's."""
    merger = Merger(run)
    for record in merged_order(own, [record for records in parts.values() for record in records]):
        if (taken := merger.take(record)) is not None:
            yield taken


def merged_order(own: Sequence[ev.Record], theirs: Sequence[ev.Record]) -> list[ev.Record]:
    """These records of the run's journal and of its parts' in the order in which they are to be told.

    What the run itself has recorded is its launch, and its end; so it stands around the rest, whatever clocks say.
    """
    parts: dict[str, list[ev.Record]] = {}
    for record in theirs:
        parts.setdefault(record.run, []).append(record)
    begin = [record for record in own if not _is_of_the_end(record.event)]
    end = [record for record in own if _is_of_the_end(record.event)]
    last = max((record.ts for record in theirs), default=0.0)
    return [*begin, *_by_time(parts.values()), *(replace(each, ts=max(each.ts, last)) for each in end)]


def _is_of_the_end(event: ev.Event) -> bool:
    return isinstance(event, (ev.RunFinished, ev.ReleaseRollbackFinished))


def _by_time(journals: Iterable[Sequence[ev.Record]]) -> Iterator[ev.Record]:
    """A journal's own order stands, even where its clock was set back."""
    keyed = []
    for number, records in enumerate(journals):
        latest, lines = 0.0, []
        for record in records:
            latest = max(latest, record.ts)
            lines.append((latest, number, record.seq, record))
        keyed.append(lines)
    return (line[3] for line in heapq.merge(*keyed, key=lambda line: line[:3]))
