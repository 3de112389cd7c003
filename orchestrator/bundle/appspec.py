"""An AppSpec for servers in its bundle: whether the agent would take it.

Errors are what the agent surely refuses (aws-codedeploy-agent 1.8, Linux); what only looks wrong is a warning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from orchestrator.bundle.appspec_findings import TOP, AppSpecFinding, Findings
from orchestrator.bundle.appspec_install import InstallPlan, plan_files
from orchestrator.bundle.appspec_links import look_at_links
from orchestrator.bundle.appspec_model import read_server
from orchestrator.bundle.appspec_permit import Applied, apply_permissions
from orchestrator.bundle.appspec_scripts import Heads, check_scripts, no_heads
from orchestrator.bundle.appspec_types import FileExistsBehavior, Os, ServerAppSpec
from orchestrator.bundle.appspec_windows import check_windows
from orchestrator.bundle.entries import Contents
from orchestrator.core.errors import Finding
from orchestrator.core.model import BundleFormat

NAME = "appspec.yml"
"""The one name that the agent looks for, unless it is configured otherwise."""

_LIKELY = ("appspec.yml", "appspec.yaml", "appspec.json")

SIZE_LIMIT = 1 << 20
"""Bytes; an AppSpec of so many is refused, so that it needn't be read whole. Far over any real one."""

MOST_FINDINGS = 100
"""Errors, and warnings, that a report holds of one bundle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AppSpecReport:
    """The verdict: the agent takes the bundle when there are no errors."""

    os: Os | None
    """None when the AppSpec doesn't say it validly."""
    errors: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    appspec: ServerAppSpec | None = None
    """None when the agent can't even read it."""
    install: InstallPlan | None = None
    """What Install copies and makes, of an AppSpec for Linux that can be read."""
    applied: tuple[Applied, ...] = ()
    """The permissions and what they reach."""

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
    behavior: FileExistsBehavior = "DISALLOW",
) -> AppSpecReport:
    """Judges the AppSpec `content` against what the bundle holds.

    `file` is the path for findings. `heads(paths, limit)` gives the first bytes of files, to look at scripts; without
    it their first lines aren't judged. `behavior` is what the deployment says of files that are there already. Never
    raises for bad input.
    """
    findings = Findings(file)
    if len(content) >= SIZE_LIMIT:
        message = f"is larger than {SIZE_LIMIT} bytes"
        findings.error(TOP, "yaml_too_complex", message, "is it the right file?")
        return report_of(None, findings)
    appspec = read_server(content, findings)
    if appspec is None or appspec.os == "windows":
        if appspec is not None:
            check_windows(appspec, contents, bundle_format, findings)
        return report_of(appspec, findings)
    plan = plan_files(appspec, contents, findings, behavior=behavior)
    applied = apply_permissions(appspec.permissions, plan, findings)
    look_at_links(plan, contents, findings)
    check_scripts(appspec, contents, heads, findings)
    return replace(report_of(appspec, findings), install=plan, applied=applied)


def report_of(appspec: ServerAppSpec | None, findings: Findings) -> AppSpecReport:
    is_readable = not any(finding.stage == "parse" for finding in findings.errors)
    return AppSpecReport(
        os=appspec.os if appspec is not None else None,
        errors=_in_order(findings.errors),
        warnings=_in_order(findings.warnings),
        appspec=appspec if is_readable else None,
    )


def _in_order(findings: Iterable[AppSpecFinding]) -> tuple[AppSpecFinding, ...]:
    """From the top of the file; what stands in one place, in the agent's order. Each once, and not too many."""
    ordered = sorted(dict.fromkeys(findings), key=lambda finding: (finding.line, finding.column))
    if len(ordered) > MOST_FINDINGS:
        message = f"there are {len(ordered) - MOST_FINDINGS} more"
        return (*ordered[:MOST_FINDINGS], replace(ordered[-1], code="more_findings", message=message, hint=None))
    return tuple(ordered)


def judge(
    contents: Contents,
    heads: Heads,
    *,
    file: str,
    name: str = NAME,
    ignored: bool = False,
    bundle_format: BundleFormat | None = None,
    behavior: FileExistsBehavior = "DISALLOW",
) -> AppSpecReport:
    """Finds the AppSpec `name` in what the bundle holds, and judges it; `ignored`: a pattern leaves it out."""
    found = contents.find(name)
    if found.kind != "file":
        return missing_appspec(contents, file=file, name=name, ignored=ignored)
    content = heads([found.path], SIZE_LIMIT).get(found.path, b"")
    report = check_appspec(content, contents, file=file, bundle_format=bundle_format, heads=heads, behavior=behavior)
    others = [other for other in contents.names_in("") if other.lower() in _LIKELY and other != name]
    message = f"{others[0] if others else ''} lies beside {name}; the agent reads {name} and nothing else"
    return with_remarks(report, [("appspec_two_files", message)] if others else [], file=file)


def missing_appspec(contents: Contents, *, file: str, name: str = NAME, ignored: bool = False) -> AppSpecReport:
    """The report on a bundle whose root has no AppSpec; says where something like it is."""
    if ignored:
        hint = f"an ignore pattern leaves it out: take it back in with `!/{name}`"
    elif contents.find(name).kind == "dir":
        return AppSpecReport(os=None, errors=(_at_top(file, "appspec_unreadable", "is a directory, not a file"),))
    elif contents.get(name) is not None:
        hint = "it is a link to something that isn't in the bundle"
    else:
        hint = _near_appspec(contents, name)
    message = f"there is no {name} at the root of the bundle"
    return AppSpecReport(os=None, errors=(_at_top(file, "appspec_missing", message, hint),))


def with_remarks(report: AppSpecReport, remarks: Iterable[tuple[str, str]], *, file: str) -> AppSpecReport:
    """The report with warnings (code, message) about the file around the AppSpec."""
    warnings = [_at_top(file, code, message) for code, message in remarks]
    shown = warnings[:MOST_FINDINGS]
    if len(warnings) > MOST_FINDINGS:
        shown.append(_at_top(file, "more_findings", f"there are {len(warnings) - MOST_FINDINGS} more"))
    return replace(report, warnings=(*shown, *report.warnings))


def refused(file: str, code: str, message: str, hint: str | None) -> AppSpecReport:
    """The report on what can't even be opened."""
    return AppSpecReport(os=None, errors=(_at_top(file, code, message, hint),))


def _near_appspec(contents: Contents, name: str) -> str:
    paths = sorted(entry.path for entry in contents.entries() if entry.kind == "file")
    similar = [path for path in paths if path.rsplit("/", 1)[-1].lower() in {*_LIKELY, name.lower()}]
    if not similar:
        backslashed = any("\\" in path and path.lower().endswith(name.lower()) for path in paths)
        if backslashed:
            return "the names have backslashes where unzip wants slashes: make the archive with another tool"
        return f"add one; is this the folder that holds {name}?"
    nearest = min(similar, key=lambda path: path.count("/"))
    if "/" not in nearest:
        return f"rename {nearest} to {name}: the agent looks for no other name"
    return f"it is at {nearest}: make {nearest.rsplit('/', 1)[0]}/ the source, or move it to the root"


def _at_top(file: str, code: str, message: str, hint: str | None = None) -> AppSpecFinding:
    return AppSpecFinding(file=file, line=1, column=1, place="", message=message, hint=hint, code=code)
