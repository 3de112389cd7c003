"""The scripts of a bundle's hooks: whether they are there, and whether they can start."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping
from typing import Protocol

from orchestrator.bundle.appspec_findings import Findings, did_you_mean
from orchestrator.bundle.appspec_hooks import EVENTS
from orchestrator.bundle.appspec_permit import glob_regex
from orchestrator.bundle.appspec_types import Script, ServerAppSpec
from orchestrator.bundle.entries import Contents

PREVIOUS = ("ApplicationStop", "BeforeBlockTraffic", "AfterBlockTraffic")
"""Their scripts come from the revision before."""

_SHELL_UNSAFE = re.compile(r"[\s&;()|<>'\"`$\\]")
_HEAD = 256  # bytes; as many as the kernel looks at
_PROGRAMS = (b"\x7fELF", b"MZ")


class Heads(Protocol):
    def __call__(self, names: Collection[str], limit: int, /) -> Mapping[str, bytes]:
        """The first `limit` bytes of these files of the bundle; what isn't there is left out."""


def no_heads(names: Collection[str], limit: int, /) -> Mapping[str, bytes]:  # noqa: ARG001 - the protocol's shape
    """Knows no file's content."""
    return {}


def check_scripts(appspec: ServerAppSpec, contents: Contents, heads: Heads, findings: Findings) -> None:
    """Of all events that run scripts, in the order in which they run."""
    found: list[tuple[Script, str, bool]] = []
    for event in EVENTS:
        for script in appspec.hooks.get(event, ()):
            path = _find(event, script, contents, findings)
            if path is not None:
                found.append((script, path, event in PREVIOUS))
    first_bytes = heads({path for _, path, _ in found}, _HEAD) if found else {}
    knows_modes = any(entry.kind == "file" and entry.mode & 0o111 for entry in contents.entries())
    for script, path, is_previous in found:
        entry = contents.get(path)
        if knows_modes and entry is not None and not entry.mode & 0o111:
            message = f"script {script.location!r} isn't executable; the agent makes it so before it starts it"
            findings.warning(script.at, "script_not_executable", message, "chmod +x, so that it runs elsewhere, too")
        _check_first_line(script, first_bytes.get(path), findings, is_previous=is_previous)


def _find(event: str, script: Script, contents: Contents, findings: Findings) -> str | None:
    """Where the script really is in the bundle; None when it isn't to be looked at."""
    text = script.location
    found = contents.find(text)
    if found.kind == "outside" or _leaves(text):
        message = f"location {text!r} goes out of the bundle"
        findings.warning(script.at, "location_outside", message, "put the script into the bundle")
    elif text.startswith("/"):
        message = f"location {text!r} counts from the root of the bundle, not of the machine"
        findings.warning(script.at, "location_leading_slash", message, "leave the slash out")
    if any(character in text for character in "*?[") and (other := _globbed(text, contents)) is not None:
        message = f"location {text!r} is a pattern to the shell, and starts {other!r} instead"
        findings.warning(script.at, "location_glob", message, "rename the script")
    problem = _problem(script, found.kind, contents)
    if problem is None:
        return found.path if found.kind == "file" else None
    code, message, hint = problem
    if event in PREVIOUS:
        message = f"{message}; that fails the deployment after this one, at its {event}"
        findings.warning(script.at, f"{code}_for_next_deployment", message, hint)
    else:
        findings.error(script.at, code, message, hint, stage="script")
    return None


def _leaves(location: str) -> bool:
    depth = 0
    for part in location.split("/"):
        depth += -1 if part == ".." else part not in {"", "."}
        if depth < 0:
            return True
    return False


def _problem(script: Script, kind: str, contents: Contents) -> tuple[str, str, str | None] | None:
    """Code, message and hint of what keeps it from starting."""
    text = script.location
    if "\0" in text:
        return "script_missing", "location holds a NUL character", None
    if kind == "missing":
        return "script_missing", f"script {text!r} is not in the bundle", _near(text, contents)
    if kind == "dir":
        return "location_is_directory", f"location {text!r} is a directory, not a script", None
    if _SHELL_UNSAFE.search(text):
        message = f"location {text!r} goes through a shell unquoted: it can't have spaces or special characters"
        return "location_not_shell_safe", message, "rename the script"
    return None


def _globbed(location: str, contents: Contents) -> str | None:
    """The first file that the shell finds for a location with `*`, when that is another one."""
    pattern = posixpath.normpath(location).lstrip("/")
    regex = glob_regex(pattern.replace("?", "*"))
    matches = sorted(entry.path for entry in contents.entries() if regex.fullmatch(entry.path))
    return matches[0] if matches and matches[0] != pattern else None


def _near(location: str, contents: Contents) -> str | None:
    first, _, rest = location.partition(" ")
    if rest and contents.find(first).kind == "file":
        return "a location takes no arguments: put the call into a script of its own"
    if rest and contents.find(rest).kind == "file":
        return "a location takes no interpreter: give the script a first line such as #!/bin/bash"
    if "\\" in location and contents.find(location.replace("\\", "/")).kind == "file":
        return "use / between folders, not a backslash"
    folder = posixpath.dirname(first.lstrip("/"))
    files = [entry.path for entry in contents.entries() if posixpath.dirname(entry.path) == folder]
    name = posixpath.basename(first)
    return did_you_mean(f"{folder}/{name}" if folder else name, files)


def _check_first_line(script: Script, head: bytes | None, findings: Findings, *, is_previous: bool) -> None:
    """A shebang with a carriage return names an interpreter that doesn't exist."""
    if head is None:
        return
    name = script.location
    first = head.partition(b"\n")[0]
    if not head:
        findings.warning(script.at, "script_empty", f"script {name!r} is empty, and does nothing")
    elif head.startswith(b"\xef\xbb\xbf"):
        message = f"script {name!r} starts with a byte order mark, so that its first line is no shebang"
        findings.warning(script.at, "script_bom", message, "save it as UTF-8 without a byte order mark")
    elif first.startswith(b"#!") and first.endswith(b"\r"):
        message = f"script {name!r} has Windows line ends; its interpreter won't be found"
        hint = "save it with LF line ends"
        if is_previous:
            message = f"{message}; that fails the deployment after this one"
            findings.warning(script.at, "script_crlf_for_next_deployment", message, hint)
        else:
            findings.error(script.at, "script_crlf", message, hint, stage="script")
    elif not first.startswith((b"#!", *_PROGRAMS)):
        message = f"script {name!r} doesn't begin with a line such as #!/bin/bash, so that sh runs it"
        findings.warning(script.at, "script_no_shebang", message)
