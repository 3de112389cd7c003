"""A journal as numbered objects: `journal/00000001.jsonl`, each written once, and parts that repeat a hundred of them.

The first line of an object is its head: `{"journal":1,"number":7,"writer":"…"}`; `writer` makes the content of every
writer its own. The other lines are records. A part (`parts/00000001-00000100.jsonl`) is the objects' contents, one
after the other: it spares readers most of the reading.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.core.errors import StateError
from orchestrator.core.events import Record
from orchestrator.store.reading import decode, record_of

LAYOUT_VERSION = 1
"""Of the objects; records carry a version of their own."""

_NAME = re.compile(r"(?:journal/(\d{8})|parts/(\d{8})-(\d{8}))\.jsonl")
_DAMAGED = "it was changed or deleted by something else than orchestrator; keep the rest and report it"


@dataclass(frozen=True, slots=True)
class Piece:
    """One object, or a part: the journal's objects from `first` to `last`."""

    first: int
    last: int

    @property
    def name(self) -> str:
        """Below the run's folder."""
        if self.first == self.last:
            return f"journal/{self.first:08d}.jsonl"
        return f"parts/{self.first:08d}-{self.last:08d}.jsonl"


def object_content(number: int, writer: str, lines: Iterable[bytes]) -> bytes:
    """`lines`: records, each with its line feed."""
    head = json.dumps({"journal": LAYOUT_VERSION, "number": number, "writer": writer}, separators=(",", ":"))
    return b"".join([head.encode("ascii"), b"\n", *lines])


def cover(names: Iterable[str], where: str, *, first: int = 1) -> list[Piece]:
    """The fewest pieces that hold the journal from object `first` to its last. `names` are below the run's folder.

    Raises `StateError` when one is missing.
    """
    longest: dict[int, Piece] = {}
    for piece in _pieces(names):
        if piece.last < first:
            continue
        if piece.first not in longest or piece.last > longest[piece.first].last:
            longest[piece.first] = piece
    chosen: list[Piece] = []
    number = first
    while number in longest:
        chosen.append(longest[number])
        number = longest[number].last + 1
    beyond = max((piece.last for piece in longest.values()), default=0)
    if beyond >= number:
        raise StateError(f"{where}: object {number} of {beyond} of the journal is missing", hint=_DAMAGED)
    return chosen


def _pieces(names: Iterable[str]) -> Iterator[Piece]:
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None:
            yield Piece(int(match[1] or match[2]), int(match[1] or match[3]))


def parse_pieces(pieces: Sequence[Piece], contents: Sequence[bytes], where: str) -> tuple[Record, ...]:
    """The records, in order. Raises `StateError` that names object and line of what is no record."""
    records: list[Record] = []
    for piece, content in zip(pieces, contents, strict=True):
        records += _parse(piece, content, f"{where}/{piece.name}")
    return tuple(records)


def _parse(piece: Piece, content: bytes, where: str) -> Iterator[Record]:
    lines = content.split(b"\n")
    if lines.pop():
        raise StateError(f"{where}: its last line is cut off", hint=_DAMAGED)
    number = piece.first - 1
    for count, line in enumerate(lines, start=1):
        try:
            fields = decode(line)
        except ValueError as error:
            raise StateError(f"{where}:{count}: not a journal record: {error}", hint=_DAMAGED) from None
        if "journal" in fields:
            if fields["journal"] != LAYOUT_VERSION:
                message = f"{where}:{count}: layout version {fields['journal']!r}; this orchestrator reads version 1"
                raise StateError(message, hint="use the version of orchestrator that wrote it")
            number += 1
            if fields.get("number") != number:
                raise StateError(
                    f"{where}:{count}: object {fields.get('number')!r} stands where {number} belongs", hint=_DAMAGED
                )
        else:
            yield record_of(fields, where, count)
    if number != piece.last:
        raise StateError(f"{where}: it ends with object {number}, not {piece.last}", hint=_DAMAGED)
