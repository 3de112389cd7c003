"""Mistakes, collected; each once, in the order of the files."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from orchestrator.core.errors import Finding, InvalidInputError
from orchestrator.manifest.nodes import Node, Place, written


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint, when one of the known words is close."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else None


class Problems:
    """Collects findings. One owner: the load that made it."""

    def __init__(self) -> None:
        self._findings: dict[tuple[str, int, int, str, str], Finding] = {}
        self._files: dict[str, int] = {}
        self._broken: set[int] = set()
        self._kept: list[Node] = []

    def add(self, node: Node, place: Place, message: str, hint: str | None = None) -> None:
        self.add_at(node.file, node.line, node.column, written(place), message, hint)

    def add_at(self, file: str, line: int, column: int, place: str, message: str, hint: str | None = None) -> None:
        self.add_file(file)
        finding = Finding(file=file, line=line, column=column, place=place, message=message, hint=hint)
        self._findings.setdefault((file, line, column, place, message), finding)

    def add_file(self, file: str) -> None:
        """Findings are sorted by file in the order in which the files were met."""
        self._files.setdefault(file, len(self._files))

    def mark_broken(self, node: Node) -> None:
        """Its mistake is known: what follows from it is no finding of its own."""
        if id(node) not in self._broken:
            self._broken.add(id(node))
            self._kept.append(node)  # an id stays unique only as long as its object lives

    def is_broken(self, node: Node) -> bool:
        return id(node) in self._broken

    @property
    def findings(self) -> list[Finding]:
        return sorted(
            self._findings.values(), key=lambda found: (self._files[found.file], found.line, found.column, found.place)
        )

    def extend(self, findings: Iterable[Finding]) -> None:
        for found in findings:
            self.add_at(found.file, found.line, found.column, found.place, found.message, found.hint)

    def copy(self) -> Problems:
        """With the same findings, for one of several environments."""
        copied = Problems()
        copied._findings = dict(self._findings)
        copied._files = dict(self._files)
        copied._broken = set(self._broken)
        copied._kept = list(self._kept)
        return copied

    def raise_if_unusable(self, root: Node | None) -> None:
        """Raises when nothing could be read, and why is known."""
        if root is None:
            self.raise_if_any()

    def raise_if_any(self) -> None:
        if self._findings:
            raise InvalidInputError(self.findings)
