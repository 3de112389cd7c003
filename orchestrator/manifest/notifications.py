"""From `notifications` to what the run tells whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.core.notification_specs import MOMENTS, Moment, NotificationSpec
from orchestrator.manifest.nodes import Map, Node, Place, Plain, descend
from orchestrator.manifest.notification_models import RUN_TIME_NAMES, GitHubNotification, Notification
from orchestrator.manifest.problems import did_you_mean
from orchestrator.manifest.templates import Check, Context, TemplateError, evaluate

COMMON = {"type", "environments", "events"}
TOLD = ("title", "text", "link")
"""What is expanded when there is something to tell."""

AT_RUN_TIME: Mapping[str, str] = {name: f"${{{name}}}" for name in RUN_TIME_NAMES}


def is_for(node: Node, environment: str) -> bool:
    """Whether a notification, as it is written, is about this environment."""
    named = node.value.get("environments") if isinstance(node, Map) else None
    return not isinstance(named, list) or not named or environment in named


def expanded(node: Node, place: Place, context: Context, names: Mapping[str, str], variables: set[str]) -> Plain:
    """One notification's values; of one for other environments only the names are looked at: its values may exist
    only there."""
    if not isinstance(node, Map) or not node.dynamic:
        return node.value
    here = is_for(node, context.environment)
    data: dict[str, Plain] = {}
    for key, item in node.items.items():
        known = {**names, **AT_RUN_TIME} if key in TOLD else names
        if here:
            data[key] = evaluate(item, (*place, key), context, known)
        else:
            Check(context, known, variables).node(item, (*place, key))
    if not here:
        return None
    return data


def specs_of(declared: Mapping[str, Notification | None], root: Map, context: Context) -> tuple[NotificationSpec, ...]:
    """Those of the context's environment."""
    specs = []
    for name, notification in declared.items():
        node = descend(root, ("notifications", name))
        if notification is None or node is None:
            continue
        if not notification.environments or context.environment in notification.environments:
            specs.append(_spec(name, notification, node, context))
    return tuple(specs)


def check_environments(root: Map, context: Context) -> None:
    """That those which notifications are limited to exist."""
    environments, notifications = root.items.get("environments"), root.items.get("notifications")
    known = list(environments.items) if isinstance(environments, Map) else []
    for name in notifications.items if isinstance(notifications, Map) else ():
        node = descend(root, ("notifications", name, "environments"))
        for index, wanted in enumerate(node.value if node is not None and isinstance(node.value, list) else ()):
            item = descend(node, (index,))
            if item is not None and isinstance(wanted, str) and wanted not in known:
                hint = did_you_mean(wanted, known) or (f"there are {', '.join(known)}" if known else "there is none")
                place: Place = ("notifications", name, "environments", index)
                context.problems.add(item, place, f"there is no environment {wanted!r}", hint)


def _spec(name: str, notification: Notification, node: Node, context: Context) -> NotificationSpec:
    values: dict[str, Any] = notification.model_dump(exclude=COMMON)
    if isinstance(notification, GitHubNotification):
        values |= _of_github(notification, node, ("notifications", name), context)
    return NotificationSpec(
        name=name,
        kind=notification.type,
        events=tuple(_moments(notification)),
        settings={key: value for key, value in values.items() if value is not None},
    )


def _moments(notification: Notification) -> Iterable[Moment]:
    chosen = getattr(notification, "events", None)
    if chosen is not None:
        return tuple(dict.fromkeys(chosen))
    posts_anew = getattr(notification, "url_env", None) is not None
    return MOMENTS[2:] if posts_anew else MOMENTS


def _of_github(notification: GitHubNotification, node: Node, place: Place, context: Context) -> dict[str, Any]:
    found = {
        "environment": notification.environment or context.environment,
        "context": notification.context or f"orchestrator/{context.environment}",
    }
    if notification.commit is not None:
        return found
    try:
        return {**found, "commit": context.text("${git.sha}", {})}
    except TemplateError as error:
        context.problems.add(node, place, f"no commit: {error.message}", "write commit:")
        return found
