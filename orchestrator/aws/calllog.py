"""A log record for each attempt at a call: what was called, how it ended, and by which id AWS's support finds it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core.errors import CallError
from orchestrator.core.model import Location

LOGGER = "orchestrator.aws.calls"

_log = logging.getLogger(LOGGER)

_READS = ("Get", "List", "Batch", "Head", "Describe")
"""How the names of operations begin that change nothing."""

_ABOUT = {
    "applicationName": "application",
    "deploymentGroupName": "deployment_group",
    "deploymentId": "deployment_id",
    "Bucket": "bucket",
    "Key": "key",
    "PartNumber": "part",
}
"""What of the parameters is told: names, never contents."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallEnd:
    """How an attempt ended."""

    outcome: str
    """As `core.ports.CallObserver` has it."""
    seconds: float
    metadata: Mapping[str, Any]
    """The answer's ResponseMetadata."""
    problem: CallError | None
    """What came instead."""


def log_call(service: str, location: Location, operation: str, parameters: Mapping[str, Any], end: CallEnd) -> None:
    level = logging.DEBUG if end.outcome == "ok" and operation.startswith(_READS) else logging.INFO
    if not _log.isEnabledFor(level):
        return
    fields: dict[str, Any] = {
        "service": service,
        "operation": operation,
        "outcome": end.outcome,
        "seconds": round(end.seconds, 4),
        "region": location.region or None,
        "role_arn": location.role_arn,
        "request_id": _request_id(end),
        "status": end.metadata.get("HTTPStatusCode"),
        **{name: parameters[key] for key, name in _ABOUT.items() if key in parameters},
        **_ids(parameters),
    }
    if end.problem is not None:
        fields |= {"code": end.problem.code, "error": end.problem.message}
    told = {name: value for name, value in fields.items() if value is not None}
    _log.log(level, "%s %s: %s in %.3f s", service, operation, end.outcome, end.seconds, extra={"fields": told})


def _request_id(end: CallEnd) -> str | None:
    if end.problem is not None:
        return end.problem.request_id
    headers = end.metadata.get("HTTPHeaders") or {}
    return end.metadata.get("RequestId") or headers.get("x-amzn-requestid") or headers.get("x-amz-request-id")


def _ids(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Of a batch: what it is about where it is about one, else how many."""
    ids = parameters.get("deploymentIds")
    if not ids:
        return {}
    return {"deployment_id": ids[0]} if len(ids) == 1 else {"deployments": len(ids)}
