"""Which targets of a release a run is about."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from orchestrator.core.errors import UsageError
from orchestrator.core.model import Target

Edges = Mapping[str, Iterable[str]]
GLOB = re.compile(r"[*?\[]")


def select(
    targets: Sequence[Target],
    *,
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    include_needs: bool = False,
    include_dependents: bool = False,
) -> tuple[Target, ...]:
    """The chosen targets, in their order, with `needs` and `after` limited to the chosen.

    An expression is an application (`shop-api`), a target (`shop-api/canary`), a glob over either (`shop-*`,
    `*/canary`) or a label (`tier=backend`, `tier=b*`). Several expressions add up; parts joined by commas in one
    expression must all match (`shop-*,tier=backend`). A name that exists wins over what its `,` or `=` could mean.
    `include_dependents` adds what needs the chosen, `include_needs` then all that those need, both transitively;
    `exclude` takes away last, also what these two have added.

    Where a chosen target reaches another one only through targets that were not chosen, the order between the two
    stays: as `needs` when every step on the way is one, else as `after`.

    Raises `UsageError` for a name that matches nothing and for an empty selection.
    """
    chosen = _union(targets, select, "--select") if select else {target.id for target in targets}
    if include_dependents:
        chosen = _closure(chosen, _dependents(targets))
    if include_needs:
        chosen = _closure(chosen, {target.id: target.needs for target in targets})
    chosen -= _union(targets, exclude, "--exclude")
    if not chosen:
        raise UsageError("the selection is empty: there is nothing to do", hint=_empty_hint(select, exclude))
    if len(chosen) == len(targets):
        return tuple(targets)
    return _limited(targets, chosen)


def _empty_hint(select: Sequence[str], exclude: Sequence[str]) -> str:
    if exclude:
        return "everything that is selected is also excluded; take away an --exclude"
    if select:
        return (
            "the parts of an expression that are joined by commas must all match one target; repeat --select for either"
        )
    return "the manifest has no targets"


# --- expressions -----------------------------------------------------------------------------------------------------


def _union(targets: Sequence[Target], expressions: Sequence[str], option: str) -> set[str]:
    names = {target.application for target in targets} | {target.id for target in targets}
    found: set[str] = set()
    for expression in expressions:
        found |= _matches(targets, expression.strip(), names, option)
    return found


def _matches(targets: Sequence[Target], expression: str, names: set[str], option: str) -> set[str]:
    parts = [expression] if expression in names else [part.strip() for part in expression.split(",")]
    found: set[str] | None = None
    for part in parts:
        if not part:
            raise UsageError(f"{option} {expression!r}: an empty name", hint="write a name, a glob or label=value")
        accepts = _predicate(part, names)
        matching = {target.id for target in targets if accepts(target)}
        if not matching:
            raise UsageError(
                f"{option} {expression!r}: nothing matches {part!r}", hint=_suggestion(part, targets, names)
            )
        found = matching if found is None else found & matching
    return found or set()


def _predicate(part: str, names: set[str]) -> Callable[[Target], bool]:
    if part in names:
        return lambda target: part in {target.application, target.id}
    label, is_label, value = part.partition("=")
    if is_label:
        wanted = _glob(value)
        return lambda target: label in target.labels and wanted(target.labels[label])
    matches = _glob(part)
    # A glob without a slash is about applications, so that `shop-*` doesn't depend on how groups are called.
    if "/" in part:
        return lambda target: matches(target.id)
    return lambda target: matches(target.application)


def _glob(pattern: str) -> Callable[[str], bool]:
    if not GLOB.search(pattern):
        return lambda text: text == pattern
    compiled = re.compile(fnmatch.translate(pattern))
    return lambda text: compiled.match(text) is not None


def _suggestion(part: str, targets: Sequence[Target], names: set[str]) -> str:
    import difflib  # noqa: PLC0415 -- only on the way to an error

    known = names
    label, is_label, _ = part.partition("=")
    if is_label:
        known = {f"{key}={value}" for target in targets for key, value in target.labels.items()}
        if not any(label in target.labels for target in targets) and known:
            known |= {f"{key}=…" for target in targets for key in target.labels}
    close = difflib.get_close_matches(part, sorted(known), n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return "names are those of the manifest: an application, application/group, a glob or label=value"


# --- edges -----------------------------------------------------------------------------------------------------------


def _dependents(targets: Sequence[Target]) -> dict[str, list[str]]:
    dependents: dict[str, list[str]] = {}
    for target in targets:
        for needed in target.needs:
            dependents.setdefault(needed, []).append(target.id)
    return dependents


def _closure(start: set[str], edges: Edges) -> set[str]:
    found = set(start)
    waiting = list(start)
    while waiting:
        for neighbour in edges.get(waiting.pop(), ()):
            if neighbour not in found:
                found.add(neighbour)
                waiting.append(neighbour)
    return found


def _limited(targets: Sequence[Target], chosen: set[str]) -> tuple[Target, ...]:
    by_id = {target.id: target for target in targets}
    through: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for target_id in _bottom_up([target for target in targets if target.id not in chosen], chosen, by_id):
        through[target_id] = _contracted(by_id[target_id], chosen, through)
    limited = []
    for target in targets:
        if target.id in chosen:
            needs, after = _contracted(target, chosen, through)
            unchanged = needs == target.needs and after == target.after
            limited.append(target if unchanged else replace(target, needs=needs, after=after))
    return tuple(limited)


def _contracted(
    target: Target, chosen: set[str], through: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The chosen targets that this one needs and comes after, directly or through targets that aren't chosen."""
    needs: dict[str, None] = {}
    after: dict[str, None] = {}
    for needed in target.needs:
        if needed in chosen:
            needs[needed] = None
        else:
            far_needs, far_after = through[needed]
            needs.update(dict.fromkeys(far_needs))
            after.update(dict.fromkeys(far_after))
    for earlier in target.after:
        if earlier in chosen:
            after[earlier] = None
        else:
            far_needs, far_after = through[earlier]
            after.update(dict.fromkeys(far_needs))
            after.update(dict.fromkeys(far_after))
    return tuple(needs), tuple(name for name in after if name not in needs)


def _bottom_up(skipped: Sequence[Target], chosen: set[str], by_id: Mapping[str, Target]) -> Iterable[str]:
    """The skipped targets, each behind those that it needs or comes after. The graph has no cycles."""
    done: set[str] = set()
    for first in skipped:
        stack = [first.id]
        while stack:
            target = by_id[stack[-1]]
            open_ones = [name for name in (*target.needs, *target.after) if name not in chosen and name not in done]
            if open_ones:
                stack.extend(open_ones)
                continue
            stack.pop()
            if target.id not in done:
                done.add(target.id)
                yield target.id
