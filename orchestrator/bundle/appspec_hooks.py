"""`hooks` of an AppSpec: lifecycle events and their scripts."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from orchestrator.bundle.appspec_findings import Findings, did_you_mean
from orchestrator.bundle.appspec_yaml import Value
from orchestrator.bundle.entries import Contents

EVENTS = (
    "BeforeBlockTraffic",
    "AfterBlockTraffic",
    "ApplicationStop",
    "BeforeInstall",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
    "BeforeAllowTraffic",
    "AfterAllowTraffic",
)
"""Lifecycle events of a server deployment that can have scripts."""

DEFAULT_TIMEOUT = 3600
"""Seconds that a script has unless it says otherwise; the service ends the whole event after as many."""

_NEVER_RUN = ("DownloadBundle", "Install")  # the agent takes hooks for them and runs none
_PREVIOUS = ("ApplicationStop", "BeforeBlockTraffic", "AfterBlockTraffic")  # run from the previous revision
_LEADING_INTEGER = re.compile(r"\s*[-+]?\d[\d_]*")
_SHELL_UNSAFE = re.compile(r"[&;()|<>'\"`$\\]")
_HEAD = 256


class Heads(Protocol):
    def __call__(self, names: Collection[str], limit: int, /) -> Mapping[str, bytes]:
        """The first `limit` bytes of these files of the bundle; what isn't there is left out."""


def no_heads(names: Collection[str], limit: int, /) -> Mapping[str, bytes]:  # noqa: ARG001 - the protocol's shape
    """Knows no file's content."""
    return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    location: str
    """From the root of the bundle."""
    timeout: int = DEFAULT_TIMEOUT
    """Seconds."""
    runas: str | None = None


def read_hooks(
    hooks: Value | None, contents: Contents | None, findings: Findings, heads: Heads
) -> dict[str, tuple[Script, ...]]:
    """The scripts by event. Without `contents`, they aren't looked for."""
    if hooks is None or hooks.is_nothing:
        return {}
    if not hooks.is_mapping:
        findings.error(hooks, "hooks_type", "hooks must be a mapping from lifecycle events to lists of scripts")
        return {}
    read: dict[str, tuple[Script, ...]] = {}
    found: list[tuple[Value, str]] = []
    for key, value in hooks.pairs():
        event = _check_event(key, findings)
        scripts, located = _read_scripts(event, value, contents, findings)
        found += located
        read[event] = scripts
    _check_first_lines(found, heads, findings)
    return read


def _check_event(key: Value, findings: Findings) -> str:
    name = key.text()
    if key.is_string and name in _NEVER_RUN:
        findings.warning(key, "hook_never_runs", f"hooks of {name} never run", "BeforeInstall and AfterInstall do")
    elif not key.is_string or name not in EVENTS:
        hint = did_you_mean(name, EVENTS) or f"events with scripts are {', '.join(EVENTS)}"
        findings.error(key, "hook_unknown_event", f"{name!r} is no lifecycle event that can have scripts", hint)
    return name


def _read_scripts(
    event: str, value: Value, contents: Contents | None, findings: Findings
) -> tuple[tuple[Script, ...], list[tuple[Value, str]]]:
    """The scripts, and the locations that were found with where they really are."""
    if value.is_nothing:
        return (), []
    if not value.is_list:
        findings.error(value, "hook_scripts_type", f"{event} must be a list of scripts, each with a location")
        return (), []
    scripts: list[Script] = []
    located: list[tuple[Value, str]] = []
    for entry in value.items():
        if not entry.is_mapping:
            findings.error(entry, "hook_script_type", "a script must be a mapping with a location")
            continue
        script = _read_script(entry, findings)
        if script is None:
            continue
        scripts.append(script)
        location = entry.get("location")
        if contents is None or location is None or event in _NEVER_RUN:
            continue
        if path := _check_location(event, location, contents, findings):
            located.append((location, path))
    _check_sum(event, value, scripts, findings)
    return tuple(scripts), located


def _check_sum(event: str, value: Value, scripts: list[Script], findings: Findings) -> None:
    total = sum(script.timeout for script in scripts)
    # Two scripts without a timeout are usual, and nobody thought of an hour each.
    thought_of = any(entry.is_mapping and entry.get("timeout") is not None for entry in value.items())
    if total > DEFAULT_TIMEOUT and len(scripts) > 1 and thought_of:
        message = f"the timeouts of {event} add up to {total} s; the service ends an event after {DEFAULT_TIMEOUT} s"
        findings.warning(value, "timeout_sum_over_3600", message, f"a script without a timeout has {DEFAULT_TIMEOUT} s")


