"""AppSpecs for ECS and Lambda: the service reads them, not an agent, and its messages aren't public.

So an error is what the user guide rules out; what it is silent on is a warning at most. Keys may be capitalised or not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from orchestrator.bundle.appspec import SIZE_LIMIT, AppSpecReport, report_of
from orchestrator.bundle.appspec_findings import TOP, Findings, Position
from orchestrator.bundle.appspec_model import read_server
from orchestrator.bundle.check import Platform
from orchestrator.bundle.cloud_keys import field_of, hooks_of, warn_of_other_keys
from orchestrator.bundle.cloud_resources import check_ecs, check_lambda
from orchestrator.bundle.ruby_yaml import AppSpecSyntaxError, Value, load

_TYPES: dict[str, Platform] = {"AWS::ECS::Service": "ecs", "AWS::Lambda::Function": "lambda"}
_EVENTS = {
    "ecs": ("BeforeInstall", "AfterInstall", "AfterAllowTestTraffic", "BeforeAllowTraffic", "AfterAllowTraffic"),
    "lambda": ("BeforeAllowTraffic", "AfterAllowTraffic"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ContentCheck:
    report: AppSpecReport
    platform: Platform | None = None
    """None when the content doesn't say it."""


def check_content(content: bytes, *, file: str, is_json: bool = False) -> ContentCheck:
    """Judges AppSpec content by itself. A server's is read as the agent would, without what it names.

    `file` is the path for findings. Never raises for bad input.
    """
    findings = Findings(file)
    if len(content) >= SIZE_LIMIT:
        findings.error(TOP, "yaml_too_complex", f"is larger than {SIZE_LIMIT} bytes", "is it the right file?")
        return ContentCheck(report=report_of(None, findings))
    root = _root(content, findings, is_json=is_json)
    if root is None:
        return ContentCheck(report=report_of(None, findings))
    if root.get("os") is not None or root.get("files") is not None:
        return _check_server(content, file)
    platform = _check_cloud(root, findings)
    return ContentCheck(report=report_of(None, findings), platform=platform)


def _root(content: bytes, findings: Findings, *, is_json: bool) -> Value | None:
    if is_json:
        try:
            json.loads(content)
        except json.JSONDecodeError as error:
            at = Position(error.lineno, error.colno)
            findings.error(at, "json_syntax", f"is not JSON: {error.msg}", "or name the file .yaml")
            return None
        except (UnicodeDecodeError, RecursionError) as error:
            findings.error(TOP, "json_syntax", f"is not JSON: {error}", "save it as UTF-8")
            return None
    try:
        document = load(content)
    except AppSpecSyntaxError as error:
        findings.error(error, error.code, error.message, error.hint)
        return None
    for problem in document.problems:  # the agent's, and perhaps not the service's
        findings.warning(problem.at, problem.code, problem.message, problem.hint)
    root = document.root
    if root is None or root.is_falsy:
        findings.error(root or TOP, "appspec_empty", "is empty", "it needs `version: 0.0` and `Resources`")
        return None
    if not root.is_mapping:
        what = "a list" if root.is_list else "a single value"
        findings.error(root, "appspec_not_a_mapping", f"must be a mapping of keys, not {what}")
        return None
    return root


def _check_server(content: bytes, file: str) -> ContentCheck:
    findings = Findings(file)
    appspec = read_server(content, findings)
    message = "is a server's AppSpec by itself: whether sources and scripts are there isn't checked"
    findings.warning(TOP, "appspec_without_bundle", message, "check the folder or archive that it is in")
    return ContentCheck(report=report_of(appspec, findings), platform="server")


def _check_cloud(root: Value, findings: Findings) -> Platform | None:
    warn_of_other_keys(root, ("version", "Resources", "Hooks"), findings)
    _check_version(root, findings)
    resources = field_of(root, "Resources", findings)
    if resources is None:
        hint = "an AppSpec for ECS or Lambda has Resources, one for servers has os"
        findings.error(root, "resources_missing", "Resources is missing", hint)
        return None
    if not resources.is_list or not resources.items:
        findings.error(
            resources, "resources_type", "Resources must be a list with one resource", "put a dash before it"
        )
        return None
    for other in resources.items[1:]:
        findings.error(other, "resources_too_many", "an AppSpec deploys one resource only", "take the others out")
    platform = _check_resource(resources.items[0], findings)
    if platform is not None:
        hooks_of(root, _EVENTS[platform], findings)
    return platform


def _check_version(root: Value, findings: Findings) -> None:
    version = field_of(root, "version", findings)
    if version is None:
        findings.error(root, "version_invalid", "version is missing", "add `version: 0.0`")
    elif version.scalar == "0.0":
        findings.warning(
            version, "version_quoted", "version is a text here, and a number in the guide", "take the quotes off"
        )
    elif isinstance(version.scalar, bool) or version.scalar not in {0} or not isinstance(version.scalar, int | float):
        findings.error(
            version, "version_invalid", f"version must be 0.0, not {version.shown()!r}", "write `version: 0.0`"
        )


def _check_resource(entry: Value, findings: Findings) -> Platform | None:
    if not entry.is_mapping or len(entry.pairs) != 1:
        message = "a resource must be a mapping with one key, its name"
        findings.error(entry, "resource_type", message, "such as `TargetService:`, with Type and Properties below it")
        return None
    ((_, body),) = entry.pairs
    if not body.is_mapping:
        findings.error(
            body, "resource_type", "must be a mapping with Type and Properties", "indent them below its name"
        )
        return None
    warn_of_other_keys(body, ("Type", "Properties"), findings)
    kind = field_of(body, "Type", findings)
    platform = _TYPES.get(kind.to_s()) if kind is not None and kind.is_string else None
    if platform is None:
        shown = "missing" if kind is None else f"must be one of these, not {kind.shown()!r}"
        findings.error(kind or body, "resource_kind", f"Type is {shown}", " or ".join(_TYPES))
        return None
    properties = field_of(body, "Properties", findings)
    if properties is None or not properties.is_mapping:
        findings.error(properties or body, "properties_missing", "Properties must be a mapping", "add it below Type")
        return platform
    (check_ecs if platform == "ecs" else check_lambda)(properties, findings)
    return platform
