"""The last things that happened, in words, for the list on a page."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.core.events import ApiThrottled, DeploymentProgressed, Record
from orchestrator.core.state import RunState
from orchestrator.wording.phrase import Phrase
from orchestrator.wording.phrases import phrase

KEPT = 200
"""Events that are remembered; the journal has all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """An event in words."""

    seq: int
    ts: float
    """Epoch seconds."""
    phrase: Phrase


class Chronicle:
    """A sink that remembers what has happened last.

    Of throttles, and of the progress of one deployment, only the newest is kept: they come at any rate.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept: deque[Told] = deque()
        self._limit = kept
        self._latest: dict[str, int] = {}
        """Of what replaces its forerunner: by its subject the number of the newest."""
        self._replaced: set[int] = set()

    def handle(self, record: Record, state: RunState) -> None:
        said = phrase(record, state)
        if said is None:
            return
        subject = _subject(record)
        if subject is not None:
            if (before := self._latest.get(subject)) is not None:
                self._replaced.add(before)
            self._latest[subject] = record.seq
        self._kept.append(Told(seq=record.seq, ts=record.ts, phrase=said))
        if len(self._kept) - len(self._replaced) > self._limit or len(self._kept) > 4 * self._limit:
            self._shrink()

    @property
    def told(self) -> tuple[Told, ...]:
        """The oldest first."""
        return tuple(each for each in self._kept if each.seq not in self._replaced)[-self._limit :]

    def _shrink(self) -> None:
        self._kept = deque(self.told)
        self._replaced.clear()
        first = self._kept[0].seq if self._kept else 0
        self._latest = {subject: seq for subject, seq in self._latest.items() if seq >= first}


def read_chronicle(records: Iterable[Record], kept: int = KEPT) -> tuple[RunState, Chronicle]:
    """The run as these records tell it, and the last of what they tell. Raises `StateError` as `core.state.fold`."""
    state, chronicle = RunState(), Chronicle(kept)
    for record in records:
        state.apply(record)
        chronicle.handle(record, state)
    return state, chronicle


def _subject(record: Record) -> str | None:
    match record.event:
        case DeploymentProgressed(target=target):
            return f"progress {target}"
        case ApiThrottled(region=region):
            return f"throttle {region}"
        case _:
            return None
