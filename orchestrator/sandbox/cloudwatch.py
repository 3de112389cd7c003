"""CloudWatch, as far as gates look at it: DescribeAlarms over the alarms that `sandbox alarm` sets.

An alarm that nobody has set exists and is OK. An unreadable one is refused, as by a missing permission.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping

from orchestrator.sandbox.alarms import Alarms
from orchestrator.sandbox.errors import ServiceError
from orchestrator.sandbox.options import AlarmState
from orchestrator.sandbox.wire import Answer, text, xml, xml_answer

OPERATION = "DescribeAlarms"
_NAMESPACE = "http://monitoring.amazonaws.com/doc/2010-08-01/"
_MOST = 100


def call(alarms: Alarms, form: Mapping[str, str]) -> Answer:
    """Raises `ServiceError`."""
    states = alarms.states()
    names = list(_members(form, "AlarmNames")) or sorted(states)
    if len(names) > _MOST:
        raise ServiceError("ValidationError", f"AlarmNames has {len(names)} members; {_MOST} are allowed")
    if unreadable := [name for name in names if states.get(name) == "unreadable"]:
        raise ServiceError("AccessDenied", f"not authorized to perform cloudwatch:DescribeAlarms on {unreadable[0]}")
    kinds = set(_members(form, "AlarmTypes"))
    wanted = names if not kinds or "MetricAlarm" in kinds else []
    alarm_list = xml("MetricAlarms", *(_alarm(name, states.get(name, "off")) for name in wanted))
    result = xml(f"{OPERATION}Result", alarm_list, xml("CompositeAlarms"))
    metadata = xml("ResponseMetadata", text("RequestId", uuid.uuid4()))
    return xml_answer(xml(f"{OPERATION}Response", result, metadata, namespace=_NAMESPACE))


def _members(form: Mapping[str, str], name: str) -> Iterable[str]:
    number = 1
    while (value := form.get(f"{name}.member.{number}")) is not None:
        yield value
        number += 1


def _alarm(name: str, state: AlarmState) -> str:
    return xml("member", text("AlarmName", name), text("StateValue", "ALARM" if state == "on" else "OK"))
