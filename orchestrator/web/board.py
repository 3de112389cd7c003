"""What is drawn for browsers that look: each element with the drawing in which it came to be as it is.

There is no queue for anybody. Whoever looks asks for what has changed since the drawing that they have; so a slow
browser skips what it had no time for, and one that has lost its connection is told what it missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import anyio

from orchestrator.web.html import Markup

MAIN = "main"
"""The element that holds all others."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """An element as it is now."""

    markup: Markup
    version: int
    """The drawing in which it came to be so."""
    seq: int
    """The last event then."""


class Board:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self.version = 0
        """Of the newest drawing; 0: there is none yet."""
        self.seq = 0
        """The last event that is in it."""
        self.is_closing = False
        """The server ends: there will be no other drawing."""
        self._drawn: dict[str, Drawn] = {}
        self._moved = anyio.Event()
        self._lookers = 0
        self._looked_at = anyio.Event()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be expected, as far as anybody can know."""
        return False

    # --- drawing -----------------------------------------------------------------------------------------------------

    def put(self, found: Mapping[str, Markup], seq: int, *, whole: bool) -> int:
        """A new drawing; returns how many elements it changes. `whole`: it stands for all that was there before."""
        self.version += 1
        self.seq = seq
        changed = 0
        if whole:
            self._drawn = {}
        for name, markup in found.items():
            known = self._drawn.get(name)
            if known is None or known.markup != markup:
                self._drawn[name] = Drawn(markup, self.version, seq)
                changed += 1
        self._wake()
        return changed

    def close(self) -> None:
        self.is_closing = True
        self._wake()

    def _wake(self) -> None:
        moved, self._moved = self._moved, anyio.Event()
        moved.set()

    # --- looking -----------------------------------------------------------------------------------------------------

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Somebody looks, for the block."""
        self._lookers += 1
        self._looked_at.set()
        try:
            yield
        finally:
            self._lookers -= 1
            if not self.is_watched:
                self._looked_at = anyio.Event()

    @property
    def is_watched(self) -> bool:
        return self._lookers > 0

    async def looked_at(self) -> None:
        """Until somebody looks."""
        await self._looked_at.wait()

    async def newer(self, version: int) -> None:
        """Until there is a newer drawing than this, or the server ends."""
        while self.version <= version and not self.is_closing:
            await self._moved.wait()

    def since(self, version: int) -> Mapping[str, Markup]:
        """The elements that have changed after this drawing, by their ids."""
        return self._pick(lambda drawn: drawn.version > version)

    def since_event(self, seq: int) -> Mapping[str, Markup]:
        """Those that may have changed after this event; all of them, for whoever comes from somewhere else."""
        return self.since(0) if seq > self.seq else self._pick(lambda drawn: drawn.seq >= seq)

    def _pick(self, wanted: Callable[[Drawn], bool]) -> Mapping[str, Markup]:
        main = self._drawn.get(MAIN)
        if main is not None and wanted(main):  # its parts needn't be sent, too
            return {MAIN: self.whole()}
        return {name: drawn.markup for name, drawn in self._drawn.items() if name != MAIN and wanted(drawn)}

    def whole(self) -> Markup:
        """The element `MAIN` as it is now, which may be later than its own last change."""
        return self._drawn[MAIN].markup
