"""What people see of a run: plain lines, the live frame, the summary. Fed with hand-made events, in made-up time."""

from __future__ import annotations

import io
from datetime import UTC
from typing import Any

import anyio
from story import CHAIN, NOON, Story, d

from orchestrator.core import bundle_events as bev
from orchestrator.core import events as ev
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.state import RunState
from orchestrator.sinks.frame import frame
from orchestrator.sinks.plain import SILENCE, PlainSink, still
from orchestrator.sinks.summary import summary
from orchestrator.wording.waiting import waits_for

S = TargetState


# --- waits for -------------------------------------------------------------------------------------------------------


def test_a_target_waits_for_its_open_needs_then_its_revision_then_a_slot() -> None:
    story = Story(CHAIN).begin()
    state = story.state
    api = state.targets["api/fleet"]
    assert waits_for(state.targets["db/primary"], state) == "its revision"
    assert waits_for(api, state) == "db/primary"
    story.start("db/primary").succeed("db/primary")
    assert waits_for(state.targets["db/primary"], state) == ""
    story.tell(bev.UploadStarted(application="api", region="eu-west-1", targets=("api/fleet",)))
    assert waits_for(api, state) == "its bundle"
    story.tell(bev.RevisionPinned(application="api", region="eu-west-1", targets=("api/fleet",), revision={"a": 1}))
    assert waits_for(api, state) == "a free slot"
    story.tell(ev.TargetBlocked(target="api/fleet", reason="d-FOREIGN is active"))
    assert waits_for(api, state) == "d-FOREIGN is active"


def test_before_its_first_event_a_run_says_what_lock_it_waits_for(virtual: Any) -> None:
    stream = io.StringIO()

    async def wait() -> None:
        sink = PlainSink(stream, clock=lambda: NOON, zone=UTC)
        sink.say("waiting for the lock of run r0")
        with anyio.move_on_after(SILENCE * 1.5):
            await sink.run()

    virtual(wait())
    assert stream.getvalue().splitlines() == [
        "12:00:00 waiting for the lock of run r0",
        "12:00:00 still waiting for the lock of run r0",
    ]


def test_many_needs_are_not_all_named() -> None:
    needs = [f"a{i}/g" for i in range(10)]
    story = Story({**dict.fromkeys(needs, ()), "z/g": needs}).begin()
    assert waits_for(story.state.targets["z/g"], story.state) == "a0/g, a1/g, a2/g and 7 more"


def test_every_state_has_an_answer() -> None:
    story = Story(CHAIN).begin()
    target = story.state.targets["db/primary"]
    for state in TargetState:
        target.state = state
        waits_for(target, story.state)


# --- plain -----------------------------------------------------------------------------------------------------------


def plain(story: Story, at: float = 0.0) -> io.StringIO:
    stream = io.StringIO()
    story.sinks.append(PlainSink(stream, clock=lambda: story.now, monotonic=lambda: at, zone=UTC))
    return stream


def test_a_run_in_plain_lines() -> None:
    story = Story({"db/primary": (), "api/fleet": ("db/primary",)})
    stream = plain(story)
    story.begin()
    story.tell(bev.UploadStarted(application="db", region="eu-west-1", targets=("db/primary",)))
    story.tell(bev.BundlePacked(application="db", digest="sha256:1", bytes=1200, entries=1, seconds=0.02))
    uploaded = bev.BundleUploaded(
        application="db",
        region="eu-west-1",
        bucket="b",
        key=f"db/{'0123abcd' * 8}.tgz",
        digest="",
        bytes=1200,
        seconds=0.3,
    )
    story.tell(uploaded)
    story.start("db/primary", after=1.0)
    story.progress("db/primary", after=5.0, Succeeded=1, InProgress=2)
    done = ev.DeploymentProgressed(target="db/primary", deployment_id=d("db/primary"), status="Succeeded")
    story.tell(done)
    story.succeed("db/primary", after=60.0)
    story.tell(ev.WarningRaised(message="a\nb", target="api/fleet"))
    story.start("api/fleet", adopted=True).fail("api/fleet", after=2.0).finish(Outcome.FAILED)
    assert stream.getvalue().splitlines() == [
        "12:00:00 run run-1: shop-1 to staging, 2 targets",
        "12:00:00 db          preparing the bundle in eu-west-1",
        "12:00:00 db          packed 1 entry, 1.2 kB in 0.0s",
        "12:00:00 db          uploaded 1.2 kB in 0.3s to s3://b/db/0123abcd0123….tgz",
        "12:00:01 db/primary  d-DBPRIMARY started",
        "12:00:06 db/primary  d-DBPRIMARY InProgress, 1/3 instances",
        "12:01:06 db/primary  succeeded after 1m05s",
        "12:01:06 api/fleet   warning: a b",
        "12:01:06 api/fleet   d-APIFLEET0 found again",
        "12:01:08 api/fleet   d-APIFLEET0 Failed: HEALTH_CONSTRAINTS: too many instances failed",
        "12:01:08 api/fleet   3 instances failed",
        "           i-0abc · ValidateService · scripts/check.sh",
        "             ScriptFailed: exit code 1",
        "             | connecting",
        "             | �[31mrefused�[0m",
        "           and 2 more failed instances",
        "12:01:08 api/fleet   failed after 2.0s: the deployment failed",
        "12:01:08 run failed after 1m08s",
    ]


