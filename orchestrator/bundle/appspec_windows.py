"""An AppSpec for Windows in its bundle: names whatever their case, with / or backslashes, and only what runs there.

The agent on Windows wasn't at hand to check these against: they are from its sources and the user guide.
"""

from __future__ import annotations

import posixpath

from orchestrator.bundle.appspec_findings import TOP, Findings, did_you_mean
from orchestrator.bundle.appspec_hooks import EVENTS
from orchestrator.bundle.appspec_scripts import PREVIOUS
from orchestrator.bundle.appspec_types import FileMapping, Script, ServerAppSpec
from orchestrator.bundle.entries import Contents, Entry, Found
from orchestrator.core.model import BundleFormat

_RUNS = (".ps1", ".bat", ".cmd", ".exe", ".com")
_SHOWN = 3


def check_windows(
    appspec: ServerAppSpec, contents: Contents, bundle_format: BundleFormat | None, findings: Findings
) -> None:
    if bundle_format in {"tar", "tgz"}:
        message = f"os is windows, whose agent takes only zip, and the bundle is {bundle_format}"
        findings.error(TOP, "windows_needs_zip", message, "use the format zip", stage="unpack")
    folded = Contents(_folded(entry) for entry in contents.entries())
    taken: dict[str, str] = {}
    for mapping in appspec.files:
        _check_mapping(mapping, folded, taken, findings)
    for event in EVENTS:
        for script in appspec.hooks.get(event, ()):
            _check_script(event, script, folded, findings)


def _folded(entry: Entry) -> Entry:
    return Entry(entry.path.lower(), entry.kind, entry.mode, entry.size, entry.target.lower())


def _find(folded: Contents, path: str) -> Found:
    return folded.find(path.replace("\\", "/").lower())


def _check_mapping(mapping: FileMapping, folded: Contents, taken: dict[str, str], findings: Findings) -> None:
    place = mapping.destination.replace("\\", "/")
    if place[1:2] != ":" and not place.startswith("//"):
        message = f"destination {mapping.destination!r} names no drive"
        findings.warning(mapping.destination_at, "destination_relative", message, "such as C:\\inetpub\\wwwroot")
    found = _find(folded, mapping.source)
    if found.kind == "missing":
        message = f"source {mapping.source!r} is not in the bundle"
        findings.error(mapping.source_at, "source_not_found", message, stage="install")
    elif found.kind == "dir" and not found.path:
        message = "source is the whole bundle, the AppSpec file and hooks included"
        findings.warning(mapping.source_at, "appspec_installed", message, "put what is installed in a folder")
    shown = 0
    for origin, target in _targets(found, place, folded):
        if target in taken and shown < _SHOWN:
            shown += 1
            message = f"{origin} and {taken[target]} both go to {target}"
            hint = "each place takes one file only, and case makes no difference"
            findings.error(mapping.at, "destination_conflict", message, hint, stage="install")
        taken.setdefault(target, origin)


def _targets(found: Found, place: str, folded: Contents) -> list[tuple[str, str]]:
    base = posixpath.normpath(place.lower())
    if found.kind == "file":
        return [(found.path, posixpath.join(base, posixpath.basename(found.path)))]
    prefix = f"{found.path}/" if found.path else ""
    files = [e.path for e in folded.entries() if e.kind == "file" and e.path.startswith(prefix)]
    return [(path, posixpath.join(base, path.removeprefix(prefix))) for path in files] if found.kind == "dir" else []


def _check_script(event: str, script: Script, folded: Contents, findings: Findings) -> None:
    problem = _problem(script, folded)
    if problem is not None:
        code, message, hint = problem
        if event in PREVIOUS:
            message = f"{message}; that fails the deployment after this one"
            findings.warning(script.at, f"{code}_for_next_deployment", message, hint)
        else:
            findings.error(script.at, code, message, hint, stage="script")
    elif not script.location.lower().endswith(_RUNS):
        message = f"script {script.location!r} is of no kind that Windows starts"
        findings.warning(script.at, "script_kind_unknown", message, f"{', '.join(_RUNS)} are")


def _problem(script: Script, folded: Contents) -> tuple[str, str, str | None] | None:
    text = script.location
    kind = _find(folded, text).kind
    if kind == "dir":
        return "location_is_directory", f"location {text!r} is a directory, not a script", None
    if kind == "missing":
        hint = did_you_mean(text.replace("\\", "/"), [e.path for e in folded.entries() if e.kind == "file"])
        return "script_missing", f"script {text!r} is not in the bundle", hint
    if " " in text:
        message = f"location {text!r} goes to a command line unquoted: it can't have spaces"
        return "location_not_shell_safe", message, "rename the script"
    if text.lower().endswith(".sh"):
        return "script_interpreter_missing", f"script {text!r} is for a Unix shell", "write it for PowerShell, as .ps1"
    return None
