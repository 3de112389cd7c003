"""Slack: by a bot one message for each run, kept up to date; by an incoming webhook a message for each notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.core.notification_specs import NotificationSpec
from orchestrator.core.notifications import NotDeliveredError, Notice, Told
from orchestrator.core.state import RunState
from orchestrator.notify.blocks import message
from orchestrator.notify.http import Answer, Http

API = "https://slack.com/api"

PASSING = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
"""Errors that another attempt may not meet."""


class SlackMessage:
    """chat.postMessage, then chat.update. A message that was posted just before a crash may be followed by another."""

    keeps_up = True
    interval = 2.0  # chat.update takes 50 a minute

    def __init__(self, spec: NotificationSpec, http: Http, *, api: str, token: str, clock: Callable[[], float]) -> None:
        self._spec = spec
        self._http = http
        self._api = api.rstrip("/")
        self._token = token
        self._clock = clock
        self._last: dict[str, Any] | None = None

    async def tell(
        self, notice: Notice, state: RunState, told: Told, opened: Callable[[Mapping[str, Any]], None]
    ) -> None:
        content = message(self._spec, notice.moment, state, self._clock())
        if told.handle is None:
            body = {"channel": self._spec.settings["channel"], "unfurl_links": False, "unfurl_media": False, **content}
            answer = await self._call("chat.postMessage", body)
            opened({"channel": str(answer.get("channel", "")), "ts": str(answer.get("ts", ""))})
        elif content != self._last:
            await self._call("chat.update", {**told.handle, **content})
        self._last = content

    async def _call(self, method: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = await self._http.send_json("POST", f"{self._api}/{method}", body, token=self._token)
        data = answer.json()
        if not answer.is_good or not isinstance(data, dict):
            raise answer.fault() if not answer.is_good else NotDeliveredError("an answer that isn't Slack's")
        if not data.get("ok"):
            error = str(data.get("error", "an error"))
            raise NotDeliveredError(f"{method}: {error}", final=error not in PASSING, retry_after=answer.retry_after)
        return data


class SlackWebhook:
    """An incoming webhook: what was posted can't be changed any more."""

    keeps_up = False
    interval = 1.0  # Slack takes one a second

    def __init__(self, spec: NotificationSpec, http: Http, *, url: str, clock: Callable[[], float]) -> None:
        self._spec = spec
        self._http = http
        self._url = url
        self._clock = clock

    async def tell(
        self, notice: Notice, state: RunState, told: Told, opened: Callable[[Mapping[str, Any]], None]
    ) -> None:
        answer = await self._http.send_json("POST", self._url, message(self._spec, notice.moment, state, self._clock()))
        if not answer.is_good:
            raise answer.fault(_said(answer))
        if told.handle is None:
            opened({"seq": notice.seq})


def _said(answer: Answer) -> str:
    """Slack's word, such as `invalid_blocks` or `no_service`."""
    return answer.body[:200].decode(errors="replace")
