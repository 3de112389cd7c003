"""Small pieces of text that all views share: safe, short, the same everywhere."""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import TextIO

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Unicode categories that can steer a terminal, turn text around or not be printed at all: escape sequences begin with
one of Cc; the bidirectional overrides are Cf; Cs are halves of surrogate pairs, which no encoding takes."""


def clean(text: str) -> str:
    """The text without anything that a terminal would obey; for lines that come from AWS, a log or a manifest.

    Tabs become spaces; line feeds stay (see `one_line`).
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").expandtabs(8)
    return "".join(char if char == "\n" or unicodedata.category(char) not in _UNSAFE else REPLACEMENT for char in text)


def one_line(text: str, limit: int | None = None) -> str:
    """`clean`, on one line, and cut to `limit` characters with an ellipsis."""
    line = " ".join(clean(text).split())
    return line if limit is None or len(line) <= limit else line[: max(0, limit - 1)].rstrip() + "…"


def block(text: str, indent: str) -> list[str]:
    """`clean`, line by line, indented; without empty lines around it."""
    return [f"{indent}{line.rstrip()}" for line in clean(text).strip("\n").split("\n")] if text.strip() else []


def short_digests(text: str) -> str:
    """With the first 12 hex digits of each digest: enough to know it by; the journal and JSON have all of it."""
    return re.sub(r"(?<![0-9a-f])([0-9a-f]{12})[0-9a-f]{20,}(?![0-9a-f])", r"\1…", text)


def duration(seconds: float) -> str:
    """`0.4s`, `45s`, `4m05s`, `1h05m`, `2d03h`."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def age(seconds: float) -> str:
    """`duration` in whole seconds, for figures that tick."""
    return f"{int(max(0.0, seconds))}s" if seconds < 10 else duration(seconds)


def size(count: int) -> str:
    """`512 B`, `1.2 MB` (powers of ten)."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def clock_time(seconds: float, zone: tzinfo | None = None) -> str:
    """Epoch seconds as HH:MM:SS in the zone; None: this machine's."""
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone).strftime("%H:%M:%S")


def plural(count: int, noun: str, many: str | None = None) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {many or noun + 's'}"


def listing(names: Sequence[str], limit: int) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def counts(pairs: Iterable[tuple[str, int]]) -> str:
    """`2 failed, 5 succeeded`, without what there is none of."""
    return ", ".join(f"{count} {name}" for name, count in pairs if count)


def write_line(stream: TextIO, line: str) -> bool:
    """Writes a line, in whatever the stream can encode; False when nobody reads it any more. Never raises."""
    try:
        stream.write(line + "\n")
        stream.flush()
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        return write_line(stream, line.encode(encoding, "replace").decode(encoding))
    except (OSError, ValueError):  # a closed pipe, a full disk, a closed file
        return False
    return True


def silence(stream: TextIO) -> None:
    """Points a stream that can't be written any more to nowhere, so that nothing fails again when Python closes it."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
