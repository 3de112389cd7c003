"""An AppSpec for servers: what it says, and whether the agent would take it.

Errors are what the agent surely refuses (aws-codedeploy-agent 1.8, Linux); what only looks wrong is a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from orchestrator.bundle.appspec_files import FileMapping, read_files
from orchestrator.bundle.appspec_findings import AppSpecFinding, Findings, did_you_mean
from orchestrator.bundle.appspec_hooks import EVENTS, Heads, Script, no_heads, read_hooks
from orchestrator.bundle.appspec_permissions import check_permissions
from orchestrator.bundle.appspec_yaml import AppSpecSyntaxError, Value, compose
from orchestrator.bundle.entries import Contents, Entry
from orchestrator.core.errors import Finding
from orchestrator.core.model import BundleFormat

__all__ = [
    "EVENTS",
    "SIZE_LIMIT",
    "AppSpec",
    "AppSpecReport",
    "Contents",
    "Entry",
    "FileMapping",
    "Script",
    "check_appspec",
    "missing_appspec",
    "with_remarks",
]

Os = Literal["linux", "windows"]

_KEYS = ("version", "os", "files", "file_exists_behavior", "hooks", "permissions")
_BEHAVIORS = ("DISALLOW", "OVERWRITE", "RETAIN")
_NAME = "appspec.yml"

SIZE_LIMIT = 1 << 20
"""Bytes; an AppSpec of so many is refused, so that it needn't be read whole. Far over any real one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AppSpec:
    """What a valid AppSpec says."""

    os: Os
    files: tuple[FileMapping, ...] = ()
    file_exists_behavior: str | None = None
    hooks: Mapping[str, tuple[Script, ...]] = field(default_factory=dict)
    """By lifecycle event, scripts in their order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AppSpecReport:
    """The verdict: the agent takes the bundle when there are no errors."""

    os: Os | None
    """None when the AppSpec doesn't say it validly."""
    errors: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    appspec: AppSpec | None = None
    """None when there are errors."""

    @property
    def ok(self) -> bool:
        return not self.errors


def check_appspec(
    content: bytes,
    contents: Contents,
    *,
    file: str,
    bundle_format: BundleFormat | None = None,
    heads: Heads = no_heads,
) -> AppSpecReport:
    """Judges the AppSpec `content` against what the bundle holds.

    `file` is the path for findings. `heads(paths, limit)` gives the first bytes of files, to look at scripts; without
    it their first lines aren't judged. Never raises for bad input.
    """
    findings = Findings(file)
    if len(content) >= SIZE_LIMIT:
        too_large = _at_top(file, "yaml_too_complex", f"is larger than {SIZE_LIMIT} bytes", "is it the right file?")
        return AppSpecReport(os=None, errors=(too_large,))
    try:
        root = compose(content)
    except AppSpecSyntaxError as error:
        finding = AppSpecFinding(
            file=file,
            line=error.line,
            column=error.column,
            place="",
            message=error.message,
            hint=error.hint,
            code=error.code,
        )
        return AppSpecReport(os=None, errors=(finding,))
    if root is None or (root.is_scalar and root.scalar() is None):
        return AppSpecReport(os=None, errors=(_at_top(file, "appspec_empty", "is empty"),))
    if not root.is_mapping:
        findings.error(root, "appspec_not_a_mapping", f"must be a mapping of keys, not {_kind(root)}")
        return AppSpecReport(os=None, errors=tuple(findings.errors))
    return _check_root(root, contents, findings, bundle_format, heads)


def missing_appspec(contents: Contents, *, file: str, ignored: bool = False) -> AppSpecReport:
    """The report on a bundle whose root has no `appspec.yml`; says where something like it is."""
    if ignored:
        hint = f"an ignore pattern leaves it out: take it back in with `!/{_NAME}`"
    elif contents.find(_NAME).kind == "dir":
        return AppSpecReport(os=None, errors=(_at_top(file, "appspec_unreadable", "is a directory, not a file"),))
    elif contents.get(_NAME) is not None:
        hint = "it is a link to something that isn't in the bundle"
    else:
        hint = _near_appspec(contents)
    message = f"there is no {_NAME} at the root of the bundle"
    return AppSpecReport(os=None, errors=(_at_top(file, "appspec_missing", message, hint),))


def with_remarks(report: AppSpecReport, remarks: Iterable[tuple[str, str]], *, file: str) -> AppSpecReport:
    """The report with warnings (code, message) about the file around the AppSpec."""
    warnings = tuple(_at_top(file, code, message) for code, message in remarks)
    return replace(report, warnings=(*warnings, *report.warnings))


