"""Retries, priority and the longest way, with the real command."""

from __future__ import annotations

from rig import MakeRig, github

from orchestrator.sandbox.options import Failure, Faults, Lost, Slow


def test_lost_agents_are_tried_again_and_scripts_are_not(make_rig: MakeRig) -> None:
    faults = Faults(
        lost=(Lost(target="agent/g", deployments=1),), failures=(Failure(target="script/g", event="AfterInstall"),)
    )
    rig = make_rig(["agent/g", "script/g"], faults=faults, time_scale=2000.0)
    run = rig.command
    more = {"defaults": "{retry: {times: 2, wait: 100ms}}", "policy": "{on_failure: continue}"}
    run.write(github(["agent", "script"], **more))
    ended = run("apply", "release.yaml", "--result", "result.json")
    assert ended.code == 3, ended.out + ended.err
    assert run.states() == {"agent/g": "succeeded", "script/g": "failed"}
    first, second = rig.deployments("agent")
    assert [each["attempts"] for each in run.result()["targets"]] == [[first.id], []]
    assert run.result()["targets"][0]["deployment_id"] == second.id
    assert len(rig.deployments("script")) == 1
    assert f"{first.id} failed; attempt 2 in" in ended.err
    assert first.description != second.description, "each attempt has a token of its own"


def test_a_free_place_goes_by_priority_and_then_by_what_took_longest(make_rig: MakeRig) -> None:
    rig = make_rig(["a/g", "b/g", "c/g"], faults=Faults(slow=(Slow(target="b/g", factor=4.0),)), time_scale=40.0)
    run = rig.command
    text = github(["a", "b", "c"], concurrency="{deployments: 1}").replace("  c:", "  c:\n    priority: 10")
    run.write(text)
    for order in ("cab", "cba"):  # by the manifest the first time, by the first run's durations the second time
        before = len(rig.deployments())
        assert run("apply", "release.yaml", "--force").code == 0
        assert [each.application for each in rig.deployments()[before:]] == list(order)
