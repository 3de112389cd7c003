"""What `graph` does between its arguments and what it prints. Of a manifest without anything that a network needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.app.offline import graph_targets
from orchestrator.cli.show_graph import dot, mermaid, svg
from orchestrator.core.model import Target
from orchestrator.core.selection import select
from orchestrator.web.dag import planned


def run_graph(name: str, given: Mapping[str, Any], env: Mapping[str, str]) -> str:
    """`name`: a manifest, or a run. `given`: the options by their names. Raises `UsageError`."""
    form = given["form"]
    if not is_manifest(name):
        return _of_run(name, given, env, form)
    targets = graph_targets(Path(name), given["environment"], dict(given["variables"]), env)
    chosen = _chosen(targets, given)
    return svg(planned(chosen)) if form == "svg" else _text(chosen, form)


def is_manifest(name: str) -> bool:
    """Whether a file is meant: it is there, or looks like one."""
    return Path(name).exists() or "/" in name or name.endswith((".yaml", ".yml", ".json"))


def _chosen(targets: Sequence[Target], given: Mapping[str, Any]) -> tuple[Target, ...]:
    names = ("select", "exclude", "include_needs", "include_dependents")
    return select(targets, **{name: given[name] for name in names})


def _of_run(run: str, given: Mapping[str, Any], env: Mapping[str, str], form: str) -> str:
    import anyio  # noqa: PLC0415 - for runs only

    from orchestrator.app.looking import targets_of_run  # noqa: PLC0415 - as above
    from orchestrator.core.forecast import forecast  # noqa: PLC0415 - as above

    targets, shown = anyio.run(targets_of_run, run, given["state"], env)
    chosen = _chosen(targets, given)
    if form != "svg":
        return _text(chosen, form)
    now = shown.last_ts or 0.0
    critical = forecast(shown, now).critical  # of the whole run, whatever is drawn of it
    for target in chosen:
        known = shown.targets[target.id]
        known.needs, known.after = target.needs, target.after
    shown.targets = {target.id: shown.targets[target.id] for target in chosen}
    return svg(shown, now, critical)


def _text(targets: Sequence[Target], form: str) -> str:
    return mermaid(targets) if form == "mermaid" else dot(targets)
