"""Blue/green deployments: gates and dependents at Ready, and the word that shifts the traffic."""

from __future__ import annotations

from rig import MakeRig, Rig, wait_until

from orchestrator.sandbox.fleet import BlueGreenSpec

READY = BlueGreenSpec(ready_wait=60, termination_wait=5)

MANIFEST = """
version: 1
release: shop
gates:
  smoke: {{type: command, command: [./smoke.sh], interval: 500ms, timeout: 60s}}
applications:
  web:
    revision: {{github: {{repository: acme/web, commit: {commit}}}}}
    deployment_groups: {{g: {{wait_for: {wait_for}, on_ready: {on_ready}, gates: {{after: [smoke]}}}}}}
  api:
    revision: {{github: {{repository: acme/api, commit: {commit}}}}}
    needs: [web]
    deployment_groups: [g]
"""


def prepared(make_rig: MakeRig, *, wait_for: str = "ready", on_ready: str = "continue", smoke: str = "exit 0") -> Rig:
    rig = make_rig(["web/g", "api/g"], time_scale=120, blue_green=READY)
    rig.command.write(MANIFEST.format(commit="a" * 40, wait_for=wait_for, on_ready=on_ready))
    rig.command.write(f"#!/bin/sh\necho $ORCHESTRATOR_PHASE >>phases\n{smoke}\n", "smoke.sh")
    (rig.command.folder / "smoke.sh").chmod(0o755)
    return rig


def status(rig: Rig, application: str) -> str:
    found = rig.deployments(application)
    return found[-1].status if found else "none"


def test_gates_are_asked_at_ready_and_the_traffic_is_shifted_after_them(make_rig: MakeRig) -> None:
    rig = prepared(make_rig, smoke="test -e ok")
    run = rig.command
    run.write(run.folder.joinpath("release.yaml").read_text().replace("timeout: 60s", "timeout: 60s, failures: 1000"))
    with run.start("apply", "release.yaml", "--result", "result.json", "--select", "web") as process:
        wait_until(lambda: status(rig, "web") == "Ready" or process.poll() is not None, "ready")
        wait_until(lambda: (run.folder / "phases").exists() or process.poll() is not None, "the gate is asked")
        assert rig.calls("ContinueDeployment") == 0
        (run.folder / "ok").touch()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert rig.calls("ContinueDeployment", "ok") == 1
    assert set((run.folder / "phases").read_text().split()) == {"ready"}
    assert "gate smoke passed" in err
    assert "ContinueDeployment: its traffic is shifted" in err


def test_a_gate_that_fails_at_ready_stops_it_before_its_traffic(make_rig: MakeRig) -> None:
    rig = prepared(make_rig, smoke="echo broken; exit 1")
    ended = rig.command("apply", "release.yaml", "--result", "result.json")
    assert ended.code == 3, ended.out + ended.err
    assert rig.command.states() == {"web/g": "failed", "api/g": "skipped"}
    assert "gate smoke: bad: exited with 1: broken" in ended.out
    assert status(rig, "web") == "Stopped"
    assert rig.calls("ContinueDeployment") == 0


def test_dependents_go_on_when_the_traffic_has_shifted(make_rig: MakeRig) -> None:
    rig = prepared(make_rig, wait_for="traffic_shifted")
    manifest = rig.command.folder / "release.yaml"
    manifest.write_text(
        manifest.read_text().replace("    needs: [web]\n", "    needs: [web]\n    on_ready: continue\n")
    )
    ended = rig.command("apply", "release.yaml", "--result", "result.json")
    assert ended.code == 0, ended.out + ended.err
    web, api = rig.deployments("web")[0], rig.deployments("api")[0]
    assert api.created < web.ended
    assert (rig.command.folder / "phases").read_text().split() == ["traffic_shifted"]


def test_what_waits_in_ready_for_somebody_says_so(make_rig: MakeRig) -> None:
    rig = prepared(make_rig, wait_for="succeeded", on_ready="wait")
    run = rig.command
    with run.start("apply", "release.yaml", "--select", "web", "--on-cancel", "stop") as process:
        wait_until(lambda: status(rig, "web") == "Ready" or process.poll() is not None, "ready")
        wait_until(lambda: "let its traffic go on" in run("status").out, "said by status")
        process.terminate()
        process.communicate(timeout=60)
    assert status(rig, "web") == "Stopped"
