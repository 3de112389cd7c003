"""PromQL over Prometheus's HTTP API (`POST /api/v1/query`)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from orchestrator.core.controls import GateSpec
from orchestrator.core.measuring import Measurement
from orchestrator.gates.web import CannotAskError, Reply, ask

TOKEN = "ORCHESTRATOR_PROMETHEUS_TOKEN"  # noqa: S105 - the variable's name
"""Holds a bearer token for all Prometheus gates; without it none is sent."""


async def measure(gate: GateSpec, environment: Mapping[str, str]) -> Measurement:
    """Good: the query has a result. Bad: an empty one. Unknown: no answer, or an error of Prometheus's."""
    token = environment.get(TOKEN)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = str(gate.settings["url"]).rstrip("/") + "/api/v1/query"
    try:
        reply = await ask("POST", url, headers=headers, form={"query": gate.settings["query"]})
    except CannotAskError as error:
        return Measurement("unknown", str(error))
    return read(reply)


def read(reply: Reply) -> Measurement:
    try:
        answer = json.loads(reply.body)
        status = answer["status"]
    except (ValueError, KeyError, TypeError):
        return Measurement("unknown", f"HTTP {reply.status}, and no answer of Prometheus's{_hint(reply.status)}")
    if status != "success":
        kind, text = str(answer.get("errorType", "error")), str(answer.get("error", ""))[:300]
        return Measurement("unknown", f"Prometheus says {kind}: {text}")
    try:
        return _of_result(answer["data"]["resultType"], answer["data"]["result"])
    except (KeyError, TypeError, ValueError, IndexError):
        return Measurement("unknown", "an answer of Prometheus's that can't be read")


def _of_result(kind: str, result: Any) -> Measurement:
    """A scalar is good unless it is 0 or not a number; a string says nothing."""
    if kind == "scalar":
        value = float(result[1])
        return Measurement("bad" if value == 0 or math.isnan(value) else "good", f"the result is {result[1]}")
    if kind not in {"vector", "matrix"}:
        return Measurement("unknown", f"the query gives a {kind}; a comparison gives a vector")
    if not result:
        return Measurement("bad", "the result is empty")
    more = "" if len(result) == 1 else f", and {len(result) - 1} more"
    return Measurement("good", f"the result is {_sample(kind, result[0])}{more}")


def _sample(kind: str, first: Mapping[str, Any]) -> str:
    value = first["value"][1] if kind == "vector" else first["values"][-1][1]
    labels = ", ".join(f"{name}={text}" for name, text in sorted(first["metric"].items()))
    return f"{value} ({labels[:200]})" if labels else str(value)


def _hint(status: int) -> str:
    return f"; check {TOKEN}" if status in {401, 403} else ""
