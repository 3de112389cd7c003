"""Where things are: the URLs of the page, and the ids within it. Shared by what draws and what serves."""

from __future__ import annotations

from orchestrator.web.html import in_url

RUNS = "/"
RUNS_EVENTS = "/events"
"""The EventSource of the list of runs."""
LATEST = "latest"
"""Stands for the newest run where its id would stand."""


def run_url(run: str) -> str:
    """The page of a run."""
    return f"/runs/{in_url(run)}"


def events_url(run: str) -> str:
    """Its EventSource."""
    return f"{run_url(run)}/events"


def target_url(run: str, target: str) -> str:
    """The page of a run with the details of this target, for browsers without scripts."""
    return f"{run_url(run)}?target={in_url(target)}"


def target_fragment_url(run: str, target: str) -> str:
    """Only the details, for the script."""
    return f"{run_url(run)}/target?id={in_url(target)}"


def target_anchor(target: str) -> str:
    """`#target/…`: the details of a target within the page, and what the script reads from the address."""
    return f"#target/{in_url(target)}"


def element_id(kind: str, target: str) -> str:
    """An id that is the same for the same target each time, and holds no space, whatever its name."""
    return f"{kind}/{in_url(target)}"
