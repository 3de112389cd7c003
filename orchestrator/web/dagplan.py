"""Where each target and each edge of a graph goes. Depends on the structure alone, so that it's made once a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt
from typing import Literal

from orchestrator.web.folding import Edge, Kind, Structure, Wish, fold_twins
from orchestrator.web.layering import Layered, layer
from orchestrator.web.looks import fit, text_width
from orchestrator.web.placing import BLOCK_GAP, Placed, place
from orchestrator.web.reduction import without_implied
from orchestrator.web.routing import MARGIN, Router
from orchestrator.wording.text import plural

Shape = Literal["box", "line", "chip", "cell"]
"""box: two lines; line: one; chip: a line in a block of twins; cell: a glyph in one."""

COMPACT_ABOVE = 90
"""So many blocks, and each is only a line."""
CHIPS_UP_TO = 10
"""So many twins have their names in the block."""
CHIPS_IN_ALL = 260
"""Targets of a graph in which they do."""
TEXT, SMALL = 13.0, 11.0
"""Pixels."""

_BOLD = 1.1
"""How much wider a label is for being bold."""

_BOX, _LINE, _CHIP, _CELL = 46.0, 22.0, 20.0, 18.0
_WIDEST, _NARROWEST = 250.0, 152.0
_HEADING = 24.0
_INSET = 8.0
_ROW = 900.0
"""What depends on nothing, and nothing on it, stands in rows of this width at least."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A target's place, in pixels, and the words that fit there."""

    id: str
    shape: Shape
    x: float
    y: float
    width: float
    height: float
    label: str
    faint: str = ""
    """What stands before the label."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Around twins."""

    x: float
    y: float
    width: float
    height: float
    heading: str


@dataclass(frozen=True, slots=True)
class Line:
    """All edges of one kind that leave a block, as an SVG path."""

    kind: Kind
    path: str


@dataclass(frozen=True, slots=True)
class DagPlan:
    width: float
    height: float
    spots: tuple[Spot, ...]
    frames: tuple[Frame, ...]
    lines: tuple[Line, ...]
    arrows: str
    """The heads of all edges, as one path."""
    routes: dict[tuple[str, str], str]
    """The whole way from a block to one that waits for it, as a path, by their first targets."""
    block_of: dict[str, str]
    """The first target of each one's block."""


@lru_cache(maxsize=16)
def plan_dag(structure: Structure) -> DagPlan:
    """Pure; remembered, since a page asks for the same drawing at each event."""
    folded = fold_twins(structure)
    edges = without_implied(len(folded.blocks), folded.edges)
    compact = len(folded.blocks) > COMPACT_ABOVE
    drafts = [_draft(block, compact=compact, chips=len(structure) <= CHIPS_IN_ALL) for block in folded.blocks]
    tied = sorted({end for edge in edges for end in (edge.source, edge.target)})
    layered, placed = _lay_out(edges, tied, drafts, gap=34.0 if compact else 46.0)
    corners: dict[int, tuple[float, float]] = {}
    for vertex, number in enumerate(tied):
        x = placed.left[layered.rank[vertex]]
        corners[number] = (x + MARGIN, placed.middle[vertex] - drafts[number].height / 2 + MARGIN)
    loose = [number for number in range(len(drafts)) if number not in corners]
    width, height = _in_rows(loose, drafts, placed, corners)
    router = Router(layered, placed, [corners[number] for number in tied], [drafts[number].width for number in tied])
    names = [folded.blocks[number][0].id for number in tied]
    return DagPlan(
        width=width,
        height=height,
        spots=tuple(spot for number, draft in enumerate(drafts) for spot in draft.at(*corners[number])),
        frames=tuple(frame for number, draft in enumerate(drafts) for frame in draft.frame(*corners[number])),
        lines=tuple(Line(kind, path) for (_, kind), path in router.lines().items()),
        arrows=router.arrows(),
        routes={(names[start], names[end]): path for (start, end), path in router.routes().items()},
        block_of={wish.id: block[0].id for block in folded.blocks for wish in block},
    )


def _lay_out(
    edges: Sequence[Edge], tied: Sequence[int], drafts: Sequence[_Draft], *, gap: float
) -> tuple[Layered, Placed]:
    """Of the blocks that have edges."""
    vertex = {number: index for index, number in enumerate(tied)}
    layered = layer(len(tied), [edge.between(vertex[edge.source], vertex[edge.target]) for edge in edges])
    return layered, place(layered, [(drafts[number].width, drafts[number].height) for number in tied], gap=gap)


