"""A graph of targets in the languages that draw graphs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.core.model import Target
from orchestrator.core.state import RunState
from orchestrator.web.assets import sheet
from orchestrator.web.dag import dag_svg
from orchestrator.web.html import stylesheet


def mermaid(targets: Sequence[Target]) -> str:
    """A flowchart with one box for each application."""
    ids = {target.id: f"t{number}" for number, target in enumerate(targets)}
    lines = ["flowchart LR"]
    for number, (application, members) in enumerate(_by_application(targets)):
        lines.append(f'  subgraph a{number}["{_mermaid_text(application)}"]')
        lines += [f'    {ids[target.id]}["{_mermaid_text(target.deployment_group)}"]' for target in members]
        lines.append("  end")
    for target in targets:
        lines += [f"  {ids[name]} --> {ids[target.id]}" for name in target.needs if name in ids]
        lines += [f"  {ids[name]} -.-> {ids[target.id]}" for name in target.after if name in ids]
    return "\n".join(lines)


def dot(targets: Sequence[Target]) -> str:
    """A digraph for Graphviz."""
    lines = ["digraph release {", "  rankdir=LR;", "  node [shape=box];"]
    for number, (application, members) in enumerate(_by_application(targets)):
        lines.append(f"  subgraph cluster_{number} {{")
        lines.append(f"    label={_dot_text(application)};")
        lines += [f"    {_dot_text(target.id)} [label={_dot_text(target.deployment_group)}];" for target in members]
        lines.append("  }")
    known = {target.id for target in targets}
    for target in targets:
        here = _dot_text(target.id)
        lines += [f"  {_dot_text(name)} -> {here};" for name in target.needs if name in known]
        lines += [f"  {_dot_text(name)} -> {here} [style=dashed];" for name in target.after if name in known]
    return "\n".join([*lines, "}"])


def svg(state: RunState, now: float = 0.0, critical: Sequence[str] = ()) -> str:
    """The drawing of the page, with its style in it: a file of its own, light or dark as its viewer is.

    `now`: epoch seconds. `critical`: the chain that decides when the run ends.
    """
    return dag_svg(state, now, critical=critical, style=stylesheet(sheet("drawing.css")))


def _by_application(targets: Iterable[Target]) -> list[tuple[str, list[Target]]]:
    grouped: dict[str, list[Target]] = {}
    for target in targets:
        grouped.setdefault(target.application, []).append(target)
    return list(grouped.items())


def _mermaid_text(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def _dot_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
