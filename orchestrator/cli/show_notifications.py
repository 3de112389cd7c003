"""Who would be told of a run, for `validate --verbose`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from orchestrator.core.notification_specs import NotificationSpec, missing_variables, not_set
from orchestrator.manifest import Release


def notification_lines(release: Release, env: Mapping[str, str]) -> Iterator[str]:
    """A line each; says which variables are missing, and never what stands in one."""
    for spec in release.notifications:
        missing = missing_variables(spec, env)
        problem = f"; nothing is sent: {not_set(missing)}" if missing else ""
        told = "" if spec.kind == "github" else f": {', '.join(spec.events)}"
        yield f"{release.environment.name}: notification {spec.name}: {spec.kind} {_where(spec)}{told}{problem}"


def _where(spec: NotificationSpec) -> str:
    settings = spec.settings
    match spec.kind:
        case "github":
            return f"{settings['repository']}@{settings['commit'][:12]}"
        case "sns":
            return str(settings["topic_arn"])
        case _ if "url_env" in settings:
            return f"at {settings['url_env']}"
        case "slack":
            return str(settings["channel"])
        case _:
            return f"at {urlsplit(settings['url']).hostname}"
