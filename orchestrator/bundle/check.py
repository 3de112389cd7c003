"""One path, judged as a bundle: a directory, a ready archive, or the AppSpec of a deployment to ECS or Lambda."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from orchestrator.bundle.appspec import NAME, SIZE_LIMIT, AppSpecReport, judge, refused
from orchestrator.bundle.appspec_types import FileExistsBehavior
from orchestrator.bundle.entries import Check, Contents, Entry, no_check
from orchestrator.core.errors import BundleError
from orchestrator.core.model import BundleFormat

Platform = Literal["server", "ecs", "lambda"]

_CONTENT_SUFFIXES = (".yml", ".yaml", ".json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What a deployment says beside the bundle."""

    bundle_type: BundleFormat | None = None
    """None: what the file's name or, failing that, its content says."""
    appspec_name: str = NAME
    """The agent's setting."""
    behavior: FileExistsBehavior = "DISALLOW"


def options_of(*, bundle_type: str | None, appspec_name: str, behavior: str) -> Options:
    """From words that were checked already."""
    return Options(
        bundle_type=cast("BundleFormat | None", bundle_type),
        appspec_name=appspec_name,
        behavior=cast("FileExistsBehavior", behavior),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedBundle:
    report: AppSpecReport
    format: BundleFormat | None = None
    """Of an archive; None of a directory, and of what is no bundle."""
    entries: tuple[Entry, ...] = ()
    top: str = ""
    """The single top folder of an archive, which the agent takes away."""
    platform: Platform | None = "server"
    """None of AppSpec content that doesn't say it."""


def check_bundle(path: Path, options: Options | None = None, *, check: Check = no_check) -> CheckedBundle:
    """Never raises for bad input: what can't be opened is an error in the report."""
    shown = str(path)
    try:
        return _check(path, shown, options or Options(), check)
    except BundleError as error:
        message = error.message.removeprefix(f"{shown}: ")
        return _refused(shown, getattr(error, "code", "bundle_unusable"), message, error.hint)
    except OSError as error:
        return _refused(shown, "path_unusable", f"can't be read: {error.strerror}", None)


def _refused(shown: str, code: str, message: str, hint: str | None) -> CheckedBundle:
    return CheckedBundle(report=refused(shown, code, message, hint))


def _check(path: Path, shown: str, options: Options, check: Check) -> CheckedBundle:
    if path.is_dir():
        return _check_directory(path, shown, options, check)
    if not path.exists():
        return _refused(shown, "path_missing", "there is no such file or directory", "is the path right, was it built?")
    if not path.is_file():
        return _refused(shown, "path_unusable", "is neither a directory nor a file", None)
    if path.name.lower().endswith(_CONTENT_SUFFIXES):
        return _check_content(path, shown)
    return _check_archive(path, shown, options, check)


def _check_directory(path: Path, shown: str, options: Options, check: Check) -> CheckedBundle:
    from orchestrator.bundle.folder import list_folder, read_head  # noqa: PLC0415 - not for archives

    folder = list_folder(path, check=check)
    contents = Contents(folder.entries)

    def heads(names: Collection[str], limit: int) -> Mapping[str, bytes]:
        return {name: read_head(path, name, limit) for name in names}

    name = options.appspec_name
    report = judge(
        contents,
        heads,
        file=f"{shown.rstrip('/')}/{name}",
        name=name,
        ignored=name in folder.left_out,
        bundle_format=options.bundle_type,
        behavior=options.behavior,
    )
    return CheckedBundle(report=report, entries=folder.entries)


def _check_archive(path: Path, shown: str, options: Options, check: Check) -> CheckedBundle:
    from orchestrator.bundle.ready import open_ready  # noqa: PLC0415 - not for directories

    bundle_format = options.bundle_type or _format_of(path)
    ready = open_ready(
        path,
        bundle_format,
        shown=shown,
        name=options.appspec_name,
        behavior=options.behavior,
        check=check,
    )
    return CheckedBundle(report=ready.report, format=bundle_format, entries=ready.entries, top=ready.top)


def _format_of(path: Path) -> BundleFormat:
    """By the name; where that says nothing, by the content."""
    from orchestrator.bundle.reader import archive_format, magic  # noqa: PLC0415 - not for directories

    actual = magic(path)
    try:
        return archive_format(path)
    except BundleError:
        if actual is None:
            raise
    if actual == "zip":
        return "zip"
    return "tgz" if actual == "tgz" else "tar"


def _check_content(path: Path, shown: str) -> CheckedBundle:
    from orchestrator.bundle.cloud import check_content  # noqa: PLC0415 - not for bundles

    with path.open("rb") as file:
        content = file.read(SIZE_LIMIT)
    is_json = path.name.lower().endswith(".json")
    checked = check_content(content, file=shown, is_json=is_json)
    return CheckedBundle(report=checked.report, platform=checked.platform)
