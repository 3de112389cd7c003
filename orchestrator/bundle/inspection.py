"""What an instance would get from a bundle: the view behind `bundle inspect`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.bundle.appspec import AppSpecReport
from orchestrator.bundle.appspec_findings import Findings
from orchestrator.bundle.appspec_hooks import EVENTS
from orchestrator.bundle.appspec_install import plan_files
from orchestrator.bundle.appspec_types import Script, ServerAppSpec
from orchestrator.bundle.check import CheckedBundle, Options, check_bundle
from orchestrator.bundle.entries import Contents, Entry
from orchestrator.core.errors import BundleError
from orchestrator.core.model import BundleSource


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """One entry of `files`."""

    source: str
    destination: str
    files: int
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    path: str
    """Absolute, on the instance."""
    origin: str
    """In the bundle."""
    kind: str
    mode: int
    """After the permissions of the AppSpec."""
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    path: Path
    checked: CheckedBundle
    digest: str | None
    """None when it couldn't be packed."""
    destinations: tuple[Destination, ...] = ()
    installed: tuple[Installed, ...] = ()
    hooks: tuple[tuple[str, tuple[Script, ...]], ...] = ()
    """Events that have scripts, in the order in which they run."""

    @property
    def report(self) -> AppSpecReport:
        return self.checked.report

    @property
    def total_size(self) -> int:
        """Bytes in all files, uncompressed."""
        return sum(entry.size for entry in self.checked.entries)


def inspect_bundle(path: Path, options: Options | None = None) -> Inspection:
    """Never raises for bad input: what is wrong is in the report."""
    options = options or Options()
    checked = check_bundle(path, options)
    appspec = checked.report.appspec
    digest = _digest(path, checked) if checked.platform == "server" and checked.entries else None
    if appspec is None:
        return Inspection(path=path, checked=checked, digest=digest)
    contents = Contents(checked.entries)
    return Inspection(
        path=path,
        checked=checked,
        digest=digest,
        destinations=tuple(_destinations(appspec, contents)) if appspec.os == "linux" else (),
        installed=tuple(_installed(checked.report)),
        hooks=tuple((event, appspec.hooks[event]) for event in EVENTS if appspec.hooks.get(event)),
    )


def _digest(path: Path, checked: CheckedBundle) -> str | None:
    """As the bundle would be known by in S3."""
    from orchestrator.bundle.source import digest, open_source  # noqa: PLC0415 - `bundle check` needs no digest

    bundle_format = None if path.is_dir() else checked.format
    try:
        opened = open_source(BundleSource(path=path.absolute(), bucket="", prefix="", format=bundle_format))
        return digest(opened).value
    except (BundleError, OSError):
        return None


def _destinations(appspec: ServerAppSpec, contents: Contents) -> Sequence[Destination]:
    found = []
    for mapping in appspec.files:
        plan = plan_files(replace(appspec, files=(mapping,)), contents, Findings(""))
        entries = [copy.entry for copy in plan.copies.values() if copy.entry is not None]
        size = sum(entry.size for entry in entries)
        shown = Destination(source=mapping.source, destination=mapping.destination, files=len(plan.copies), bytes=size)
        found.append(shown)
    return found


def _installed(report: AppSpecReport) -> Sequence[Installed]:
    if report.install is None:
        return []
    modes = {
        target: int(applied.permission.mode, 8)
        for applied in report.applied
        if applied.permission.mode is not None
        for target in applied.targets
    }
    placed = {path: Entry(path, "dir", 0o755) for path in report.install.directories}
    placed |= {path: copy.entry or Entry(path, "file") for path, copy in report.install.copies.items()}
    origins = {path: copy.origin for path, copy in report.install.copies.items()} | report.install.directories
    return [
        Installed(
            path=path,
            origin=origins[path],
            kind=entry.kind,
            mode=modes.get(path, entry.mode),
            size=entry.size,
        )
        for path, entry in sorted(placed.items())
    ]
