"""CloudWatch alarms (`DescribeAlarms`), in the account and region of the target."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from orchestrator.core.controls import GateSpec
from orchestrator.core.errors import CallError
from orchestrator.core.measuring import Measurement
from orchestrator.core.model import Location

CallCloudWatch = Callable[[Location, str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Location, operation, parameters: one attempt. Raises `CallError`."""

BATCH = 100
"""Names that DescribeAlarms takes (API model)."""


async def measure(gate: GateSpec, location: Location, call: CallCloudWatch) -> Measurement:
    """Bad: one of them is in ALARM. Unknown: they can't be looked at, or one doesn't exist."""
    names: Sequence[str] = gate.settings["names"]
    found: dict[str, str] = {}
    try:
        for start in range(0, len(names), BATCH):
            found |= await _states(names[start : start + BATCH], location, call)
    except CallError as error:
        return Measurement("unknown", str(error))
    return judge(names, found)


def judge(names: Sequence[str], found: Mapping[str, str]) -> Measurement:
    """`found`: their states by name. INSUFFICIENT_DATA is no alarm."""
    ringing = [name for name in names if found.get(name) == "ALARM"]
    missing = [name for name in names if name not in found]
    if ringing:
        return Measurement("bad", f"in ALARM: {', '.join(ringing)}")
    if missing:
        return Measurement("unknown", f"no such alarm in this account and region: {', '.join(missing)}")
    return Measurement("good", "none of the alarms is in ALARM")


async def _states(names: Sequence[str], location: Location, call: CallCloudWatch) -> dict[str, str]:
    parameters: dict[str, Any] = {
        "AlarmNames": list(names),
        "AlarmTypes": ["MetricAlarm", "CompositeAlarm"],  # left out, it would be metric alarms only
        "MaxRecords": BATCH,
    }
    answer = await call(location, "DescribeAlarms", parameters)
    alarms = [*(answer.get("MetricAlarms") or ()), *(answer.get("CompositeAlarms") or ())]
    return {alarm["AlarmName"]: alarm.get("StateValue", "") for alarm in alarms}
