"""`files` of an AppSpec: what goes where. Whether it is there, and fits, `appspec_install.py` finds out."""

from __future__ import annotations

import posixpath

from orchestrator.bundle.appspec_findings import Findings
from orchestrator.bundle.appspec_keys import check_keys, each, index
from orchestrator.bundle.appspec_types import FileMapping
from orchestrator.bundle.ruby_yaml import Value

_TEMPLATES = ("${", "{{", "<%")


def read_files(files: Value | None, findings: Findings) -> tuple[FileMapping, ...]:
    """The entries that are whole."""
    if files is None or files.is_falsy:
        if files is not None and not files.is_nil:
            findings.warning(files, "wrong_type_ignored", "files is false, and counts as left out")
        return ()
    entries = each(files)
    if entries is None or (files.is_mapping and entries):
        hint = "put a dash before each source"
        findings.error(files, "files_type", "files must be a list of entries with source and destination", hint)
        return ()
    mappings = [_read_entry(entry, findings) for entry in entries]
    return tuple(mapping for mapping in mappings if mapping is not None)


def _read_entry(entry: Value, findings: Findings) -> FileMapping | None:
    asked, source = index(entry, "source")
    _, destination = index(entry, "destination")
    if not asked or (not entry.is_mapping and source is None):
        findings.error(entry, "files_entry_type", "must be a mapping with source and destination")
        return None
    if entry.is_mapping:
        check_keys(entry, ("source", "destination"), findings)
    for key, value in (("source", source), ("destination", destination)):
        if value is None:
            findings.error(entry.get(key) or entry, f"files_{key}_missing", f"{key} is missing")
    if source is None or destination is None:
        return None
    path = _path(source, "source", findings)
    place = _path(destination, "destination", findings)
    if path is None or place is None:
        return None
    _look_at_destination(destination, place, findings)
    return FileMapping(
        source=path,
        destination=place,
        is_joined=destination.is_list,
        at=entry,
        source_at=source,
        destination_at=destination,
    )


def _path(value: Value, key: str, findings: Findings) -> str | None:
    """The text of a path; the agent joins a list of names."""
    parts = _parts(value)
    if parts is None:
        message = f"{key} must be text, not {value.shown()!r}"
        hint = "a template has to be filled in, or put in quotes" if value.is_mapping else "put it in quotes"
        findings.error(value, "files_value_type", message, hint, stage="install")
        return None
    path = parts[0]
    for part in parts[1:]:
        path = f"{path.rstrip('/')}/{part.lstrip('/')}"
    if "\0" in path:
        findings.error(value, "files_value_type", f"{key} holds a NUL character", stage="install")
        return None
    if path.endswith("\n"):
        message = f"{key} ends with a line feed, which becomes a part of the name"
        findings.warning(value, "trailing_newline", message, "write it on the line of its key, or use `>-`")
    return path


def _parts(value: Value) -> list[str] | None:
    if value.is_string:
        return [str(value.scalar)]
    if not value.is_list:
        return None
    parts: list[str] = []
    for item in value.items:
        inner = _parts(item)
        if inner is None:
            return None
        parts += inner
    return parts or [""]


def _look_at_destination(at: Value, text: str, findings: Findings) -> None:
    """What the agent takes and nobody means."""
    if any(mark in text for mark in _TEMPLATES):
        findings.warning(at, "template_left", f"destination {text!r} holds a template, which nobody fills in")
    elif any(character in text for character in "*?[") and text.startswith("/"):
        message = f"destination {text!r} is no pattern: a folder of exactly that name is made"
        findings.warning(at, "destination_glob", message, "name one folder")
    if text.startswith("/") and posixpath.normpath(text).lstrip("/") == "":
        message = "destination is the root of the file system"
        findings.warning(at, "destination_root", message, "name a folder of your application's own")
