"""`needs` and `after`: names to targets, and the cycles among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from orchestrator.core.model import Target
from orchestrator.manifest.levels import Level
from orchestrator.manifest.nodes import Node, Place, child
from orchestrator.manifest.problems import Problems, did_you_mean
from orchestrator.manifest.release import Position

Kind = Literal["needs", "after"]
KINDS: tuple[Kind, Kind] = ("needs", "after")


MAX_COMPARISONS = 200_000
"""Names looked at for a similar one, in all: some seconds for a large manifest that is wrong all over."""

MAX_CYCLES = 20
"""Cycles that are reported; each takes one look at the whole graph."""


class Names:
    """The targets by the names that `needs` and `after` use."""

    def __init__(self, groups: Mapping[str, Sequence[str]], problems: Problems) -> None:
        self._applications: dict[str, tuple[str, ...]] = {
            application: tuple(f"{application}/{group}" for group in names) for application, names in groups.items()
        }
        self._targets: dict[str, tuple[str, ...]] = {
            target: (target,) for targets in self._applications.values() for target in targets
        }
        self._problems = problems
        self._hints: dict[str, str] = {}
        self._comparisons = 0
        self._resolved: dict[tuple[int, Kind, str], tuple[Level, tuple[str, ...]]] = {}

    def expand(self, name: str) -> tuple[str, ...]:
        """The ids of an application's targets, or of one target; empty when there is no such name."""
        return self._applications.get(name) or self._targets.get(name, ())

    def resolve(self, levels: Sequence[Level], kind: Kind, target: str, application: str) -> tuple[str, ...]:
        """What a target needs or comes after: that of all levels, each once. Reports unknown names."""
        found: tuple[str, ...] = ()
        for level in levels:
            values = level.values.get(kind)
            if values:
                more = self._of_level(level, kind, application)
                found = tuple(dict.fromkeys((*found, *more))) if found else more
        if target in found:
            found = self._without_itself(levels, kind, target, found)
        return found

    def _of_level(self, level: Level, kind: Kind, application: str) -> tuple[str, ...]:
        # Most levels are those of an application, shared by its groups; the defaults differ by application only.
        key = (id(level), kind, application)
        if key not in self._resolved:
            self._resolved[key] = (level, tuple(dict.fromkeys(self._expanded(level, kind, application))))
        return self._resolved[key][1]

    def _expanded(self, level: Level, kind: Kind, application: str) -> Iterable[str]:
        for index, name in enumerate(names_of(level, kind)):
            if name == application:
                if not level.inherits:
                    advice = f"name one of its groups: {application}/…"
                    self._report(level, kind, index, f"{name!r} is this application itself", advice)
                continue
            targets = self.expand(name)
            if not targets:
                self._report(level, kind, index, f"there is no {name!r}", self._hint(name))
            yield from targets

    def _hint(self, name: str) -> str:
        known = self._targets if "/" in name else self._applications
        if name not in self._hints and self._comparisons < MAX_COMPARISONS:
            self._comparisons += len(known)
            close = did_you_mean(name, known)
            if close is None and "/" in name:
                close = did_you_mean(name.partition("/")[0], self._applications)
            self._hints[name] = close or "an application or application/group"
        return self._hints.get(name, "an application or application/group")

    def _without_itself(
        self, levels: Sequence[Level], kind: Kind, target: str, found: tuple[str, ...]
    ) -> tuple[str, ...]:
        for level in levels:
            for index, name in enumerate(names_of(level, kind)):
                if name == target and not level.inherits:
                    advice = "set it in the other groups only" if len(level.place) == 2 else None
                    self._report(level, kind, index, f"{target} can't come after itself", advice)
        return tuple(name for name in found if name != target)

    def _report(self, level: Level, kind: Kind, index: int, message: str, hint: str | None) -> None:
        node, place = item_of(level, kind, index)
        if node is not None:
            self._problems.add(node, place, message, hint)


def names_of(level: Level, kind: Kind) -> Sequence[str]:
    values = level.values.get(kind)
    return values if isinstance(values, list) else ()


def item_of(level: Level, kind: Kind, index: int) -> tuple[Node | None, Place]:
    return child(child(level.node, kind), index), (*level.place, kind, index)


# --- cycles ----------------------------------------------------------------------------------------------------------


def report_cycles(
    targets: Sequence[Target], levels: Mapping[str, Sequence[Level]], names: Names, problems: Problems
) -> None:
    """One finding for each cycle, edge by edge, each with the position of the line that makes it."""
    by_id = {target.id: target for target in targets}
    left = {target.id: {*target.needs, *target.after} & by_id.keys() for target in targets}
    reported: set[tuple[str, ...]] = set()
    while (left := peel(left)) and len(reported) < MAX_CYCLES:
        cycle = walk(left)
        edges = [
            edge(by_id[one], other, levels, names) for one, other in zip(cycle, [*cycle[1:], cycle[0]], strict=True)
        ]
        lines = tuple(sorted(str(position) for _, position, _ in edges))
        if lines not in reported:
            reported.add(lines)
            text = ", ".join(f"{words} ({position})" for words, position, _ in edges)
            _, first, place = edges[0]
            problems.add_at(first.file, first.line, first.column, place, f"a cycle: {text}", "take one of these away")
        left = {one: others - set(cycle) for one, others in left.items() if one not in cycle}


def peel(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """What is left when all are taken away whose own needs are gone: cycles, and what leads to them."""
    waiting_for = {one: len(others) for one, others in edges.items()}
    dependents: dict[str, list[str]] = {}
    for one, others in edges.items():
        for other in others:
            dependents.setdefault(other, []).append(one)
    free = [one for one, count in waiting_for.items() if count == 0]
    for one in free:
        for dependent in dependents.get(one, ()):
            waiting_for[dependent] -= 1
            if waiting_for[dependent] == 0:
                free.append(dependent)
    gone = set(free)
    return {one: others - gone for one, others in edges.items() if one not in gone}


def walk(edges: Mapping[str, set[str]]) -> list[str]:
    """A cycle: everything that is left needs something that is left, so any walk ends in one."""
    path: dict[str, int] = {}
    current = next(iter(edges))
    while current not in path:
        path[current] = len(path)
        current = min(edges[current])
    return list(path)[path[current] :]


def edge(target: Target, other: str, levels: Mapping[str, Sequence[Level]], names: Names) -> tuple[str, Position, str]:
    """The words for an edge, where it was written, and the place of that for people."""
    kind: Kind = "needs" if other in target.needs else "after"
    for level in reversed(levels[target.id]):
        for index, name in enumerate(names_of(level, kind)):
            node, place = item_of(level, kind, index)
            if node is not None and other in names.expand(name):
                written_place = ".".join(str(key) for key in place[:-1]) + f"[{index}]"
                return (
                    f"{target.id} {kind} {other}",
                    Position(file=node.file, line=node.line, column=node.column),
                    written_place,
                )
    raise LookupError(f"{target.id} has no edge to {other}")
