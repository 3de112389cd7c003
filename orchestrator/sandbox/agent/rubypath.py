"""Paths as Ruby's File takes them apart and puts them together; what the agent installs where depends on it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping


def join(folder: str, name: str) -> str:
    """With one slash between them, however many they bring."""
    return f"{folder.rstrip('/')}/{name.lstrip('/')}"


def dirname(path: str) -> str:
    """`.` where there is none; trailing slashes don't count."""
    stripped = path.rstrip("/")
    if not stripped:
        return "/" if path else "."
    head, slash, _ = stripped.rpartition("/")
    return head.rstrip("/") or "/" if slash else "."


def basename(path: str) -> str:
    stripped = path.rstrip("/")
    return stripped.rpartition("/")[2] if stripped else path[:1]


def expand(path: str, cwd: str, homes: Mapping[str, str]) -> str:
    """Absolute, without `.`, `..` and a home's `~`; links aren't looked at. Raises ValueError for an unknown home."""
    if path.startswith("~"):
        name, _, rest = path[1:].partition("/")
        home = homes.get(name or "root")
        if home is None:
            raise ValueError(f"user {name} doesn't exist")
        path = join(home, rest)
    joined = posixpath.normpath(posixpath.join(cwd, path))
    return "/" + joined.lstrip("/")