def _read_script(entry: Value, findings: Findings) -> Script | None:
    for key, _ in entry.pairs():
        if key.text() not in {"location", "timeout", "runas", "sudo"}:
            hint = did_you_mean(key.text(), ("location", "timeout", "runas"))
            findings.warning(key, "unknown_key", f"the agent doesn't know the key {key.text()!r} here", hint)
    timeout = _read_timeout(entry.get("timeout"), findings)
    location = entry.get("location")
    if location is None or location.is_nothing:
        findings.error(entry if location is None else location, "hook_location_missing", "location is missing")
        return None
    if not location.is_scalar:
        findings.error(location, "script_missing", f"location must be the path of a script, not {location.text()}")
        return None
    runas = entry.get("runas")
    if runas is not None and not runas.is_scalar:
        findings.warning(runas, "runas_type", "runas must be the name of a user")
        runas = None
    user = runas.text().strip() if runas is not None and not runas.is_nothing else ""
    return Script(location=location.text().strip(), timeout=timeout, runas=user or None)


def _read_timeout(value: Value | None, findings: Findings) -> int:
    """As Ruby's `to_i` reads it."""
    if value is None or value.is_nothing:
        if value is not None and value.scalar() is False:
            findings.warning(value, "wrong_type_ignored", "timeout is false, and counts as left out")
        return DEFAULT_TIMEOUT
    scalar = value.scalar() if value.is_scalar else None
    hint = f"a whole number of seconds, 1 to {DEFAULT_TIMEOUT}"
    if scalar is None or isinstance(scalar, bool) or scalar in {float("inf"), float("-inf")}:
        findings.error(value, "timeout_type", f"timeout must be a number, not {value.text()!r}", hint)
        return DEFAULT_TIMEOUT
    seconds = _to_i(scalar) if isinstance(scalar, str) else int(scalar)
    if seconds <= 0:
        findings.error(value, "timeout_invalid", f"timeout {value.text()!r} counts as {seconds} seconds", hint)
        return DEFAULT_TIMEOUT
    if str(seconds) != value.text().strip():
        findings.warning(value, "timeout_not_integer", f"timeout {value.text()!r} counts as {seconds} seconds", hint)
    if seconds > DEFAULT_TIMEOUT:
        message = f"timeout is {seconds} s; the service ends an event after {DEFAULT_TIMEOUT} s"
        findings.warning(value, "timeout_over_3600", message, hint)
    return seconds


def _to_i(text: str) -> int:
    match = _LEADING_INTEGER.match(text)
    return int(match.group().replace("_", "")) if match else 0


def _check_location(event: str, location: Value, contents: Contents, findings: Findings) -> str | None:
    """Where the script really is in the bundle; None when it isn't to be looked at."""
    text = location.text().strip()  # as the agent does
    found = contents.find(text)
    if ".." in text.split("/"):
        findings.warning(location, "location_outside", f"location {text!r} goes up with `..`")
    if found.kind == "outside":
        return None
    if event in _PREVIOUS and found.kind == "missing":
        message = f"script {text!r} of {event} is not in the bundle; that fails the deployment after this one"
        findings.warning(location, "script_missing_for_next_deployment", message)
        return None
    if found.kind == "dir":
        findings.error(location, "script_missing", f"location {text!r} is a directory, not a script")
        return None
    if found.kind == "missing":
        findings.error(location, "script_missing", f"script {text!r} is not in the bundle", _near(text, contents))
        return None
    if (" " in text or _SHELL_UNSAFE.search(text)) and event not in _PREVIOUS:
        message = f"location {text!r} goes through a shell unquoted: it can't have spaces or special characters"
        findings.error(location, "location_not_shell_safe", message, "rename the script")
        return None
    return found.path if event not in _PREVIOUS else None


def _near(location: str, contents: Contents) -> str | None:
    first, _, rest = location.strip().partition(" ")
    if rest and contents.find(first).kind == "file":
        return "a location takes no arguments: put the call into a script of its own"
    if rest and contents.find(rest).kind == "file":
        return "a location takes no interpreter: give the script a first line such as #!/bin/bash"
    folder = posixpath.dirname(first.lstrip("/"))
    files = [entry.path for entry in contents.entries() if posixpath.dirname(entry.path) == folder]
    name = posixpath.basename(first)
    return did_you_mean(f"{folder}/{name}" if folder else name, files)


def _check_first_lines(found: list[tuple[Value, str]], heads: Heads, findings: Findings) -> None:
    """A shebang with a carriage return names an interpreter that doesn't exist."""
    first_lines = heads({path for _, path in found}, _HEAD) if found else {}
    for location, path in found:
        first, newline, _ = first_lines.get(path, b"").partition(b"\n")
        if first.startswith(b"#!") and newline and first.endswith(b"\r"):
            message = f"script {location.text()!r} has Windows line ends; its interpreter won't be found"
            findings.error(location, "script_crlf", message, "save it with LF line ends")
