"""Paths on the instance, as Ruby's File handles them, and the directories that every Linux has."""

from __future__ import annotations

import posixpath

AGENT_FOLDER = "/(the agent's working directory)"
"""Stands for what a relative path is relative to; nobody but the instance knows it."""

ROOT_HOME = "/root"

_DIRECTORIES = frozenset(
    f"/{folder}{name}"
    for folder, names in (
        ("", "bin boot dev etc home lib media mnt opt proc root run sbin srv sys tmp usr var"),
        ("etc/", "cron.d default init.d profile.d systemd systemd/system"),
        ("opt/", "codedeploy-agent"),
        ("usr/", "bin include lib local sbin share src"),
        ("usr/local/", "bin etc include lib sbin share src"),
        ("var/", "cache lib log opt run spool tmp"),
    )
    for name in names.split()
)
"""There before any deployment, by the Filesystem Hierarchy Standard; the root is not listed."""


def dirname(path: str) -> str:
    """`File.dirname`."""
    folder = posixpath.dirname(path.rstrip("/") or "/")
    return "/" + folder.lstrip("/") if path.startswith("/") else folder or "."


def join(folder: str, name: str) -> str:
    """`File.join` of two."""
    return f"{folder.rstrip('/')}/{name.lstrip('/')}"


def expand(path: str) -> str:
    """`File.expand_path`: absolute, without `.` and `..`, links not looked at. Slashes doubled in front stay, alas."""
    if path == "~" or path.startswith("~/"):
        path = ROOT_HOME + path[1:]
    elif not path.startswith("/"):
        path = f"{AGENT_FOLDER}/{path}"
    start = path[: len(path) - len(path.lstrip("/"))]
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts:
            parts.pop()
            start = start if parts else "/"
        elif part not in {"", ".", ".."}:
            parts.append(part)
    return (start if parts else "/") + "/".join(parts)


def is_directory(path: str) -> bool:
    """Whether the directory is there on a machine that has nothing of ours yet; `..` needs what stands before it."""
    at = [] if path.startswith("/") else [AGENT_FOLDER.lstrip("/")]
    if not path:
        return False
    for part in path.split("/"):
        if part in {"", "."}:
            continue
        if part == "..":
            at = at[:-1]
            continue
        at.append(part)
        here = "/" + "/".join(at)
        if here not in _DIRECTORIES and here != AGENT_FOLDER:
            return False
    return True
