"""Looks at the sources of a release: each once, and every mistake at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.bundle.appspec import AppSpecReport
from orchestrator.bundle.cloud import check_content
from orchestrator.bundle.source import Bundle, open_source
from orchestrator.core.errors import BundleError, Finding, InvalidInputError
from orchestrator.core.model import NO_OBJECT_SETTINGS, AppSpecRevision, BundleSource, Target
from orchestrator.manifest import Release


class Sources:
    """Opens each folder or archive once, whatever bucket and environment it is meant for."""

    def __init__(self) -> None:
        self._opened: dict[BundleSource, Bundle | BundleError] = {}

    def open(self, source: BundleSource) -> Bundle:
        """Raises `BundleError`, the same each time."""
        content = replace(source, bucket="", prefix="", key=None, stored=NO_OBJECT_SETTINGS)
        if content not in self._opened:
            try:
                self._opened[content] = open_source(content, shown=_shown(source.path))
            except BundleError as error:
                self._opened[content] = error
        found = self._opened[content]
        if isinstance(found, BundleError):
            raise found
        return replace(found, source=source)

    def opened(self) -> list[Bundle]:
        """Those that could be, in the order in which they were asked for."""
        return [found for found in self._opened.values() if isinstance(found, Bundle)]


def check_sources(
    release: Release, targets: Sequence[Target], sources: Sources | None = None
) -> tuple[dict[BundleSource, Bundle], list[Finding]]:
    """The bundles, and the warnings about them; raises `InvalidInputError` with all mistakes."""
    sources = sources or Sources()
    bundles: dict[BundleSource, Bundle] = {}
    errors: list[Finding] = []
    warnings: list[Finding] = []
    for target in targets:
        source = target.source
        if isinstance(source, AppSpecRevision):
            report = _check_appspec(release, target, source)
            errors += report.errors
            warnings += report.warnings
        if not isinstance(source, BundleSource) or source in bundles:
            continue
        try:
            bundle = sources.open(source)
        except BundleError as error:
            errors.append(_finding(release, target, error))
        else:
            bundles[source] = bundle
            errors += bundle.report.errors
            warnings += bundle.report.warnings
    if errors:
        raise InvalidInputError(list(dict.fromkeys(errors)))
    return bundles, list(dict.fromkeys(warnings))


def _check_appspec(release: Release, target: Target, source: AppSpecRevision) -> AppSpecReport:
    """The AppSpec of a deployment to ECS or Lambda, which is the revision itself."""
    path = release.appspec_path(target.id)
    file = _shown(path) if path is not None else f"{release.position(target.id, 'revision.appspec')}: the AppSpec"
    is_json = path is not None and path.suffix.lower() == ".json"
    return check_content(source.content.encode(), file=file, is_json=is_json).report


def _shown(path: Path) -> str:
    """Relative to the current folder where that is shorter to read."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _finding(release: Release, target: Target, error: BundleError) -> Finding:
    at = release.position(target.id, "revision.source")
    place = f"applications.{target.application}.revision.source"
    return Finding(file=at.file, line=at.line, column=at.column, place=place, message=error.message, hint=error.hint)