def _in_rows(
    loose: Sequence[int], drafts: Sequence[_Draft], placed: Placed, corners: dict[int, tuple[float, float]]
) -> tuple[float, float]:
    """Puts what has no edges below the rest; returns the size of the whole drawing."""
    room = max(placed.width, _ROW)
    x, y, tallest = 0.0, placed.height + (2 * BLOCK_GAP if placed.height and loose else 0.0), 0.0
    right = placed.width
    for number in loose:
        draft = drafts[number]
        if x and x + draft.width > room:
            x, y, tallest = 0.0, y + tallest + BLOCK_GAP, 0.0
        corners[number] = (x + MARGIN, y + MARGIN)
        x, tallest = x + draft.width + BLOCK_GAP, max(tallest, draft.height)
        right = max(right, x - BLOCK_GAP)
    return right + 2 * MARGIN, y + tallest + 2 * MARGIN


# --- blocks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Draft:
    """A block, before it has a place; its spots are relative to it."""

    width: float
    height: float
    spots: tuple[Spot, ...]
    heading: str | None = None

    def at(self, x: float, y: float) -> Iterator[Spot]:
        for spot in self.spots:
            yield Spot(spot.id, spot.shape, x + spot.x, y + spot.y, spot.width, spot.height, spot.label, spot.faint)

    def frame(self, x: float, y: float) -> Iterator[Frame]:
        if self.heading is not None:
            yield Frame(x, y, self.width, self.height, self.heading)


def _draft(block: tuple[Wish, ...], *, compact: bool, chips: bool) -> _Draft:
    if len(block) == 1:
        return _single(block[0], compact=compact)
    return _with_names(block) if chips and len(block) <= CHIPS_UP_TO else _with_cells(block)


def _single(wish: Wish, *, compact: bool) -> _Draft:
    size = SMALL if compact else TEXT
    left = 22.0 if compact else 32.0
    room = _WIDEST - left - 10
    label = fit(wish.group, room * 0.6, size * _BOLD)
    faint = fit(wish.application + "/", room - text_width(label, size * _BOLD), size)
    width = left + text_width(faint, size) + text_width(label, size * _BOLD) + 12
    width = max(width, 60.0 if compact else _NARROWEST)
    height = _LINE if compact else _BOX
    return _Draft(width, height, (Spot(wish.id, "line" if compact else "box", 0, 0, width, height, label, faint),))


def _with_names(block: tuple[Wish, ...]) -> _Draft:
    same = len({wish.application for wish in block}) == 1
    texts = [wish.group if same else f"{wish.application}/{wish.group}" for wish in block]
    columns = 1 if len(block) <= 4 else 2
    room = 170.0 if columns == 2 else 200.0
    labels = [fit(text, room - 26, SMALL) for text in texts]
    width = max(60.0, *(text_width(label, SMALL) + 28 for label in labels))
    heading = _heading(block)
    inner = max(columns * width + (columns - 1) * 4, text_width(heading, SMALL) + 4)
    rows = ceil(len(block) / columns)
    spots = tuple(
        Spot(
            wish.id,
            "chip",
            _INSET + number // rows * (width + 4),
            _HEADING + number % rows * (_CHIP + 3),
            width,
            _CHIP,
            label,
        )
        for number, (wish, label) in enumerate(zip(block, labels, strict=True))
    )
    return _Draft(inner + 2 * _INSET, _HEADING + rows * (_CHIP + 3) - 3 + _INSET, spots, heading)


def _with_cells(block: tuple[Wish, ...]) -> _Draft:
    heading = _heading(block)
    pitch = _CELL + 3
    columns = max(ceil(sqrt(2 * len(block))), int(text_width(heading, SMALL) // pitch))
    rows = ceil(len(block) / columns)
    columns = ceil(len(block) / rows)
    spots = tuple(
        Spot(wish.id, "cell", _INSET + number % columns * pitch, _HEADING + number // columns * pitch, _CELL, _CELL, "")
        for number, wish in enumerate(block)
    )
    width = max(columns * pitch - 3, text_width(heading, SMALL) + 4)
    return _Draft(width + 2 * _INSET, _HEADING + rows * pitch - 3 + _INSET, spots, heading)


def _heading(block: tuple[Wish, ...]) -> str:
    applications = {wish.application for wish in block}
    if len(applications) == 1:
        return f"{fit(block[0].application, 150.0, SMALL)} · {plural(len(block), 'group')}"
    return f"{plural(len(block), 'target')} of {plural(len(applications), 'application')}"
