"""A running sandbox for people: its status, and the log of an instance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.core.times import format_time

_MOST = 50
"""Groups and instances that are listed; programs get all."""
_RUNNING = ("Created", "Queued", "InProgress", "Ready")

Answer = Mapping[str, Any]


def status_as_text(answer: Answer) -> str:
    return "\n".join(_status(answer))


def _status(answer: Answer) -> Iterator[str]:
    groups, instances, buckets = answer["groups"], answer["instances"], answer["buckets"]
    speed = "at once" if answer["time_scale"] == 0 else f"{answer['time_scale']:g} times as fast as life"
    yield f"sandbox at {answer['url']}, deployments {speed}"
    yield f"data: {answer['data'] or 'gone when it ends'}"
    running = [one for one in groups if one["last_deployment"] and one["last_deployment"]["status"] in _RUNNING]
    stopped = [one for one in instances if not one["is_running"]]
    yield f"deployment groups: {len(groups)}, {len(running)} with a deployment under way"
    # What runs or has failed comes first: that is what one looks for among a thousand.
    yield from _table(map(_group, sorted(groups, key=_urgency)))
    yield f"stopped instances: {len(stopped)}"
    yield from _table(map(_instance, stopped))
    alarms = ", ".join(f"{name} {state}" for name, state in sorted(answer["alarms"].items()))
    yield f"alarms: {alarms or 'all off'}"
    for hook in answer["hooks"]:
        yield f"hook: {hook['function']} of {hook['deployment_id']} ({hook['event']}), {hook['execution_id']}"
    yield f"buckets: {len(buckets)}"
    yield from _table(
        (one["name"], one["region"], f"{one['objects']} objects", f"{one['bytes']:,} bytes") for one in buckets
    )


def _urgency(group: Answer) -> int:
    last = group["last_deployment"]
    if last is None:
        return 3
    return 0 if last["status"] in _RUNNING else 1 if last["status"] != "Succeeded" else 2


def _group(group: Answer) -> tuple[str, ...]:
    last = group["last_deployment"]
    counts = {name: number for name, number in ((last or {}).get("overview") or {}).items() if number}
    return (
        f"{group['application']}/{group['deployment_group']}",
        group["region"],
        group["account"],
        f"{len(group['instances'])} instances" if group["platform"] == "Server" else group["platform"],
        f"{last['deployment_id']} {last['status']}" if last else "nothing deployed",
        " ".join(f"{name}={number}" for name, number in counts.items()),
    )


def instances_as_text(instances: Sequence[Answer]) -> str:
    return "\n".join(
        f"instance {one['name'] or one['id']}: {'running' if one['is_running'] else 'stopped'}"
        + (f" ({one['id']})" if one["name"] not in ("", one["id"]) else "")
        for one in instances
    )


def _instance(one: Answer) -> tuple[str, ...]:
    return (one["name"] or one["id"], one["id"], one["region"], one["account"], " ".join(one["groups"]))


def logs_as_text(answer: Answer) -> str:
    return "\n".join(line for one in answer["instances"] for line in _log(one))


def _log(one: Answer) -> Iterator[str]:
    yield f"instance {one['name'] or one['instance']} in {one['region']}"
    if not one["deployments"]:
        yield "  no deployment yet"
    for deployment in one["deployments"]:
        target = f"{deployment['application']}/{deployment['deployment_group']}"
        label = f" ({deployment['label'].lower()})" if deployment["label"] else ""
        yield f"  {deployment['deployment_id']} of {target}{label}: {deployment['status']}"
        yield from _table(map(_event, deployment["events"]), indent="    ")
        yield from _failure(deployment["events"])
    if one["scripts"]:
        yield "  scripts:"
        yield from (f"    {line}" for line in one["scripts"].splitlines())


def _event(event: Answer) -> tuple[str, ...]:
    start, end = event["start"], event["end"]
    took = f"{end - start:.1f} s" if start is not None and end is not None else ""
    return (format_time(start)[:19] + "Z" if start is not None else "-", event["event"], event["status"], took)


def _failure(events: Sequence[Answer]) -> Iterator[str]:
    for event in events:
        if event["status"] == "Failed" and event["error_code"]:
            script = f" {event['script']}:" if event["script"] else ""
            yield f"    {event['event']}: {event['error_code']}:{script} {event['message']}"
            yield from (f"      {line}" for line in (event["log_tail"] or "").splitlines())


def _table(rows: Iterable[tuple[str, ...]], *, indent: str = "  ") -> Iterator[str]:
    shown = list(rows)
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))] if shown else []
    for row in shown[:_MOST]:
        yield (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
    if len(shown) > _MOST:
        yield f"{indent}… and {len(shown) - _MOST} more; --output json has them all"
