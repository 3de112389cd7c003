"""Which view `--output` means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TextIO

Wanted = Literal["auto", "live", "plain", "json"]
Output = Literal["live", "plain", "json"]


def choose_output(wanted: Wanted, stream: TextIO, environment: Mapping[str, str]) -> Output:
    """`auto` is live where somebody watches: on a terminal that can move its cursor, and not in CI.

    Several CI systems give their jobs a terminal, and keep what is drawn on it as a log; all set `CI`. Where nothing
    can be drawn, `live` means plain.
    """
    if wanted in {"plain", "json"}:
        return "json" if wanted == "json" else "plain"
    dumb = environment.get("TERM", "").lower() in {"dumb", "unknown"}
    if not _is_terminal(stream) or dumb:
        return "plain"
    in_ci = environment.get("CI", "").lower() not in {"", "0", "false"}
    return "plain" if wanted == "auto" and in_ci else "live"


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False
