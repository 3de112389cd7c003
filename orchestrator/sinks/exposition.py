"""Prometheus' text format and OpenMetrics, written from lines that were made before: 10,000 targets have 340,000.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ (text, version 0.0.4) and
https://prometheus.io/docs/specs/om/open_metrics_spec/ (version 1.0.0). What we write of samples is the same in both;
they differ in the names of counters' headers, in what is escaped in a help text, and in the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["gauge", "counter", "histogram"]

PREFIX = "orchestrator_"

_LABEL_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


@dataclass(frozen=True, slots=True)
class Format:
    """How metrics are written."""

    content_type: str
    openmetrics: bool


TEXT = Format("text/plain; version=0.0.4; charset=utf-8", openmetrics=False)
OPENMETRICS = Format("application/openmetrics-text; version=1.0.0; charset=utf-8", openmetrics=True)


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with all its samples."""

    name: str
    """Whole, as its samples have it: a counter's ends in `_total`."""
    kind: Kind
    help: str
    lines: bytes
    """Its samples, a line each, with line feeds. Bytes: Python lets other threads run while it joins many of them."""


def render(families: Iterable[Family], form: Format) -> bytes:
    """The whole answer to a scrape."""
    parts = [part for family in families for part in (_header(family, form).encode(), family.lines)]
    if form.openmetrics:
        parts.append(b"# EOF\n")
    return b"".join(parts)


def gauge(name: str, help_text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> Family:
    """`samples`: labels and value each. The name gets our prefix."""
    lines = "".join(line(PREFIX + name, *sample) for sample in samples)
    return Family(PREFIX + name, "gauge", help_text, lines.encode())


def line(name: str, labels: Mapping[str, str], value: float) -> str:
    return f"{series(name, labels)} {number(value)}\n"


def series(name: str, labels: Mapping[str, str]) -> str:
    """The name with its labels in the order of their names."""
    return f"{name}{{{pairs(labels)}}}" if labels else name


def pairs(labels: Mapping[str, str]) -> str:
    return ",".join(f'{key}="{escape(labels[key])}"' for key in sorted(labels))


def escape(value: str) -> str:
    """A label's value, as it stands between quotes. Half a surrogate pair, which UTF-8 doesn't know, becomes a `?`."""
    return value.encode(errors="replace").decode().translate(_LABEL_ESCAPES)


def number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    if value == float("-inf"):
        return "-Inf"
    return "NaN" if math.isnan(value) else repr(float(value))


def _header(family: Family, form: Format) -> str:
    name, text = family.name, family.help.translate(_HELP_ESCAPES)
    if form.openmetrics:
        text = text.replace('"', r"\"")
        if family.kind == "counter":
            name = name.removesuffix("_total")
    return f"# HELP {name} {text}\n# TYPE {name} {family.kind}\n"
