"""Webhooks: a JSON document, signed with HMAC-SHA256 over the time and the body (docs/notifications.md)."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.core.notification_specs import NotificationSpec
from orchestrator.core.notifications import Notice, Told
from orchestrator.core.state import RunState
from orchestrator.notify.http import Http
from orchestrator.wording.notices import as_document, as_text, expand, names_of

SIGNATURE = "X-Orchestrator-Signature"
TIMESTAMP = "X-Orchestrator-Timestamp"
DELIVERY = "X-Orchestrator-Delivery"
EVENT = "X-Orchestrator-Event"


class WebhookReceiver:
    keeps_up = False
    interval = 0.0

    def __init__(
        self, spec: NotificationSpec, http: Http, *, url: str, secret: str | None, clock: Callable[[], float]
    ) -> None:
        """`secret`: None: it isn't signed."""
        self._spec = spec
        self._http = http
        self._url = url
        self._secret = secret
        self._clock = clock

    async def tell(
        self, notice: Notice, state: RunState, told: Told, opened: Callable[[Mapping[str, Any]], None]
    ) -> None:
        key = key_of(notice, state)
        body = json.dumps(document_of(self._spec, notice, state, self._clock()) | {"key": key}).encode()
        timestamp = str(int(self._clock()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            DELIVERY: secrets.token_hex(16),
            EVENT: str(notice.moment),
            TIMESTAMP: timestamp,
        }
        if self._secret is not None:
            headers[SIGNATURE] = signature(self._secret, timestamp, body)
        answer = await self._http.send("POST", self._url, headers=headers, body=body)
        if not answer.is_good:
            raise answer.fault()
        if told.handle is None:
            opened({"key": key})


def key_of(notice: Notice, state: RunState) -> str:
    """The same for the same event, also told again by another process."""
    return f"{state.run}/{notice.moment}/{notice.seq}"


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`v1=` and 64 hex digits."""
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def document_of(spec: NotificationSpec, notice: Notice, state: RunState, now: float) -> dict[str, Any]:
    names = names_of(notice.moment, state, now)
    link = expand(spec.settings["link"], names) if "link" in spec.settings else None
    first = expand(spec.settings["text"], names) if "text" in spec.settings else None
    text = first or as_text(notice.moment, state, now, first=None, link=None)
    return as_document(notice.moment, state, now, text=text, link=link) | {"notification": spec.name, "seq": notice.seq}
