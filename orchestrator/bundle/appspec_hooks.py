"""`hooks` of an AppSpec: lifecycle events and their scripts. Whether these are there is `appspec_scripts.py`'s part."""

from __future__ import annotations

import math

from orchestrator.bundle.appspec_findings import Findings, did_you_mean
from orchestrator.bundle.appspec_keys import check_keys, each
from orchestrator.bundle.appspec_types import DEFAULT_TIMEOUT, Os, Script
from orchestrator.bundle.ruby_scalars import strip, to_i
from orchestrator.bundle.ruby_yaml import Value

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
"""Lifecycle events of a server deployment that can have scripts, in the order in which they run."""

NEVER_RUN = ("DownloadBundle", "Install")
"""The agent takes hooks for them and runs none."""

_NOT_SCRIPTABLE = ("Start", "End", "BlockTraffic", "AllowTraffic")


def read_hooks(hooks: Value | None, findings: Findings, *, os: Os | None) -> dict[str, tuple[Script, ...]]:
    """The scripts by event."""
    if hooks is None or hooks.is_falsy:
        if hooks is not None and not hooks.is_nil:
            findings.warning(hooks, "wrong_type_ignored", "hooks is false, and counts as left out")
        return {}
    if not hooks.is_mapping:
        message = "hooks must be a mapping from lifecycle events to lists of scripts"
        findings.error(hooks, "hooks_type", message, "write `hooks:`, and below it, indented, `AfterInstall:`")
        return {}
    _warn_of_doubled(hooks, findings)
    read: dict[str, tuple[Script, ...]] = {}
    for key, value in hooks.pairs:
        scripts = _read_event(key, value, findings, os)
        _check_event(key, findings)
        if key.is_string:
            read[str(key.scalar)] = scripts
    return read


def _warn_of_doubled(hooks: Value, findings: Findings) -> None:
    for key in hooks.doubled:
        message = f"{key.shown()} stands twice; only the last one's scripts run"
        findings.warning(key, "duplicate_key", message, "put all its scripts into one list")


def _check_event(key: Value, findings: Findings) -> None:
    name = key.shown()
    if key.is_string and name in NEVER_RUN:
        findings.warning(key, "hook_never_runs", f"hooks of {name} never run", "BeforeInstall and AfterInstall do")
    elif not key.is_string or key.scalar not in EVENTS:
        hint = did_you_mean(name, EVENTS)
        if hint is None or name in _NOT_SCRIPTABLE:
            hint = f"events with scripts are {', '.join(EVENTS)}"
        message = f"{name!r} is no lifecycle event that can have scripts"
        findings.error(key, "hook_unknown_event", message, hint, stage="install")


def _read_event(key: Value, value: Value, findings: Findings, os: Os | None) -> tuple[Script, ...]:
    event = key.shown()
    if value.is_falsy:
        if not value.is_nil:
            findings.warning(value, "wrong_type_ignored", f"{event} is false, and counts as left out")
        return ()
    entries = each(value)
    if entries is None:
        hint = "is there a space after the dash?" if value.written.startswith("-") else "write `- location: script.sh`"
        message = f"{event} must be a list of scripts, each with a location"
        findings.error(value, "hook_scripts_type", message, hint)
        return ()
    if value.is_mapping and entries:
        message = f"{event} must be a list of scripts, not one mapping"
        findings.error(value, "hook_scripts_type", message, "put a dash before `location`")
        return ()
    scripts = [script for entry in entries if (script := _read_script(entry, findings, os)) is not None]
    _check_sum(event, value, scripts, findings)
    return tuple(scripts)


