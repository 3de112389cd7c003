"""What an environment has proved, as its runs tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from world import target

from orchestrator.core import events as ev
from orchestrator.core.model import GitHubRevision, Outcome, Revision, S3Revision, TargetState, revision_to_api
from orchestrator.core.plan import Step, step_to_dict
from orchestrator.core.promotion import Content, Proof, Proofs, is_in, proof_for
from orchestrator.core.state import fold

S = TargetState
HOUR = 3600.0


def commit(letter: str) -> GitHubRevision:
    return GitHubRevision(repository="acme/web", commit_id=letter * 7)


class Runs:
    """The runs of one environment, told from the oldest to the newest."""

    def __init__(self) -> None:
        self.made: list[tuple[str, list[ev.Record]]] = []

    def run(
        self, at: float, ends: Mapping[str, TargetState], revision: Revision, *, finished: bool = True, digest: str = ""
    ) -> None:
        """One run that deployed (or found) this revision; `at`: hours."""
        name = f"r{len(self.made) + 1}"
        seconds = at * HOUR
        steps = [
            step_to_dict(
                Step(
                    target=target(each),
                    action="unchanged" if end is S.UNCHANGED else "deploy",
                    current=revision if end is S.UNCHANGED else None,
                    revision=revision,
                    digest=digest or None,
                )
            )
            for each, end in ends.items()
        ]
        events: list[ev.Event] = [_started(steps)]
        for each, end in ends.items():
            events += _course(each, end, revision)
        if finished:
            events.append(ev.RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0))
        records = [ev.Record(number, seconds, name, event) for number, event in enumerate(events, start=1)]
        self.made.append((name, records))

    def proofs(self) -> Proofs:
        proofs = Proofs()
        for name, records in reversed(self.made):
            started = records[0].event
            assert isinstance(started, ev.RunStarted)
            proofs.feed(name, fold(records), started.targets)
        return proofs


def _started(steps: Sequence[Mapping[str, Any]]) -> ev.RunStarted:
    return ev.RunStarted(
        release="shop",
        environment="staging",
        manifest="r.yaml",
        manifest_digest="",
        targets=tuple(steps),
        policy={},
        concurrency={},
        version="0",
        host="h",
        pid=1,
    )


def _course(name: str, end: TargetState, revision: Revision) -> list[ev.Event]:
    if end is S.PENDING:
        return []
    events: list[ev.Event] = []
    if end not in {S.UNCHANGED, S.SKIPPED}:
        events = [
            ev.DeploymentIntended(
                target=name,
                token="t",
                attempt=1,
                application_name="a",
                deployment_group_name="g",
                region="eu-west-1",
                role_arn=None,
                revision=revision_to_api(revision),
            ),
            ev.DeploymentStarted(target=name, token="t", deployment_id="d-1"),
        ]
        if end is S.ROLLED_BACK:
            back = ev.RollbackStarted(target=name, deployment_id="d-1", rollback_deployment_id="d-2")
            events += [ev.TargetFinished(target=name, state=S.SUCCEEDED), back]
    return [*events, ev.TargetFinished(target=name, state=end, reason="because")]


def test_the_newest_run_decides_and_the_first_success_counts() -> None:
    runs = Runs()
    runs.run(1, {"a/g": S.SUCCEEDED}, commit("x"))
    runs.run(2, {"a/g": S.SUCCEEDED}, commit("y"))
    runs.run(3, {"a/g": S.UNCHANGED}, commit("y"))
    runs.run(4, {"b/g": S.SUCCEEDED}, commit("z"))
    found = runs.proofs().found["a/g"]
    assert isinstance(found, Proof)
    assert (found.content.revision, found.run, found.since) == (commit("y"), "r3", 2 * HOUR)
    assert found.problem(HOUR, 3 * HOUR) is None
    assert "has to soak for 2h, until 1970-01-01 04:00 UTC" in (found.problem(2 * HOUR, 3 * HOUR) or "")


def test_what_went_wrong_last_is_no_proof_whatever_was_before() -> None:
    for end in (S.FAILED, S.STOPPED, S.TIMED_OUT, S.ROLLED_BACK, S.ERRORED):
        runs = Runs()
        runs.run(1, {"a/g": S.SUCCEEDED}, commit("x"))
        runs.run(2, {"a/g": end}, commit("y"))
        assert runs.proofs().found == {"a/g": f"{end} in run r2"}


def test_a_run_that_left_the_target_alone_says_nothing() -> None:
    runs = Runs()
    runs.run(1, {"a/g": S.SUCCEEDED}, commit("x"))
    runs.run(2, {"a/g": S.SKIPPED}, commit("y"))
    runs.run(3, {"a/g": S.PENDING}, commit("y"), finished=False)
    found = runs.proofs().found["a/g"]
    assert isinstance(found, Proof)
    assert found.run == "r1"


def test_an_unfinished_run_proves_nothing() -> None:
    runs = Runs()
    runs.run(1, {"a/g": S.SUCCEEDED}, commit("x"), finished=False)
    assert runs.proofs().found == {"a/g": "run r1 has not finished"}


def test_a_target_that_is_not_there_goes_by_all_groups_of_its_application() -> None:
    runs = Runs()
    runs.run(1, {"a/one": S.SUCCEEDED, "a/two": S.SUCCEEDED, "b/g": S.SUCCEEDED}, commit("x"))
    proofs = runs.proofs()
    found = proof_for("a/three", "a", proofs.found)
    assert isinstance(found, Proof)
    assert proof_for("c/g", "c", proofs.found) == "no run there was about it"
    runs.run(2, {"a/two": S.SUCCEEDED}, commit("y"))
    assert proof_for("a/three", "a", runs.proofs().found) == "the groups of a don't have the same there"
    runs.run(3, {"a/two": S.FAILED}, commit("y"))
    assert proof_for("a/three", "a", runs.proofs().found) == "a/two: failed in run r3"


def test_bundles_are_the_same_by_their_digest_and_all_else_by_its_revision() -> None:
    here = S3Revision(bucket="here", key="bundles/a/1234.tgz", bundle_type="tgz", version="1", etag="e")
    there = S3Revision(bucket="there", key="other/1234.tgz", bundle_type="tgz", version="9", etag="f")
    one, other = Content(revision=here, digest="sha256:1234"), Content(revision=there, digest="sha256:1234")
    assert one.is_same(other)
    assert not one.is_same(Content(revision=here, digest="sha256:5678"))
    assert not Content(revision=here).is_same(Content(revision=there))
    assert is_in(one, there)
    assert not is_in(one, S3Revision(bucket="there", key="other/5678.tgz", bundle_type="tgz"))
    assert not is_in(one, None)
    assert is_in(Content(revision=commit("x")), commit("x"))


def test_looking_stops_where_older_runs_change_nothing() -> None:
    runs = Runs()
    runs.run(2, {"a/g": S.UNCHANGED}, commit("x"))
    proofs = runs.proofs()
    assert proofs.is_settled(["a/g"], HOUR, 4 * HOUR), "it has soaked already"
    assert not proofs.is_settled(["a/g"], 3 * HOUR, 4 * HOUR), "an older run may have been the first"
    assert not proofs.is_settled(["a/g", "b/g"], 0.0, 4 * HOUR)
