"""A URL that has to answer as expected: status, text in the body, and how long it takes."""

from __future__ import annotations

from orchestrator.core.controls import GateSpec
from orchestrator.core.measuring import Measurement
from orchestrator.gates.web import BODY, CannotAskError, Reply, ask


async def measure(gate: GateSpec) -> Measurement:
    settings = gate.settings
    try:
        reply = await ask(settings["method"], settings["url"])
    except CannotAskError as error:
        return Measurement("unknown", str(error))
    return judge(gate, reply)


def judge(gate: GateSpec, reply: Reply) -> Measurement:
    """Every answer is good or bad: also a 503 says how it is."""
    settings = gate.settings
    limit, contains = settings.get("max_latency"), settings.get("contains")
    took = f"in {reply.seconds * 1000:.0f} ms"
    if reply.status not in settings["status"]:
        expected = " or ".join(str(status) for status in settings["status"])
        return Measurement("bad", f"HTTP {reply.status} instead of {expected}")
    if contains is not None and contains.encode() not in reply.body:
        where = "in its first megabyte" if len(reply.body) >= BODY else "in the answer"
        return Measurement("bad", f"{contains!r} isn't {where}")
    if limit is not None and reply.seconds > limit:
        return Measurement("bad", f"answered {took}, and {limit * 1000:.0f} ms are allowed")
    return Measurement("good", f"HTTP {reply.status} {took}")
