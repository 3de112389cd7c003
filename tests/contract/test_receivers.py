"""What each receiver is sent, over real HTTP, by a server that answers as Slack, GitHub and others do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import pages
import pytest
from motos import moto_server
from receivers import GITHUB_TOKEN, SLACK_TOKEN, Receivers, Reply, receivers

from orchestrator.aws import AwsSession
from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core import notification_events as nev
from orchestrator.core.model import Location, Outcome, TargetState
from orchestrator.core.notification_specs import Moment, NotificationSpec, specs_to_list
from orchestrator.core.notifications import NotDeliveredError, Notice
from orchestrator.core.ports import Receiver
from orchestrator.core.state import RunState
from orchestrator.notify import GitHubReceiver, Http, SlackMessage, SlackWebhook, SnsReceiver, WebhookReceiver
from orchestrator.notify.http import proxies_of
from orchestrator.notify.sns import subject

pytestmark = pytest.mark.anyio
NOW = 1_800_000_300.0
SECRET = "s3cret"
NASTY = "<!channel> & `x` \x1b[31m"


@pytest.fixture(scope="module")
def server() -> Iterator[Receivers]:
    with receivers() as found:
        yield found


@pytest.fixture
def told(server: Receivers) -> Receivers:
    for kept in (server.calls, server.messages, server.deployments, server.commit_statuses, server.script):
        kept.clear()
    return server


class Run:
    """A run with a notification `n`, as its journal tells it."""

    def __init__(self, kind: Any, settings: Mapping[str, Any], release: str = "shop") -> None:
        self.spec = NotificationSpec(name="n", kind=kind, events=("started", "finished"), settings=settings)
        self.state = RunState()
        targets = ({"id": f"{name}/g", "application": name, "deployment_group": "g"} for name in ("web", "api"))
        self.record(
            ev.RunStarted(
                release=release,
                environment="prod",
                manifest="m",
                manifest_digest="",
                targets=tuple(targets),
                policy={},
                concurrency={},
                version="0",
                host="h",
                pid=1,
                notifications=tuple(specs_to_list([self.spec])),
            )
        )

    def record(self, event: ev.Event) -> None:
        self.state.apply(ev.Record(self.state.last_seq + 1, NOW - 300 + self.state.last_seq, "r1", event))

    def fail(self, text: str = "exited with 1") -> None:
        failure = {"instance": "i-1", "lifecycle_event": "AfterInstall", "script": "check.sh", "message": text}
        started = ev.DeploymentStarted(target="web/g", token="", deployment_id="d-1")
        self.record(started)
        self.record(
            ev.DeploymentDiagnosed(
                target="web/g",
                deployment_id="d-1",
                instances=({**failure, "status": "Failed", "log_tail": "password=hunter2"},),
                failed=4,
            )
        )
        self.record(ev.TargetFinished(target="web/g", state=TargetState.FAILED, reason="HEALTH_CONSTRAINTS"))

    def end(self, outcome: Outcome = Outcome.FAILED) -> None:
        self.record(ev.RunFinished(outcome=outcome, exit_code=3))

    async def tell(self, receiver: Receiver, moment: Moment | None) -> None:
        def opened(handle: Mapping[str, Any]) -> None:
            self.record(nev.NotificationOpened(notification="n", handle=handle))

        notice = Notice(moment, self.state.last_seq)
        await receiver.tell(notice, self.state, self.state.notifications.told["n"], opened)

    @property
    def handle(self) -> Mapping[str, Any] | None:
        return self.state.notifications.told["n"].handle


@asynccontextmanager
async def http(limit: float = 5.0, **environment: str) -> AsyncIterator[Http]:
    made = Http(environment, limit=limit)
    try:
        yield made
    finally:
        await made.aclose()


def clock() -> float:
    return NOW


# --- webhooks --------------------------------------------------------------------------------------------------------


def webhook(run: Run, http: Http, url: str, secret: str | None = SECRET) -> WebhookReceiver:
    return WebhookReceiver(run.spec, http, url=url, secret=secret, clock=clock)


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """As docs/notifications.md tells receivers to do it: with the code that stands there."""
    (block,) = pages.blocks(pages.page("notifications"), "python")
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - our own page
    names["time"] = SimpleNamespace(time=lambda: now)
    return bool(names["is_genuine"](secret, headers, body))


async def test_a_webhook_is_signed_and_says_what_failed(told: Receivers) -> None:
    run = Run("webhook", {"text": "${release} ${failed} ${counts}", "link": "https://ci.example/${run}"})
    run.fail()
    run.end()
    async with http() as client:
        await run.tell(webhook(run, client, f"{told.url}/hook"), "finished")
    (call,) = told.calls
    assert verify(SECRET, call.headers, call.body, NOW)
    assert not verify("another", call.headers, call.body, NOW)
    assert not verify(SECRET, call.headers, call.body + b" ", NOW)
    assert not verify(SECRET, call.headers, call.body, NOW + 301)
    body = call.data
    assert (body["event"], body["outcome"], body["exit_code"]) == ("finished", "failed", 3)
    assert (body["text"], body["link"]) == ("shop web/g 1 failed, 1 pending", "https://ci.example/r1")
    (failed,) = body["failed"]
    assert (failed["target"], failed["deployment_id"], failed["failed_instances"]) == ("web/g", "d-1", 4)
    assert failed["instances"] == [
        {
            "instance": "i-1",
            "lifecycle_event": "AfterInstall",
            "script": "check.sh",
            "error_code": None,
            "message": "exited with 1",
        }
    ]
    assert b"hunter2" not in call.body  # what instances log stays out
    assert body["key"] == call.headers["Idempotency-Key"]
    assert run.handle == {"key": body["key"]}
    (shown,) = pages.blocks(pages.page("notifications"), "json")
    assert list(json.loads(shown)) == list(body)
    assert list(json.loads(shown)["failed"][0]) == list(failed)


async def test_deliveries_differ_and_what_is_told_twice_has_one_key(told: Receivers) -> None:
    run = Run("webhook", {})
    async with http() as client:
        receiver = webhook(run, client, f"{told.url}/hook", secret=None)
        notice = Notice("started", 1)
        for _ in range(2):
            await receiver.tell(notice, run.state, run.state.notifications.told["n"], lambda _: None)
    first, second = (call.headers for call in told.calls)
    assert first["Idempotency-Key"] == second["Idempotency-Key"] == "r1/started/1"
    assert first["X-Orchestrator-Delivery"] != second["X-Orchestrator-Delivery"]
    assert "X-Orchestrator-Signature" not in first


@pytest.mark.parametrize(
    ("reply", "said", "final", "retry_after"),
    [
        (Reply(500), "HTTP 500", False, None),
        (Reply(429, headers={"Retry-After": "7"}), "HTTP 429", False, 7.0),
        (Reply(401), "HTTP 401", True, None),
        (Reply(410), "HTTP 410", True, None),
        (Reply(302, headers={"Location": "http://127.0.0.1:9/"}), "HTTP 302: redirects aren't followed", True, None),
    ],
)
async def test_an_answer_that_is_no_yes(
    told: Receivers, reply: Reply, said: str, final: bool, retry_after: float | None
) -> None:
    told.script["/hook"] = [reply]
    run = Run("webhook", {})
    async with http() as client:
        with pytest.raises(NotDeliveredError) as caught:
            await run.tell(webhook(run, client, f"{told.url}/hook"), "started")
    assert (str(caught.value), caught.value.final, caught.value.retry_after) == (said, final, retry_after)
    assert len(told.calls) == 1
    assert run.handle is None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("{url}/hang", "no answer within 0.2 s"),
        ("{url}/drip", "no answer within 0.2 s"),
        ("http://127.0.0.1:9/secret-path", "connection refused"),
        ("http://nowhere.invalid/secret-path", "nowhere.invalid can't be resolved"),
    ],
)
async def test_no_answer_is_a_fault_within_its_time_that_names_no_url(told: Receivers, path: str, said: str) -> None:
    run = Run("webhook", {})
    async with http(limit=0.2) as client:
        began = anyio.current_time()
        with pytest.raises(NotDeliveredError) as caught:
            await run.tell(webhook(run, client, path.format(url=told.url)), "started")
        assert anyio.current_time() - began < 2.0
    assert (str(caught.value), caught.value.final) == (said, False)


async def test_proxies_are_those_of_the_environment_and_nothing_else_of_it_counts(
    told: Receivers, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert proxies_of({"HTTPS_PROXY": "http://p:1", "https_proxy": "http://q:2", "NO_PROXY": "a"}) == {
        "https": "http://q:2",
        "no": "a",
    }
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    run = slack_run()
    async with http(http_proxy="http://127.0.0.1:9") as client:
        with pytest.raises(NotDeliveredError, match="connection refused"):
            await run.tell(slack(run, client, told), "started")
    async with http(http_proxy="http://127.0.0.1:9", no_proxy="127.0.0.1") as client:
        await run.tell(slack(run, client, told), "started")  # with its own token, not that of a .netrc


# --- Slack -----------------------------------------------------------------------------------------------------------


def slack_run(release: str = "shop", **settings: str) -> Run:
    return Run("slack", {"channel": "#deploys", **settings}, release)


def slack(run: Run, http: Http, told: Receivers, token: str = SLACK_TOKEN) -> SlackMessage:
    return SlackMessage(run.spec, http, api=f"{told.url}/slack", token=token, clock=clock)


async def test_one_message_is_posted_and_then_updated(told: Receivers) -> None:
    run = slack_run(title="${release}: ${outcome}", text="${failed}", link="https://ci.example/${run}?a=b|c>")
    async with http() as client:
        receiver = slack(run, client, told)
        await run.tell(receiver, "started")
        await run.tell(receiver, None)  # nothing new: nothing is sent
        run.fail()
        await run.tell(receiver, "failed")
        run.end()
        await run.tell(slack(run, client, told), "finished")  # another process
    assert [call.path for call in told.calls] == ["/slack/chat.postMessage", *["/slack/chat.update"] * 2]
    assert run.handle == {"channel": "C0123", "ts": "1700000000.0001"}
    last = told.messages["1700000000.0001"][-1]
    assert last["text"] == "shop: failed"
    text = json.dumps(last["blocks"], ensure_ascii=False)
    assert ":x: *shop: failed*" in text
    assert "web/g failed: HEALTH_CONSTRAINTS" in text
    assert "i-1 · AfterInstall · check.sh: exited with 1" in text
    assert "and 3 more failed instances" in text
    assert "<https://ci.example/r1?a=b%7Cc&gt;|details>" in text
    assert "hunter2" not in text


async def test_nothing_in_a_message_calls_anybody_or_breaks_it(told: Receivers) -> None:
    run = slack_run(NASTY, text="${release}")
    run.record(gev.GateWaiting(gate=NASTY, target="api/g", phase="before", kind="approval"))
    run.fail(NASTY * 400)
    async with http() as client:
        await run.tell(slack(run, client, told), "approval")
    content = told.calls[0].data
    texts = [content["text"], *(block["text"]["text"] for block in content["blocks"] if "text" in block)]
    for text in texts:
        assert "<" not in text
        assert "&lt;!channel&gt; &amp;" in text or "web/g" in text
        assert "\x1b" not in text
        assert len(text) <= 3000
    assert len(content["blocks"]) <= 50
    commands = next(text for text in texts if text.startswith("To go on: "))
    assert commands.count("`") % 2 == 0


async def test_hundreds_of_failures_fit_into_a_message(told: Receivers) -> None:
    run = slack_run()
    run.state.targets.clear()
    targets = tuple({"id": f"a{n}/g", "application": f"a{n}", "deployment_group": "g"} for n in range(500))
    first = ev.RunStarted(
        release="r", environment="e", manifest="m", manifest_digest="", targets=targets, policy={}, concurrency={},
        version="0", host="h", pid=1, notifications=tuple(specs_to_list([run.spec])),
    )  # fmt: skip
    run.record(first)
    for each in targets:
        run.record(ev.TargetFinished(target=str(each["id"]), state=TargetState.FAILED, reason="x" * 5000))
    async with http() as client:
        await run.tell(slack(run, client, told), "failed")
        await run.tell(webhook(run, client, f"{told.url}/hook"), "failed")
    assert len(told.calls[0].data["blocks"]) < 50
    assert "and 490 more failed targets" in json.dumps(told.calls[0].data)
    assert (len(told.calls[1].data["failed"]), told.calls[1].data["failed_targets"]) == (25, 500)
    assert len(told.calls[1].body) < 64 * 1024


@pytest.mark.parametrize(
    ("reply", "said", "final", "retry_after"),
    [
        (Reply(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "30"}), "HTTP 429", False, 30.0),
        (Reply(200, {"ok": False, "error": "channel_not_found"}), "chat.postMessage: channel_not_found", True, None),
        (Reply(200, {"ok": False, "error": "internal_error"}), "chat.postMessage: internal_error", False, None),
        (Reply(200, ["?"]), "an answer that isn't Slack's", False, None),
        (Reply(503), "HTTP 503", False, None),
    ],
)
async def test_slack_says_no(told: Receivers, reply: Reply, said: str, final: bool, retry_after: float | None) -> None:
    told.script["/slack"] = [reply]
    run = slack_run()
    async with http() as client:
        with pytest.raises(NotDeliveredError) as caught:
            await run.tell(slack(run, client, told), "started")
    assert (str(caught.value), caught.value.final, caught.value.retry_after) == (said, final, retry_after)


async def test_a_wrong_token_is_named_by_its_error_alone(told: Receivers) -> None:
    run = slack_run()
    async with http() as client:
        with pytest.raises(NotDeliveredError) as caught:
            await run.tell(slack(run, client, told, token="xoxb-wrong"), "started")
    assert str(caught.value) == "chat.postMessage: invalid_auth"
    assert caught.value.final


async def test_an_incoming_webhook_gets_a_message_for_each(told: Receivers) -> None:
    run = Run("slack", {"url_env": "SLACK_URL"})
    told.script["/services"] = [Reply(), Reply(), Reply(404, "no_service")]
    async with http() as client:
        receiver = SlackWebhook(run.spec, client, url=f"{told.url}/services/T/B/secret", clock=clock)
        await run.tell(receiver, "started")
        run.end(Outcome.SUCCEEDED)
        await run.tell(receiver, "finished")
        with pytest.raises(NotDeliveredError, match=r"HTTP 404: .*no_service") as caught:
            await run.tell(receiver, "finished")
    assert "secret" not in str(caught.value)
    assert [call.data["text"] for call in told.calls[:2]] == [
        "shop to prod: running",
        "shop to prod: succeeded after 2.0s",
    ]


# --- GitHub ----------------------------------------------------------------------------------------------------------

SHA = "c" * 40


def github_run(**settings: Any) -> Run:
    usual = {"repository": "acme/shop", "commit": SHA, "environment": "prod", "context": "orchestrator/prod"}
    return Run("github", {**usual, "deployment": True, "status": True, "transient": False, **settings})


def github(run: Run, http: Http, told: Receivers, token: str = GITHUB_TOKEN) -> GitHubReceiver:
    return GitHubReceiver(run.spec, http, api=f"{told.url}/github", token=token, clock=clock)


async def test_a_deployment_and_a_commit_status_from_beginning_to_end(told: Receivers) -> None:
    run = github_run(link="https://ci.example/${run}", production=True)
    async with http() as client:
        receiver = github(run, client, told)
        await run.tell(receiver, "started")
        calls = len(told.calls)
        await run.tell(receiver, None)
        assert len(told.calls) == calls  # GitHub keeps every status: progress is none
        run.fail()
        await run.tell(receiver, "failed")
        run.end()
        await run.tell(receiver, "finished")
    (made,) = told.deployments.values()
    assert (made["ref"], made["environment"], made["auto_merge"], made["required_contexts"]) == (SHA, "prod", False, [])
    assert (made["production_environment"], made["transient_environment"]) == (True, False)
    assert [each["state"] for each in made["statuses"]] == ["in_progress", "in_progress", "failure"]
    assert made["statuses"][-1]["log_url"] == "https://ci.example/r1"
    assert [each["state"] for each in told.commit_statuses] == ["pending", "pending", "failure"]
    assert {(each["sha"], each["context"]) for each in told.commit_statuses} == {(SHA, "orchestrator/prod")}
    assert all(len(each["description"]) <= 140 for each in [*made["statuses"], *told.commit_statuses])
    assert run.handle == {"deployment": 1000}
    assert told.calls[0].headers["Accept"] == "application/vnd.github+json"


@pytest.mark.parametrize("as_text", [False, True])
async def test_a_deployment_that_was_made_just_before_a_crash_is_found_again(told: Receivers, as_text: bool) -> None:
    told.script["/github/repos/acme/shop/deployments"] = [Reply(loses=True)]
    run = github_run(status=False)
    async with http(limit=0.3) as client:
        with pytest.raises(NotDeliveredError):
            await run.tell(github(run, client, told), "started")
        assert run.handle is None
        for made in told.deployments.values():
            if as_text:
                made["payload"] = json.dumps(made["payload"])
        told.deployments[7] = {"id": 7, "environment": "prod", "payload": "not JSON", "statuses": []}
        run.record(ev.RunResumed(version="0", host="h", pid=2))
        run.end(Outcome.SUCCEEDED)
        await run.tell(github(run, client, told), "finished")
    assert run.handle == {"deployment": 1000}
    assert [each["state"] for each in told.deployments[1000]["statuses"]] == ["success"]
    assert len(told.deployments) == 2


@pytest.mark.parametrize(
    ("outcome", "before", "deployment", "commit"),
    [
        (Outcome.SUCCEEDED, None, "success", "success"),
        (Outcome.FAILED, None, "failure", "failure"),
        (Outcome.ROLLED_BACK, None, "failure", "failure"),
        (Outcome.ROLLED_BACK, "succeeded", "inactive", "failure"),
        (Outcome.ROLLBACK_FAILED, None, "error", "error"),
        (Outcome.CANCELLED, None, "error", "error"),
    ],
)
async def test_every_end_has_its_state(
    told: Receivers, outcome: Outcome, before: str | None, deployment: str, commit: str
) -> None:
    run = github_run()
    if before is not None:
        run.record(nev.NotificationClosed(notification="n", outcome=before))
        run.record(ev.ReleaseRollbackRequested(reason="by hand"))
    run.end(outcome)
    async with http() as client:
        await run.tell(github(run, client, told), "finished")
    assert [each["statuses"][-1]["state"] for each in told.deployments.values()] == [deployment]
    assert told.commit_statuses[-1]["state"] == commit


async def test_what_waits_for_people_is_pending(told: Receivers) -> None:
    run = github_run()
    run.record(gev.RunBlocked(reason="awaiting approval: cab", gates=("cab",)))
    async with http() as client:
        await run.tell(github(run, client, told), "waiting")
    (made,) = told.deployments.values()
    assert made["statuses"][-1] == {"state": "pending", "description": "shop to prod: awaits approval: cab"}


async def test_one_of_the_two_may_be_forbidden_and_the_other_is_sent(told: Receivers) -> None:
    said = {"message": "Resource not accessible by integration"}
    told.script["/github/repos/acme/shop/statuses"] = [Reply(403, said)]
    run = github_run()
    run.end(Outcome.SUCCEEDED)
    async with http() as client:
        with pytest.raises(NotDeliveredError, match="HTTP 403: Resource not accessible") as caught:
            await run.tell(github(run, client, told), "finished")
    assert caught.value.final
    assert [each["statuses"][-1]["state"] for each in told.deployments.values()] == ["success"]


@pytest.mark.parametrize("headers", [{"Retry-After": "60"}, {"X-RateLimit-Remaining": "0"}])
async def test_githubs_rate_limit_is_no_missing_permission(told: Receivers, headers: dict[str, str]) -> None:
    told.script["/github"] = [Reply(403, {"message": "API rate limit exceeded"}, headers)]
    run = github_run()
    async with http() as client:
        with pytest.raises(NotDeliveredError) as caught:
            await run.tell(github(run, client, told), "started")
    assert not caught.value.final
    assert caught.value.retry_after == (60.0 if "Retry-After" in headers else None)


async def test_bad_credentials_are_said_and_not_shown(told: Receivers) -> None:
    run = github_run()
    async with http() as client:
        with pytest.raises(NotDeliveredError, match="HTTP 401: Bad credentials") as caught:
            await run.tell(github(run, client, told, token="ghp-wrong"), "started")
    assert caught.value.final


# --- SNS -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "made"),
    [
        ("shop to prod: failed", "shop to prod: failed"),
        ("größer\nals 100", "gr??er als 100"),
        ("x" * 300, "x" * 97 + "..."),
    ],
)
async def test_a_subject_is_what_sns_takes(title: str, made: str) -> None:
    assert subject(title) == made


async def test_a_message_goes_to_a_topic_with_what_subscribers_filter_by() -> None:
    """moto's SNS remembers it."""
    async with moto_server() as variables:
        environment = {**variables, "AWS_REGION": "eu-west-1"}
        async with AwsSession(endpoint_environment=environment) as session:
            call = _caller(session)
            here = Location(region="eu-west-1")
            topic = (await call(here, "CreateTopic", {"Name": "deploys"}))["TopicArn"]
            run = Run("sns", {"topic_arn": topic, "format": "json", "title": "${release}: ${outcome}"})
            run.fail()
            run.end()
            await run.tell(SnsReceiver(run.spec, call, clock=clock), "finished")
            other = Run("sns", {"topic_arn": topic + "-gone", "format": "text"})
            with pytest.raises(NotDeliveredError, match="NotFound") as caught:
                await other.tell(SnsReceiver(other.spec, call, clock=clock), "started")
    assert caught.value.final
    from moto.backends import get_backend  # noqa: PLC0415 - after its server has started

    (sent,) = next(
        backend["eu-west-1"].topics[topic].sent_notifications
        for backend in get_backend("sns").values()
        if topic in backend["eu-west-1"].topics
    )
    _, message, subject_, attributes, _ = sent
    assert subject_ == "shop: failed"
    assert json.loads(message)["failed"][0]["target"] == "web/g"
    assert {name: each["Value"] for name, each in (attributes or {}).items()} == {
        "event": "finished",
        "outcome": "failed",
        "environment": "prod",
        "release": "shop",
        "run": "r1",
    }


def _caller(session: AwsSession) -> Callable[[Location, str, Mapping[str, Any]], Any]:
    async def call(location: Location, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return await session.call("sns", location, operation, parameters)

    return call