def test_progress_is_told_when_it_changed_and_not_too_often() -> None:
    story = Story({"db/primary": ()})
    stream = plain(story)
    story.begin().start("db/primary")
    for _ in range(30):
        story.progress("db/primary", after=1.0, Succeeded=1, Pending=2)
    story.progress("db/primary", Succeeded=2, Pending=1)
    story.progress("db/primary", Succeeded=3)
    told = [line for line in stream.getvalue().splitlines() if "InProgress" in line]
    assert [line[-13:] for line in told] == ["1/3 instances", "2/3 instances"]


def test_with_many_targets_progress_is_told_less_often() -> None:
    names = [f"a{i}/g" for i in range(400)]
    story = Story(dict.fromkeys(names, ()))
    stream = plain(story)
    story.begin()
    for name in names:
        story.start(name)
    for round_ in range(1, 11):
        story.now += 10.0
        for name in names:
            story.progress(name, Succeeded=round_, Pending=10 - round_)
    told = [line for line in stream.getvalue().splitlines() if "InProgress" in line]
    assert len(told) == 400  # the first of each, and after 100 s none is due again


def test_throttles_are_told_at_most_twice_a_minute() -> None:
    story = Story({"db/primary": ()})
    stream = plain(story)
    story.begin()
    for _ in range(60):
        throttled = ev.ApiThrottled(service="codedeploy", operation="CreateDeployment", region="eu-west-1", rate=2.5)
        story.tell(throttled, after=1.0)
    told = [line for line in stream.getvalue().splitlines() if "throttled" in line]
    assert told == [
        "12:00:01 throttled: codedeploy CreateDeployment in eu-west-1; going on with 2.5 calls/s (1 throttle)",
        "12:00:31 throttled: codedeploy CreateDeployment in eu-west-1; going on with 2.5 calls/s (31 throttles)",
    ]


def test_every_event_with_hostile_text_gives_safe_lines() -> None:
    nasty = "\x1b]0;owned\x07\u202e\u2028\r\n\x9b31m"
    story = Story(CHAIN)
    stream = plain(story)
    story.begin()
    story.tell(
        ev.WarningRaised(message=nasty),
        ev.TargetBlocked(target="db/primary", reason=nasty),
        ev.FailureLimitReached(reason=nasty),
        ev.CancelRequested(mode="wait", reason=nasty),
    )
    story.start("db/primary")
    story.tell(
        ev.StopRequested(target="db/primary", deployment_id="d", reason=nasty, accepted=False, message=nasty),
        ev.DeploymentEnded(
            target="db/primary", deployment_id="d", status="Failed", error_code=nasty, error_message=nasty
        ),
        ev.DeploymentDiagnosed(
            target="db/primary",
            deployment_id="d",
            failed=1,
            instances=({"instance": nasty, "script": nasty, "message": nasty, "log_tail": nasty},),
        ),
        ev.RollbackStarted(target="db/primary", deployment_id="d", rollback_deployment_id="d-R", message=nasty),
        ev.RollbackEnded(target="db/primary", rollback_deployment_id="d-R", status="Failed", error_message=nasty),
        ev.TargetFinished(target="db/primary", state=S.FAILED, reason=nasty),
        ev.RunDetached(reason=nasty, running=()),
    )
    lines = [
        *stream.getvalue().split("\n"),
        *summary(story.state),
        *(line.text for line in frame(story.state, now=NOON, width=80, height=40)),
    ]
    assert len(lines) > 30
    assert all(line.isprintable() for line in lines)


