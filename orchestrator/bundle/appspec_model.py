"""A server's AppSpec as the agent reads it (aws-codedeploy-agent 1.8.1 on Linux, Ruby 3.1).

    try:
        appspec = parse_server(content)      # bytes of appspec.yml; nothing else is looked at
    except AppSpecError as error:            # what the agent says at the first event that reads it, BeforeInstall
        error.code, error.message, error.line, error.column
    appspec.hooks["AfterInstall"][0].timeout # seconds, as Ruby's to_i makes of what is written
    appspec.at_install                       # what it finds out only at Install: unknown events, paths that are no text

The values are what Ruby has after the agent's own conversions: `location` is stripped, `mode` has three or four digits,
a `source` that is a list is joined to one path.
"""

from __future__ import annotations

from typing import cast

from orchestrator.bundle.appspec_files import read_files
from orchestrator.bundle.appspec_findings import TOP, Findings, Position, did_you_mean
from orchestrator.bundle.appspec_hooks import read_hooks
from orchestrator.bundle.appspec_keys import check_keys
from orchestrator.bundle.appspec_permissions import read_permissions
from orchestrator.bundle.appspec_types import (
    BEHAVIORS,
    AclEntry,
    Context,
    FileExistsBehavior,
    FileMapping,
    Os,
    Permission,
    Script,
    ServerAppSpec,
)
from orchestrator.bundle.ruby_yaml import AppSpecSyntaxError, Document, Value, load

__all__ = [
    "AclEntry",
    "AppSpecError",
    "Context",
    "FileMapping",
    "Permission",
    "Script",
    "ServerAppSpec",
    "parse_server",
    "read_document",
    "read_server",
]

_KEYS = ("version", "os", "files", "file_exists_behavior", "hooks", "permissions")


class AppSpecError(Exception):
    """The agent refuses the AppSpec. `code` is stable; line and column count from 1."""

    def __init__(self, code: str, message: str, *, line: int, column: int, place: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line
        self.column = column
        self.place = place


def parse_server(content: bytes) -> ServerAppSpec:
    """Reads the AppSpec of a server, for either operating system. Raises `AppSpecError`: the agent's first reason."""
    findings = Findings("appspec.yml")
    appspec = read_server(content, findings)
    first = next((finding for finding in findings.errors if finding.stage == "parse"), None)
    if first is not None or appspec is None:
        first = first or findings.errors[0]
        raise AppSpecError(first.code, first.message, line=first.line, column=first.column, place=first.place)
    return appspec


def read_server(content: bytes, findings: Findings) -> ServerAppSpec | None:
    """As `parse_server`, with every finding instead of the first, and what can be read in spite of them.

    None when nothing can be.
    """
    document = read_document(content, findings)
    if document is None or document.root is None:
        return None
    appspec = _read_root(document.root, findings)
    return appspec if not document.has_bom or _bom_is_harmless(findings) else None


def read_document(content: bytes, findings: Findings) -> Document | None:
    """The YAML of it, in which the root is a mapping; None with an error in `findings` when it isn't."""
    try:
        document = load(content)
    except AppSpecSyntaxError as error:
        findings.error(error, error.code, error.message, error.hint)
        return None
    root = document.root
    for problem in document.problems:
        findings.error(problem.at, problem.code, problem.message, problem.hint)
    if root is None or root.is_falsy:
        findings.error(root or TOP, "appspec_empty", "is empty", "it needs at least `version: 0.0` and `os: linux`")
        return None
    if not root.is_mapping:
        what = "a list" if root.is_list else "a single value"
        hint = "is a space missing after a colon?" if ":" in root.written else None
        findings.error(root, "appspec_not_a_mapping", f"must be a mapping of keys, not {what}", hint)
        return None
    if document.rest is not None:
        message = "something begins here that the agent doesn't read: it takes the first document only"
        hint = "is a line above indented differently?" if b"\n---" not in content else "take it out"
        findings.warning(Position(document.rest), "yaml_second_document", message, hint)
    return document


def _read_root(root: Value, findings: Findings) -> ServerAppSpec:
    """In the agent's order: its first error is our first."""
    check_keys(root, _KEYS, findings)
    if root.get("Resources") is not None or root.get("resources") is not None:
        message = "Resources belongs to an AppSpec for ECS or Lambda; on a server nothing of it happens"
        findings.warning(root, "other_platform", message)
    _check_version(root, findings)
    os = _read_os(root, findings)
    hooks = read_hooks(root.get("hooks"), findings, os=os)
    files = read_files(root.get("files"), findings)
    permissions = read_permissions(root.get("permissions"), findings, os=os)
    behavior = _read_behavior(root.get("file_exists_behavior"), findings)
    return ServerAppSpec(
        os=os,
        files=files,
        file_exists_behavior=behavior,
        permissions=permissions,
        hooks=hooks,
        at_install=tuple(finding for finding in findings.errors if finding.stage == "install"),
    )


def _check_version(root: Value, findings: Findings) -> None:
    version = root.get("version")
    if version is None:
        findings.error(root, "version_invalid", "version is missing", "add `version: 0.0`")
        return
    value = version.scalar
    if isinstance(value, bool) or not isinstance(value, int | float) or value != 0:
        quoted = value == "0.0"
        hint = "write `version: 0.0`, without quotes" if quoted else "write `version: 0.0`"
        findings.error(version, "version_invalid", f"version must be the number 0.0, not {version.shown()!r}", hint)


def _read_os(root: Value, findings: Findings) -> Os | None:
    value = root.get("os")
    if value is None:
        hint = "add `os: linux` or `os: windows`"
        if any(key.written.lower() == "resources" for key, _ in root.pairs):
            hint = "this looks like an AppSpec for ECS or Lambda: name it in the manifest by `appspec:`, not `source:`"
        findings.error(root, "os_invalid", "os is missing", hint)
        return None
    if value.is_string and value.scalar in {"linux", "windows"}:
        return cast("Os", value.scalar)
    hint = did_you_mean(value.written, ("linux", "windows")) or "write linux, whatever the distribution, or windows"
    findings.error(value, "os_invalid", f"os must be linux or windows, not {value.shown()!r}", hint)
    return None


def _read_behavior(value: Value | None, findings: Findings) -> FileExistsBehavior | None:
    if value is None or value.is_nil:
        return None
    if value.is_string and value.scalar in BEHAVIORS:
        return next(name for name in BEHAVIORS if name == value.scalar)
    message = f"file_exists_behavior must be one of {', '.join(BEHAVIORS)}, not {value.shown()!r}"
    findings.error(value, "file_exists_behavior_invalid", message, did_you_mean(value.written, BEHAVIORS))
    return None


def _bom_is_harmless(findings: Findings) -> bool:
    """A byte order mark shifts the first line: a key there ends the document after it, and the rest is missing."""
    hint = "save it as UTF-8 without a byte order mark"
    if findings.errors:
        message = "starts with a byte order mark, which the agent reads as an indent of the first line"
        findings.errors.clear()
        findings.error(TOP, "yaml_bom", message, hint)
        return False
    findings.warning(TOP, "yaml_bom", "starts with a byte order mark; that the agent reads this one is luck", hint)
    return True
