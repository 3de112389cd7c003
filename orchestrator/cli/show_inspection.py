"""What an instance would get, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from orchestrator.wording.text import one_line, plural, size

if TYPE_CHECKING:
    from orchestrator.bundle.appspec_permit import Applied
    from orchestrator.bundle.appspec_types import Permission, Script
    from orchestrator.bundle.entries import Entry
    from orchestrator.bundle.inspection import Inspection

_PREVIOUS = ("ApplicationStop", "BeforeBlockTraffic", "AfterBlockTraffic")


def show_inspection(found: Inspection, *, as_json: bool) -> None:
    """On stdout."""
    if as_json:
        click.echo(json.dumps(_to_json(found), indent=2))
        return
    for line in _lines(found):
        click.echo(line)


def _lines(found: Inspection) -> Iterator[str]:
    checked = found.checked
    if checked.platform != "server":
        platform = checked.platform or "an unknown platform"
        yield f"{one_line(str(found.path))}: the AppSpec of a deployment to {platform}"
        return
    files = sum(entry.kind == "file" for entry in checked.entries)
    kind = checked.format or "directory"
    yield f"{one_line(str(found.path))}: {kind}, {plural(files, 'file')}, {size(found.total_size)}"
    yield f"digest: {found.digest or 'none: it could not be packed'}"
    if checked.top:
        yield f"top folder: {one_line(checked.top)}/ (the agent takes it away)"
    yield from _section("tree", (_tree_line(entry) for entry in checked.entries))
    appspec = found.report.appspec
    if appspec is None:
        return
    yield ""
    yield f"os: {appspec.os}; files that exist already: {appspec.file_exists_behavior or 'as the deployment says'}"
    yield from _section("files", _destination_lines(found))
    yield from _section("hooks, in the order in which they run", _hook_lines(found))
    applied = ((one.permission, f" on {plural(len(one.targets), 'path')}") for one in found.report.applied)
    yield from _section("permissions", (f"{_permission_line(*pair)}" for pair in applied))


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    yield f"\n{title}:"
    nothing = True
    for line in lines:
        nothing = False
        yield f"  {line}"
    if nothing:
        yield "  none"


def _tree_line(entry: Entry) -> str:
    name = one_line(entry.path)
    if entry.kind == "symlink":
        return f"link             {name} -> {one_line(entry.target)}"
    shown = size(entry.size) if entry.kind == "file" else ""
    return f"{entry.mode:04o} {shown:>11} {name}{'/' if entry.kind == 'dir' else ''}"


def _destination_lines(found: Inspection) -> Iterator[str]:
    for one in found.destinations:
        count = f"{plural(one.files, 'file')}, {size(one.bytes)}"
        yield f"{one_line(one.source) or '/'} -> {one_line(one.destination)} ({count})"


def _hook_lines(found: Inspection) -> Iterator[str]:
    for event, scripts in found.hooks:
        yield f"{event}{' (run at the deployment after this one)' if event in _PREVIOUS else ''}"
        for script in scripts:
            yield f"  {_script_line(script)}"


def _script_line(script: Script) -> str:
    user = f", as {one_line(script.runas)}" if script.runas else ""
    return f"{one_line(script.location)} (at most {script.timeout} s{user}{', by sudo' if script.sudo else ''})"


def _permission_line(permission: Permission, reach: str) -> str:
    return f"{one_line(permission.object)}: {', '.join(_settings(permission)) or 'nothing'}{reach}"


def _settings(permission: Permission) -> Iterator[str]:
    if permission.mode is not None:
        yield f"mode {permission.mode.zfill(4)}"
    if permission.owner is not None:
        yield f"owner {one_line(permission.owner)}"
    if permission.group is not None:
        yield f"group {one_line(permission.group)}"
    if permission.acls:
        yield f"acls {' '.join(str(entry) for entry in permission.acls)}"
    if permission.context is not None:
        yield f"context {permission.context.type}"


# --- JSON ------------------------------------------------------------------------------------------------------------


def _to_json(found: Inspection) -> dict[str, object]:
    from orchestrator.cli.show_check import finding_to_json  # noqa: PLC0415 - only for JSON

    appspec = found.report.appspec
    return {
        "path": str(found.path),
        "platform": found.checked.platform,
        "format": found.checked.format,
        "verdict": "accept" if found.report.ok else "reject",
        "digest": found.digest,
        "total_bytes": found.total_size,
        "top_folder": found.checked.top or None,
        "entries": [_entry(entry) for entry in found.checked.entries],
        "os": appspec.os if appspec else None,
        "file_exists_behavior": appspec.file_exists_behavior if appspec else None,
        "destinations": [
            {"source": one.source, "destination": one.destination, "files": one.files, "bytes": one.bytes}
            for one in found.destinations
        ],
        "installed": [
            {"path": one.path, "from": one.origin, "type": one.kind, "mode": f"{one.mode:04o}", "size": one.size}
            for one in found.installed
        ],
        "hooks": [
            {"event": event, "scripts": [_script(script) for script in scripts]} for event, scripts in found.hooks
        ],
        "permissions": [_permission(applied) for applied in found.report.applied],
        "errors": [finding_to_json(finding) for finding in found.report.errors],
        "warnings": [finding_to_json(finding) for finding in found.report.warnings],
    }


def _entry(entry: Entry) -> dict[str, object]:
    shown: dict[str, object] = {"path": entry.path, "type": entry.kind, "mode": f"{entry.mode:04o}", "size": entry.size}
    return shown | ({"target": entry.target} if entry.kind == "symlink" else {})


def _script(script: Script) -> dict[str, object]:
    return {"location": script.location, "timeout": script.timeout, "runas": script.runas}


def _permission(applied: Applied) -> dict[str, object]:
    permission = applied.permission
    return {
        "object": permission.object,
        "pattern": permission.pattern,
        "except": list(permission.excepted),
        "type": sorted(permission.types),
        "mode": permission.mode,
        "owner": permission.owner,
        "group": permission.group,
        "acls": [str(entry) for entry in permission.acls] if permission.acls is not None else None,
        "targets": list(applied.targets),
    }