def test_a_stream_that_nobody_reads_any_more_is_left_alone() -> None:
    story = Story(CHAIN)
    stream = plain(story)
    story.begin()
    stream.close()
    story.start("db/primary").succeed("db/primary")
    assert story.state.targets["db/primary"].state is S.SUCCEEDED


def test_an_ascii_stream_gets_what_it_can_take() -> None:
    raw = io.BytesIO()
    story = Story(CHAIN, release="schön")
    story.sinks.append(PlainSink(io.TextIOWrapper(raw, encoding="ascii"), monotonic=lambda: 0.0, zone=UTC))
    story.begin()
    assert raw.getvalue() == b"12:00:00 run run-1: sch?n to staging, 3 targets\n"


def test_silence_is_broken_at_least_once_a_minute(virtual: Any) -> None:
    story = Story(CHAIN)
    stream = io.StringIO()

    async def watch() -> None:
        begun = anyio.current_time()

        def clock() -> float:
            return NOON + anyio.current_time() - begun

        sink = PlainSink(stream, clock=clock, zone=UTC)
        story.sinks.append(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sink.run)
            story.begin().start("db/primary")
            await anyio.sleep(30)
            story.now = clock()
            story.progress("db/primary", Succeeded=2, InProgress=1)
            await anyio.sleep(200)
            tasks.cancel_scope.cancel()

    virtual(watch())
    assert stream.getvalue().splitlines()[2:] == [
        "12:00:30 db/primary  d-DBPRIMARY InProgress, 2/3 instances",
        "12:01:25 still running: db/primary 1m25s (2/3 instances); "
        "waiting: api/fleet (for db/primary), web/fleet (for api/fleet)",
        "12:02:20 still running: db/primary 2m20s (2/3 instances); "
        "waiting: api/fleet (for db/primary), web/fleet (for api/fleet)",
        "12:03:15 still running: db/primary 3m15s (2/3 instances); "
        "waiting: api/fleet (for db/primary), web/fleet (for api/fleet)",
    ]


def test_what_is_no_event_can_be_said_too() -> None:
    story = Story(CHAIN)
    stream = plain(story)
    (sink,) = story.sinks
    assert isinstance(sink, PlainSink)
    sink.say("SIGINT: nothing new starts\n")
    assert stream.getvalue() == "12:00:00 SIGINT: nothing new starts\n"


def test_there_is_a_sign_of_life_before_the_first_event_too(virtual: Any) -> None:
    stream = io.StringIO()

    async def watch() -> None:
        with anyio.move_on_after(60):
            await PlainSink(stream, clock=lambda: NOON, zone=UTC).run()

    virtual(watch())
    assert stream.getvalue() == "12:00:00 starting\n"


def test_a_sign_of_life_of_a_big_run_is_one_short_line() -> None:
    names = [f"application-{i}/group" for i in range(1000)]
    story = Story(dict.fromkeys(names, ())).begin()
    for name in names[:500]:
        story.start(name)
    line = still(story.state, NOON + 60)
    assert "and 497 more" in line
    assert len(line) < 400


# --- summary ---------------------------------------------------------------------------------------------------------


def test_an_empty_state_has_a_summary() -> None:
    assert summary(RunState()) == ["nothing was recorded", "", "outcome: unknown"]


def test_the_summary_of_one_success() -> None:
    story = Story({"db/primary": ()}).begin().start("db/primary").succeed("db/primary", after=65.0)
    assert summary(story.finish(Outcome.SUCCEEDED).state) == [
        "run run-1: shop-1 to staging, 1 target",
        "",
        "db/primary  succeeded  d-DBPRIMARY  1m05s",
        "",
        "outcome: succeeded (1 succeeded) in 1m05s",
    ]


