"""Gates, hooks, bakes and blue/green settings: from the manifest to what a target is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.controls import Controls, GateSpec, HookSpec, controls_from_dict, controls_to_dict
from orchestrator.core.errors import InvalidInputError
from orchestrator.core.plan import target_from_dict, target_to_dict
from orchestrator.manifest import Release, load

MANIFEST = """
version: 1
release: shop
vars: {host: prom}
environments: {staging: {region: eu-west-1}}
policy: {gates: {before: [cab], after: [errors]}, hooks: {before: [{command: [./say.sh, "${environment}"]}]}}
gates:
  errors: {type: prometheus, url: "http://${vars.host}:9090", query: "up < 1", successes: 4, timeout: 10m}
  of_group: {type: prometheus, url: "http://prom:9090", query: 'up{group="${application}/${deployment_group}"} < 1'}
  smoke: {type: command, command: [make, smoke]}
  cab: {type: approval, timeout: 4h, message: "is it approved?"}
  health: {type: http, url: "https://shop.example/", status: [200, 204], max_latency: 500ms, limit: 5s}
defaults:
  gates: {after: [errors]}
  hooks: {before: [{command: [first]}]}
applications:
  web:
    revision: {github: {repository: acme/web, commit: 8d3f0b6a}}
    gates: {after: [of_group], before: [health]}
    hooks: {before: [{command: [second, "${deployment_group}"], timeout: 20s}], on_failure: [{command: [page]}]}
    deployment_groups:
      canary: {gates: {before: [cab], after: [errors, smoke]}, bake: 5m, wait_for: ready, on_ready: continue}
      fleet:
"""


def loaded(folder: Path, text: str = MANIFEST) -> Release:
    (folder / "release.yaml").write_text(text)
    return load(folder / "release.yaml", environment="staging", env={})


def controls(folder: Path) -> dict[str, Controls]:
    return {target.id: target.controls for target in loaded(folder).targets}


def test_gates_and_hooks_of_all_levels_add_up_each_once(tmp_path: Path) -> None:
    found = controls(tmp_path)
    canary, fleet = found["web/canary"], found["web/fleet"]
    assert [gate.name for gate in canary.gates_before] == ["health", "cab"]
    assert [gate.name for gate in canary.gates_after] == ["errors", "of_group", "smoke"]
    assert [gate.name for gate in fleet.gates_after] == ["errors", "of_group"]
    assert canary.hooks_before == (
        HookSpec(command=("first",)),
        HookSpec(command=("second", "canary"), timeout=20.0),
    )
    assert fleet.hooks_on_failure == (HookSpec(command=("page",)),)
    assert (canary.bake, canary.wait_for, canary.on_ready) == (300.0, "ready", "continue")
    assert (fleet.bake, fleet.wait_for, fleet.on_ready) == (0.0, "succeeded", "wait")


def test_a_gate_is_about_the_target_that_asks(tmp_path: Path) -> None:
    found = controls(tmp_path)
    queries = {name: each.gates_after[1].settings["query"] for name, each in found.items()}
    assert queries == {
        "web/canary": 'up{group="web/canary"} < 1',
        "web/fleet": 'up{group="web/fleet"} < 1',
    }


def test_what_a_gate_is_told(tmp_path: Path) -> None:
    gates = {gate.name: gate for each in controls(tmp_path).values() for gate in each.gates}
    assert gates["errors"] == GateSpec(
        name="errors",
        kind="prometheus",
        settings={"url": "http://prom:9090", "query": "up < 1"},
        successes=4,
        timeout=600.0,
    )
    assert gates["cab"] == GateSpec(
        name="cab", kind="approval", settings={"message": "is it approved?"}, timeout=14400.0
    )
    assert gates["smoke"].limit == 600.0
    assert gates["health"].limit == 5.0
    assert gates["health"].settings == {
        "url": "https://shop.example/",
        "method": "GET",
        "status": [200, 204],
        "max_latency": 0.5,
    }


def test_the_runs_own(tmp_path: Path) -> None:
    found = loaded(tmp_path).controls
    assert [gate.name for gate in found.gates_before] == ["cab"]
    assert [gate.name for gate in found.gates_after] == ["errors"]
    assert found.hooks_before == (HookSpec(command=("./say.sh", "staging")),)


def test_targets_and_runs_stand_whole_in_a_journal(tmp_path: Path) -> None:
    release = loaded(tmp_path)
    for target in release.targets:
        assert target_from_dict(target_to_dict(target)) == target
    assert controls_from_dict(controls_to_dict(release.controls)) == release.controls
    assert controls_to_dict(Controls()) is None
    assert controls_from_dict(None) == Controls()


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("{type: http, url: 'https://me:pw@shop.example/'}", "gates.g.url: holds credentials"),
        ("{type: prometheus, url: 'http://me@prom', query: up < 1}", "gates.g.url: holds credentials"),
        ("{type: http, url: 'https:///health'}", "gates.g.url: names no host"),
        ("{type: prometheus, url: 'http://prom', query: up < bool 1}", "a comparison with `bool` always has a result"),
        ("{type: prometheus, url: 'http://prom', query: up ==  bool on(job) x}", "always has a result"),
    ],
)
def test_what_could_never_fail_or_would_tell_a_secret_is_a_mistake(tmp_path: Path, gate: str, message: str) -> None:
    text = f"gates: {{g: {gate}}}\n"
    rest = "applications: {a: {revision: {github: {repository: a/b, commit: c}}, deployment_groups: [x]}}\n"
    with pytest.raises(InvalidInputError) as raised:
        load(_written(tmp_path, text + rest), environment=None, env={}, default_region="eu-west-1")
    assert message in str(raised.value)
    assert "pw" not in str(raised.value).replace("me:pw@", "")


def test_a_gate_of_the_run_that_nobody_has_declared(tmp_path: Path) -> None:
    text = MANIFEST.replace("gates: {before: [cab], after: [errors]}, hooks", "gates: {before: [cob]}, hooks")
    with pytest.raises(InvalidInputError) as raised:
        loaded(tmp_path, text)
    assert "policy.gates.before[0]: there is no gate 'cob' (did you mean 'cab'?)" in str(raised.value)


def test_a_gate_of_the_run_knows_no_target(tmp_path: Path) -> None:
    text = MANIFEST.replace("after: [errors]}, hooks", "after: [of_group]}, hooks")
    with pytest.raises(InvalidInputError) as raised:
        loaded(tmp_path, text)
    assert "${application}" in str(raised.value)


def _written(folder: Path, text: str) -> Any:
    path = folder / "release.yaml"
    path.write_text(text)
    return path
