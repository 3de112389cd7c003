"""A server that behaves like Slack, GitHub and a webhook's receiver, and remembers what it was told."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

SLACK_TOKEN = "xoxb-only-for-tests"
GITHUB_TOKEN = "ghp-only-for-tests"


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    status: int = 200
    data: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    loses: bool = False
    """It is carried out, and the answer never arrives."""


@dataclass
class Receivers:
    """One owner of all that was told; each request has a thread."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    messages: dict[str, list[Any]] = field(default_factory=dict)
    """Slack's, by ts: the contents that each has had."""
    deployments: dict[int, dict[str, Any]] = field(default_factory=dict)
    """GitHub's, with their `statuses`."""
    commit_statuses: list[dict[str, Any]] = field(default_factory=list)
    script: dict[str, list[Reply]] = field(default_factory=dict)
    """By the beginning of a path: what the next requests get in place of what they should."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)

    def to(self, path: str) -> list[Call]:
        with self.lock:
            return [call for call in self.calls if call.path.startswith(path)]

    def environment(self) -> dict[str, str]:
        return {
            "SLACK_API_URL": f"{self.url}/slack",
            "SLACK_BOT_TOKEN": SLACK_TOKEN,
            "GITHUB_API_URL": f"{self.url}/github",
            "GITHUB_TOKEN": GITHUB_TOKEN,
            "ORCHESTRATOR_WEBHOOK_SECRET": "s3cret",
        }

    def answer(self, call: Call) -> Reply:
        with self.lock:
            self.calls.append(call)
            for prefix, replies in self.script.items():
                if call.path.startswith(prefix) and replies:
                    reply = replies.pop(0)
                    if reply.loses:
                        self._as_it_should(call)
                    return reply
            return self._as_it_should(call)

    def _as_it_should(self, call: Call) -> Reply:
        if call.path.startswith("/slack/"):
            return self._slack(call)
        return self._github(call) if call.path.startswith("/github/") else Reply()

    def _slack(self, call: Call) -> Reply:
        if call.headers.get("Authorization") != f"Bearer {SLACK_TOKEN}":
            return Reply(data={"ok": False, "error": "invalid_auth"})
        data = call.data
        if call.path == "/slack/chat.postMessage":
            ts = f"17000000{len(self.messages):02}.0001"
            self.messages[ts] = [data]
            return Reply(data={"ok": True, "channel": "C0123", "ts": ts})
        if data.get("channel") != "C0123" or data.get("ts") not in self.messages:
            return Reply(data={"ok": False, "error": "message_not_found"})
        self.messages[data["ts"]].append(data)
        return Reply(data={"ok": True, "channel": "C0123", "ts": data["ts"]})

    def _github(self, call: Call) -> Reply:
        if call.headers.get("Authorization") != f"Bearer {GITHUB_TOKEN}":
            return Reply(401, {"message": "Bad credentials"})
        parts = urlsplit(call.path)
        pieces = parts.path.split("/")[2:]  # repos, owner, name, deployments | statuses, …
        if call.method == "GET":
            wanted = parse_qs(parts.query)
            found = [each for each in self.deployments.values() if each["environment"] == wanted["environment"][0]]
            return Reply(data=found)
        if pieces[3] == "statuses":
            self.commit_statuses.append({"sha": pieces[4], **call.data})
            return Reply(201, {"id": 1})
        if len(pieces) == 4:
            number = 1000 + len(self.deployments)
            self.deployments[number] = {"id": number, "statuses": [], **call.data}
            return Reply(201, {"id": number})
        made = self.deployments.get(int(pieces[4]))
        if made is None:
            return Reply(404, {"message": "Not Found"})
        made["statuses"].append(call.data)
        return Reply(201, {"id": 2})


@contextmanager
def receivers() -> Iterator[Receivers]:
    """`/hang` never answers, `/drip` sends a byte now and then; the rest is as `Receivers` says."""
    found = Receivers()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            call = Call(self.command, self.path, dict(self.headers), self.rfile.read(length))
            reply = found.answer(call)
            if call.path.startswith("/hang") or reply.loses:
                found.closing.wait()
                return
            if call.path.startswith("/drip"):
                self._drip()
                return
            body = b"ok" if reply.data is None else json.dumps(reply.data).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - http.server's name

        def _drip(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            try:
                while not found.closing.wait(0.3):
                    self.wfile.write(b".")
                    self.wfile.flush()
            except OSError:
                return

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield found
    finally:
        found.closing.set()
        server.shutdown()
        server.server_close()