def _near_appspec(contents: Contents) -> str:
    paths = sorted(entry.path for entry in contents.entries() if entry.kind == "file")
    similar = [path for path in paths if path.rsplit("/", 1)[-1].lower() in {_NAME, "appspec.yaml", "appspec.json"}]
    if not similar:
        return f"add one; is this the folder that holds {_NAME}?"
    nearest = min(similar, key=lambda path: path.count("/"))
    if "/" not in nearest:
        return f"rename {nearest} to {_NAME}: the agent looks for no other name"
    return f"it is at {nearest}: make {nearest.rsplit('/', 1)[0]}/ the source, or move it to the root"


def _at_top(file: str, code: str, message: str, hint: str | None = None) -> AppSpecFinding:
    return AppSpecFinding(file=file, line=1, column=1, place="", message=message, hint=hint, code=code)


def _check_root(
    root: Value, contents: Contents, findings: Findings, bundle_format: BundleFormat | None, heads: Heads
) -> AppSpecReport:
    _check_keys(root, findings)
    _check_version(root, findings)
    os = _check_os(root, findings, bundle_format)
    if os == "windows":
        # Windows paths, and an agent that the rules below weren't tested against: look at the shape only.
        contents_or_none, heads = None, no_heads
    else:
        contents_or_none = contents
    behavior = _check_behavior(root, findings)
    files = read_files(root.get("files"), contents_or_none, findings)
    hooks = read_hooks(root.get("hooks"), contents_or_none, findings, heads)
    check_permissions(root.get("permissions"), findings)
    appspec = None
    if os is not None and not findings.errors:
        appspec = AppSpec(os=os, files=files, file_exists_behavior=behavior, hooks=hooks)
    return AppSpecReport(os=os, errors=tuple(findings.errors), warnings=tuple(findings.warnings), appspec=appspec)


def _check_keys(root: Value, findings: Findings) -> None:
    seen: set[str] = set()
    for key, _ in root.pairs():
        name = key.text()
        if name in seen:
            findings.warning(key, "duplicate_key", f"the key {name} stands twice; the last one counts")
        seen.add(name)
        if name not in _KEYS:
            hint = did_you_mean(name, _KEYS)
            findings.warning(key, "unknown_key", f"the agent doesn't know the key {name!r} and ignores it", hint)


def _check_version(root: Value, findings: Findings) -> None:
    version = root.get("version")
    if version is None:
        findings.error(root, "version_invalid", "version is missing", "add `version: 0.0`")
        return
    value = version.scalar() if version.is_scalar else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != 0:
        quoted = isinstance(value, str) and not version.is_plain
        hint = "write `version: 0.0`, without quotes" if quoted else "write `version: 0.0`"
        findings.error(version, "version_invalid", "version must be the number 0.0", hint)


def _check_os(root: Value, findings: Findings, bundle_format: BundleFormat | None) -> Os | None:
    value = root.get("os")
    if value is None:
        hint = "add `os: linux` or `os: windows`"
        if any(key.text().lower() == "resources" for key, _ in root.pairs()):
            hint = "this looks like an AppSpec for ECS or Lambda: name it in the manifest by `appspec:`, not `source:`"
        findings.error(root, "os_invalid", "os is missing", hint)
        return None
    match value.scalar() if value.is_string else None:
        case "linux":
            return "linux"
        case "windows":
            if bundle_format in {"tar", "tgz"}:
                message = f"os is windows, whose agent takes only zip, and the bundle is {bundle_format}"
                findings.error(value, "windows_needs_zip", message, "use the format zip")
            return "windows"
        case _:
            message = f"os must be linux or windows, not {value.text()!r}"
            findings.error(value, "os_invalid", message, did_you_mean(value.text(), ("linux", "windows")))
            return None


def _check_behavior(root: Value, findings: Findings) -> str | None:
    value = root.get("file_exists_behavior")
    if value is None or (value.is_scalar and value.scalar() is None):
        return None
    if value.is_string and value.scalar() in _BEHAVIORS:
        return value.text()
    message = f"file_exists_behavior must be one of {', '.join(_BEHAVIORS)}, not {value.text()!r}"
    findings.error(value, "file_exists_behavior_invalid", message, did_you_mean(value.text(), _BEHAVIORS))
    return None


def _kind(value: Value) -> str:
    return "a list" if value.is_list else "a single value"