def _read_script(entry: Value, findings: Findings, os: Os | None) -> Script | None:
    if not entry.is_mapping:
        hint = "is there a space after the colon?" if entry.written.startswith("location:") else None
        findings.error(entry, "hook_script_type", "a script must be a mapping with a location", hint)
        return None
    check_keys(entry, ("location", "timeout", "runas"), findings)
    location = entry.get("location")
    text = strip(location.to_s()) if location is not None and not location.is_nil else ""
    if location is None or not text:
        findings.error(location or entry, "hook_location_missing", "location is missing")
        return None
    if location.kind != "scalar":
        message = f"location must be the path of one script, not {location.shown()}"
        findings.warning(location, "hook_location_type", message, "one entry with a dash for each script")
    timeout = _read_timeout(entry.get("timeout"), findings)
    runas = _read_runas(entry.get("runas"), findings, os)
    sudo = entry.get("sudo")
    return Script(location=text, timeout=timeout, runas=runas, sudo=sudo is not None and not sudo.is_falsy, at=location)


def _read_runas(value: Value | None, findings: Findings, os: Os | None) -> str | None:
    if value is None or value.is_nil:
        return None
    user = strip(value.to_s())
    if os == "windows":
        message = "runas has no effect on Windows, where scripts run as the agent's account"
        findings.warning(value, "runas_on_windows", message, "take it out")
    elif not user:
        findings.warning(value, "runas_empty", "runas is empty, which means root", "take it out, or name the user")
    elif value.kind != "scalar" or any(character in user for character in " \t\n:;&|<>()$`\"'\\") or user[0] == "-":
        message = f"runas {user!r} can't be the name of a user"
        findings.error(value, "runas_unusable", message, "name one user, without a group", stage="script")
    return user


def _read_timeout(value: Value | None, findings: Findings) -> int:
    """As Ruby's `to_i` reads it."""
    if value is None or value.is_falsy:
        if value is not None and not value.is_nil:
            findings.warning(value, "wrong_type_ignored", "timeout is false, and counts as left out")
        return DEFAULT_TIMEOUT
    hint = f"a whole number of seconds, 1 to {DEFAULT_TIMEOUT}"
    scalar = value.scalar
    if isinstance(scalar, bool) or not isinstance(scalar, str | int | float) or scalar in {math.inf, -math.inf}:
        findings.error(value, "timeout_type", f"timeout must be a number, not {value.shown()!r}", hint)
        return DEFAULT_TIMEOUT
    if isinstance(scalar, float) and math.isnan(scalar):
        findings.error(value, "timeout_type", "timeout is not a number", hint)
        return DEFAULT_TIMEOUT
    seconds = to_i(scalar) if isinstance(scalar, str) else int(scalar)
    if seconds <= 0:
        findings.error(value, "timeout_invalid", f"timeout {value.shown()!r} counts as {seconds} seconds", hint)
        return DEFAULT_TIMEOUT
    _look_at_timeout(value, seconds, hint, findings)
    return seconds


def _look_at_timeout(value: Value, seconds: int, hint: str, findings: Findings) -> None:
    written = value.written.strip()
    is_hex = value.is_plain and written.lower().startswith("0x")
    if str(seconds) != written and not is_hex:
        findings.warning(value, "timeout_not_integer", f"timeout {value.shown()!r} counts as {seconds} seconds", hint)
    if seconds > DEFAULT_TIMEOUT:
        message = f"timeout is {seconds} s; the service ends an event after {DEFAULT_TIMEOUT} s"
        findings.warning(value, "timeout_over_3600", message, hint)


def _check_sum(event: str, value: Value, scripts: list[Script], findings: Findings) -> None:
    total = sum(script.timeout for script in scripts)
    # Two scripts without a timeout are usual, and nobody thought of an hour each.
    thought_of = any(entry.is_mapping and entry.get("timeout") is not None for entry in value.items)
    if total > DEFAULT_TIMEOUT and len(scripts) > 1 and thought_of:
        message = f"the timeouts of {event} add up to {total} s; the service ends an event after {DEFAULT_TIMEOUT} s"
        findings.warning(value, "timeout_sum_over_3600", message, f"a script without a timeout has {DEFAULT_TIMEOUT} s")
