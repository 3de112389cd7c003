"""Amazon SNS: a message to a topic, with attributes to filter by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from orchestrator.core.errors import AnswerLostError, CallError, ThrottledError
from orchestrator.core.model import Location
from orchestrator.core.notification_specs import NotificationSpec
from orchestrator.core.notifications import NotDeliveredError, Notice, Told
from orchestrator.core.state import RunState
from orchestrator.notify.http import CALL
from orchestrator.notify.webhook import document_of, key_of
from orchestrator.wording.notices import as_text, expand, headline, names_of, outcome_word
from orchestrator.wording.text import one_line

CallSns = Callable[[Location, str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Location, operation, parameters: one attempt. Raises `CallError`."""

SUBJECT = 100
"""Characters, ASCII (API reference of Publish)."""

VALUE = 256
"""Characters of an attribute; SNS would take more."""


class SnsReceiver:
    keeps_up = False
    interval = 0.0

    def __init__(self, spec: NotificationSpec, call: CallSns, *, clock: Callable[[], float]) -> None:
        self._spec = spec
        self._call = call
        self._clock = clock
        topic = str(spec.settings["topic_arn"])
        self._topic = topic
        self._location = Location(region=topic.split(":")[3], role_arn=spec.settings.get("role_arn"))

    async def tell(
        self, notice: Notice, state: RunState, told: Told, opened: Callable[[Mapping[str, Any]], None]
    ) -> None:
        try:
            with anyio.fail_after(CALL):
                answer = await self._call(self._location, "Publish", self._parameters(notice, state))
        except (ThrottledError, AnswerLostError) as error:
            raise NotDeliveredError(str(error)) from None
        except CallError as error:
            raise NotDeliveredError(str(error), final=True) from None
        if told.handle is None:
            opened({"message_id": str(answer.get("MessageId", ""))})

    def _parameters(self, notice: Notice, state: RunState) -> dict[str, Any]:
        settings, now = self._spec.settings, self._clock()
        names = names_of(notice.moment, state, now)
        link = expand(settings["link"], names) if "link" in settings else None
        first = expand(settings["text"], names) if "text" in settings else None
        title = expand(settings["title"], names) if "title" in settings else headline(notice.moment, state, now)
        if settings["format"] == "json":
            message = json.dumps(document_of(self._spec, notice, state, now) | {"key": key_of(notice, state)})
        else:
            message = as_text(notice.moment, state, now, first=first, link=link)
        parameters = {
            "TopicArn": self._topic,
            "Subject": subject(title) or "orchestrator",
            "Message": message,
            "MessageAttributes": attributes(
                event=str(notice.moment),
                outcome=outcome_word(state),
                environment=state.environment,
                release=state.release,
                run=state.run,
            ),
        }
        if self._topic.endswith(".fifo"):
            group = hashlib.sha256(key_of(notice, state).encode()).hexdigest()
            parameters |= {"MessageGroupId": state.run, "MessageDeduplicationId": group}
        return parameters


def subject(title: str) -> str:
    """SNS refuses any character beyond ASCII, control characters, and a blank at the beginning."""
    line = one_line(title).encode("ascii", "replace").decode("ascii")
    return line if len(line) <= SUBJECT else line[: SUBJECT - 3].rstrip() + "..."


def attributes(**values: str) -> dict[str, Any]:
    """Those that aren't empty: SNS takes no empty ones."""
    return {
        name: {"DataType": "String", "StringValue": one_line(value, VALUE)} for name, value in values.items() if value
    }
