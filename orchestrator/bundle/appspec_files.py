"""`files` of an AppSpec: what goes where."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from orchestrator.bundle.appspec_findings import Findings
from orchestrator.bundle.appspec_targets import check_targets
from orchestrator.bundle.appspec_yaml import Value
from orchestrator.bundle.entries import Contents


@dataclass(frozen=True, kw_only=True, slots=True)
class FileMapping:
    source: str
    """From the root of the bundle, with or without a leading slash; a directory means what is in it."""
    destination: str
    """A directory on the instance."""


def read_files(files: Value | None, contents: Contents | None, findings: Findings) -> tuple[FileMapping, ...]:
    """The entries that are whole. Without `contents`, sources aren't looked for."""
    if files is None or files.is_nothing:
        if files is not None and files.scalar() is False:
            findings.warning(files, "wrong_type_ignored", "files is false, and counts as left out")
        return ()
    if not files.is_list:
        findings.error(files, "files_type", "files must be a list of entries with source and destination")
        return ()
    read = [(entry, _read_entry(entry, contents, findings)) for entry in files.items()]
    whole = [(entry, mapping) for entry, mapping in read if mapping is not None]
    if contents is not None:
        absolute = [(entry, m.source, m.destination) for entry, m in whole if m.destination.startswith("/")]
        check_targets(absolute, contents, findings)
    return tuple(mapping for _, mapping in whole)


def _read_entry(entry: Value, contents: Contents | None, findings: Findings) -> FileMapping | None:
    if not entry.is_mapping:
        findings.error(entry, "files_entry_type", "must be a mapping with source and destination")
        return None
    source = _read_path(entry, "source", findings)
    destination = _read_path(entry, "destination", findings)
    for key, _ in entry.pairs():
        if key.text() not in {"source", "destination"}:
            findings.warning(key, "unknown_key", f"the agent doesn't know the key {key.text()!r} here and ignores it")
    if source is not None and contents is not None:
        _check_source(source, contents, findings)
    if destination is not None:
        _check_destination(destination, findings)
    if source is None or destination is None:
        return None
    return FileMapping(source=source.text(), destination=destination.text())


def _read_path(entry: Value, key: str, findings: Findings) -> Value | None:
    value = entry.get(key)
    if value is None or value.is_nothing:
        findings.error(entry if value is None else value, f"files_{key}_missing", f"{key} is missing")
        return None
    if not value.is_string:
        message = f"{key} must be text, not {value.text()!r}"
        findings.error(value, "files_value_type", message, "put it in quotes")
        return None
    return value


def _check_source(source: Value, contents: Contents, findings: Findings) -> None:
    text = source.text()
    found = contents.find(text)
    if found.kind == "outside":
        findings.warning(source, "source_outside", f"source {text!r} leads out of the bundle")
    elif found.kind == "missing" and contents.get(text.strip("/")) is None:  # a link to nothing is copied as a link
        hint = "use / between folders, not a backslash" if "\\" in text else None
        if any(character in text for character in "*?["):
            hint = "the agent knows no patterns here: name the folder"
        findings.error(source, "source_not_found", f"source {text!r} is not in the bundle", hint)
    elif found.kind == "dir" and not found.path:
        findings.warning(source, "appspec_installed", "source is the whole bundle, the AppSpec file and hooks included")


def _check_destination(destination: Value, findings: Findings) -> None:
    text = destination.text()
    if not text:
        findings.error(destination, "destination_unusable", "destination is empty")
    elif not text.startswith("/") and text[1:2] != ":":
        message = f"destination {text!r} is relative, to a folder of the agent's own"
        findings.warning(destination, "destination_relative", message, "write an absolute path")
    elif posixpath.normpath(text) == "/":
        findings.warning(destination, "destination_root", "destination is the root of the file system")
    if "${" in text or "{{" in text:
        findings.warning(destination, "template_left", f"destination {text!r} holds a template, which nobody fills in")