def test_the_summary_ends_with_why_it_failed() -> None:
    story = Story({**CHAIN, "jobs/fleet": ()}).begin()
    story.tell(ev.TargetFinished(target="jobs/fleet", state=S.UNCHANGED, reason="same digest"))
    story.start("db/primary").succeed("db/primary", after=5.0)
    story.start("api/fleet").fail("api/fleet", after=60.0)
    story.skip("web/fleet", by="api/fleet")
    assert summary(story.finish(Outcome.FAILED).state) == [
        "run run-1: shop-1 to staging, 4 targets",
        "",
        "db/primary  succeeded  d-DBPRIMARY  5.0s",
        "api/fleet   failed     d-APIFLEET0  1m00s  the deployment failed",
        "web/fleet   skipped                        blocked by api/fleet",
        "jobs/fleet  unchanged                      same digest",
        "",
        "api/fleet failed (d-APIFLEET0): the deployment failed",
        "  CodeDeploy says: HEALTH_CONSTRAINTS: too many instances failed",
        "  i-0abc · ValidateService · scripts/check.sh",
        "    ScriptFailed: exit code 1",
        "    | connecting",
        "    | �[31mrefused�[0m",
        "  and 2 more failed instances",
        "",
        "outcome: failed (1 failed, 1 succeeded, 1 unchanged, 1 skipped) in 1m05s",
    ]


def test_what_was_left_running_is_named_with_the_way_on() -> None:
    story = Story(CHAIN).begin().start("db/primary")
    story.tell(
        ev.CancelRequested(mode="detach", reason="SIGTERM", signal=15),
        ev.RunDetached(reason="SIGTERM", running=(d("db/primary"),)),
    )
    lines = summary(story.state)
    assert lines[-5:] == [
        "left running: d-DBPRIMARY (db/primary)",
        "follow with: orchestrator wait d-DBPRIMARY",
        "",
        "outcome: running (1 running, 2 pending) in 0.0s; SIGTERM",
        "resume with: orchestrator resume run-1",
    ]
    assert not any("follow" in line for line in summary(story.state, follow=None))
    assert "running: d-DBPRIMARY (db/primary)" in summary(story.state, alive=True)


def test_a_rollback_that_goes_on_and_a_create_without_answer_are_left_running_too() -> None:
    story = Story(CHAIN).begin().start("db/primary")
    story.tell(ev.RollbackStarted(target="db/primary", deployment_id=d("db/primary"), rollback_deployment_id="d-BACK"))
    story.start("api/fleet")
    story.state.targets["api/fleet"].intent = story.records[4].event  # type: ignore[assignment]
    lines = summary(story.state)
    assert "left running: d-BACK (db/primary, a rollback)" in lines
    assert "may be running (CodeDeploy did not answer): api/fleet (orchestrator:run-1/api/fleet)" in lines


def test_a_big_success_is_folded() -> None:
    names = [f"a{i}/g" for i in range(500)]
    story = Story(dict.fromkeys(names, ())).begin()
    for name in names[:400]:
        story.start(name).succeed(name)
    for name in names[400:498]:
        story.tell(ev.TargetFinished(target=name, state=S.UNCHANGED))
    story.start(names[498]).fail(names[498])
    story.skip(names[499], by=names[498])
    lines = summary(story.state)
    assert len(lines) < 20
    assert "not listed: 400 succeeded, 98 unchanged" in lines
    assert any(line.startswith("a499/g  skipped") for line in lines)


def test_a_big_failure_is_told_at_length_only_for_the_first() -> None:
    names = [f"a{i}/g" for i in range(500)]
    story = Story(dict.fromkeys(names, ())).begin()
    for name in names[:100]:
        story.start(name).fail(name)
    for name in names[100:]:
        story.skip(name, by=names[0])
    lines = summary(story.state)
    assert "not listed: 400 skipped" in lines
    assert "and 80 more failed targets: orchestrator status run-1 --output json" in lines
    assert sum("CodeDeploy says" in line for line in lines) == 20


def test_the_table_keeps_within_80_columns_when_names_are_not_too_long() -> None:
    story = Story({"shop-frontend/production-fleet": ()}).begin().start("shop-frontend/production-fleet")
    story.tell(ev.TargetFinished(target="shop-frontend/production-fleet", state=S.ERRORED, reason="x" * 300))
    row = summary(story.state)[2]
    assert len(row) <= 90
    assert row.endswith("…")
    assert "x" * 300 in summary(story.state)[4]  # below the table, it is told in full


def test_a_reason_that_is_told_nowhere_else_is_not_cut() -> None:
    story = Story(CHAIN).begin().tell(ev.TargetFinished(target="db/primary", state=S.SKIPPED, reason="y" * 100))
    assert "y" * 100 in summary(story.state)[2]
