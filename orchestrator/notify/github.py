"""GitHub: a deployment with its statuses, and a status of the commit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from orchestrator.core.model import Outcome
from orchestrator.core.notification_specs import NotificationSpec
from orchestrator.core.notifications import NotDeliveredError, Notice, Told
from orchestrator.core.state import RunState
from orchestrator.notify.http import Answer, Http
from orchestrator.wording.notices import expand, headline, names_of
from orchestrator.wording.text import one_line

API = "https://api.github.com"
VERSION = "2022-11-28"
ACCEPT = "application/vnd.github+json"
DESCRIPTION = 140
"""Characters (REST API)."""

TASK = "deploy:orchestrator"
"""GitHub finds deployments by their task: ours are told from those of others."""

PAGE = 100

_DEPLOYMENT: Mapping[Outcome, str] = {
    Outcome.SUCCEEDED: "success",
    Outcome.FAILED: "failure",
    Outcome.ROLLED_BACK: "failure",
    Outcome.ROLLBACK_FAILED: "error",
    Outcome.CANCELLED: "error",
}
"""The states of ended deployments, and of commits."""


class GitHubReceiver:
    keeps_up = True
    interval = 1.0

    def __init__(self, spec: NotificationSpec, http: Http, *, api: str, token: str, clock: Callable[[], float]) -> None:
        self._spec = spec
        self._http = http
        self._token = token
        self._clock = clock
        self._repository = f"{api.rstrip('/')}/repos/{spec.settings['repository']}"
        self._sent: dict[str, tuple[str, str]] = {}
        """The last state and description, of the deployment and of the commit."""

    async def tell(
        self, notice: Notice, state: RunState, told: Told, opened: Callable[[Mapping[str, Any]], None]
    ) -> None:
        """Progress is nothing to GitHub, which keeps each status: only what people want to hear of is sent."""
        if notice.moment is None:
            return
        settings, now = self._spec.settings, self._clock()
        text = one_line(headline(notice.moment, state, now), DESCRIPTION)
        link = expand(settings["link"], names_of(notice.moment, state, now)) if "link" in settings else None
        handle = told.handle or {}
        if settings["deployment"] and "deployment" not in handle:
            handle = {"deployment": await self._deployment(state, text)}
            opened(handle)
        faults = []
        if settings["deployment"]:
            url = f"{self._repository}/deployments/{handle['deployment']}/statuses"
            more = {} if link is None else {"log_url": link}
            faults += await self._status(url, deployment_state(state, told), text, more)
        if settings["status"]:
            url = f"{self._repository}/statuses/{settings['commit']}"
            more = {"context": settings["context"], **({} if link is None else {"target_url": link})}
            faults += await self._status(url, commit_state(state), text, more)
        if faults:
            raise faults[0]
        if told.handle is None and not settings["deployment"]:
            opened({"context": settings["context"]})

    async def _deployment(self, state: RunState, text: str) -> int:
        """The run's deployment: made, or found where an earlier process has made it and died before it said so."""
        settings = self._spec.settings
        mine = {"orchestrator": {"run": state.run, "notification": self._spec.name}}
        if "resumed" in state.notifications.moments and (found := await self._find(mine)) is not None:
            return found
        body = {
            "ref": settings["commit"],
            "task": TASK,
            "auto_merge": False,
            "required_contexts": [],
            "environment": settings["environment"],
            "description": text,
            "payload": mine,
            "transient_environment": settings["transient"],
            **({"production_environment": settings["production"]} if "production" in settings else {}),
        }
        answer = await self._call("POST", f"{self._repository}/deployments", body)
        made = answer.json()
        if not isinstance(made, dict) or "id" not in made:
            raise NotDeliveredError("an answer that isn't GitHub's")
        return int(made["id"])

    async def _find(self, mine: Mapping[str, Any]) -> int | None:
        settings = self._spec.settings
        query = urlencode({"environment": settings["environment"], "task": TASK, "per_page": PAGE})
        answer = await self._call("GET", f"{self._repository}/deployments?{query}")
        listed = answer.json()
        for each in listed if isinstance(listed, list) else ():
            if _payload(each) == mine:
                return int(each["id"])
        return None

    async def _status(self, url: str, word: str, text: str, more: Mapping[str, Any]) -> list[NotDeliveredError]:
        """The fault, if there was one: the other status is to be sent all the same."""
        if self._sent.get(url) == (word, text):
            return []
        try:
            await self._call("POST", url, {"state": word, "description": text, **more})
        except NotDeliveredError as error:
            return [error]
        self._sent[url] = (word, text)
        return []

    async def _call(self, method: str, url: str, body: object = None) -> Answer:
        headers = {
            "Accept": ACCEPT,
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "X-GitHub-Api-Version": VERSION,
        }
        content = None if body is None else json.dumps(body).encode()
        answer = await self._http.send(method, url, headers=headers, body=content)
        if not answer.is_good:
            raise _fault(answer)
        return answer


def deployment_state(state: RunState, told: Told) -> str:
    """What stood there and has gone back is no longer active; anything else that went wrong is a failure."""
    if state.outcome is Outcome.ROLLED_BACK and told.outcome == Outcome.SUCCEEDED:
        return "inactive"
    if state.is_finished:
        return _DEPLOYMENT[state.outcome]
    is_held = state.blocked is not None or (state.detached is not None and state.detached.blocked)
    return "pending" if is_held else "in_progress"


def commit_state(state: RunState) -> str:
    return _DEPLOYMENT[state.outcome] if state.is_finished else "pending"


def _payload(deployment: Any) -> object:
    """GitHub gives back an object, or the text of it."""
    payload = deployment.get("payload") if isinstance(deployment, dict) else None
    if not isinstance(payload, str):
        return payload
    try:
        return json.loads(payload)
    except ValueError:
        return None


def _fault(answer: Answer) -> NotDeliveredError:
    """403 is a missing permission, or a rate limit: that one says when to come back, or that nothing is left."""
    data = answer.json()
    fault = answer.fault(str(data.get("message", "")) if isinstance(data, dict) else "")
    limited = answer.retry_after is not None or answer.headers.get("X-RateLimit-Remaining") == "0"
    if answer.status == 403 and limited:
        return NotDeliveredError(str(fault), retry_after=answer.retry_after)
    return fault
