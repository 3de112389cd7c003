"""A ready archive, opened as the agent would: unpacked in thought, without its single top folder, its AppSpec read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.bundle.appspec import NAME, AppSpecReport, judge, with_remarks
from orchestrator.bundle.appspec_types import FileExistsBehavior
from orchestrator.bundle.entries import Check, Contents, Entry, no_check
from orchestrator.bundle.reader import list_archive, read_heads
from orchestrator.core.model import BundleFormat


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadyBundle:
    entries: tuple[Entry, ...]
    """Sorted, from below the single top folder if there is one."""
    report: AppSpecReport
    top: str = ""
    """The single top folder, which the agent takes away."""


def open_ready(
    path: Path,
    bundle_format: BundleFormat,
    *,
    shown: str,
    name: str = NAME,
    behavior: FileExistsBehavior = "DISALLOW",
    check: Check = no_check,
) -> ReadyBundle:
    """Reads the archive to its end. `name` is what the agent calls its AppSpec.

    Raises `ArchiveError` when it can't be unpacked.
    """
    listing = list_archive(path, bundle_format, keep=name, check=check)
    top = _top_folder(Contents(listing.entries))
    prefix = f"{top}/" if top else ""
    contents = Contents(_below(entry, top) for entry in listing.entries if entry.path != top)

    def heads(names: Collection[str], limit: int) -> Mapping[str, bytes]:
        kept = {name: listing.kept[prefix + name][:limit] for name in names if prefix + name in listing.kept}
        missing = {prefix + name for name in names if name not in kept}
        found = read_heads(path, bundle_format, missing, limit, check=check) if missing else {}
        return {**kept, **{name.removeprefix(prefix): content for name, content in found.items()}}

    report = judge(contents, heads, file=f"{shown}!{name}", name=name, bundle_format=bundle_format, behavior=behavior)
    entries = tuple(sorted(contents.entries(), key=lambda entry: entry.path))
    return ReadyBundle(entries=entries, report=with_remarks(report, listing.remarks, file=shown), top=top)


def _top_folder(contents: Contents) -> str:
    """The one folder around everything, which the agent takes away when it holds something named like an AppSpec."""
    tops = contents.names_in("")
    if len(tops) != 1:
        return ""
    (top,) = tops
    return top if any("appspec" in name.lower() for name in contents.names_in(top)) else ""


def _below(entry: Entry, top: str) -> Entry:
    return replace(entry, path=entry.path.removeprefix(f"{top}/")) if top else entry
