"""ECS and Lambda, by the content of an AppSpec."""

from __future__ import annotations

import hashlib

from rig import REGION, MakeRig, Rig

from orchestrator.sandbox.fleet import FleetSpec, GroupSpec
from orchestrator.sandbox.options import Failure, Faults

ECS = """version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: "arn:aws:ecs:eu-west-1:000000000000:task-definition/cart:${vars.task}"
        LoadBalancerInfo: {ContainerName: cart, ContainerPort: 8080}
"""
LAMBDA = """version: 0.0
Resources:
  - mailer:
      Type: AWS::Lambda::Function
      Properties: {name: mailer, alias: live, currentversion: 1, targetversion: "${vars.version}"}
"""
MANIFEST = """
version: 1
release: cart-1
vars: {task: 7, version: 2}
policy: {rollback: release}
applications:
  cart: {revision: {appspec: cart.yaml}, deployment_groups: [service]}
  mailer: {revision: {appspec: mailer.yaml}, needs: [cart], deployment_groups: [live]}
"""


def platforms(make_rig: MakeRig) -> Rig:
    def group(name: str, **more: object) -> GroupSpec:
        application, deployment_group = name.split("/")
        return GroupSpec(application=application, deployment_group=deployment_group, region=REGION, **more)  # type: ignore[arg-type]

    groups = (
        group("cart/service", platform="ECS", ecs_service="shop/cart"),
        group("mailer/live", platform="Lambda"),
        group("web/fleet"),
    )
    rig = make_rig([], fleet=FleetSpec(groups=groups), time_scale=2000.0)
    run = rig.command
    run.write(MANIFEST)
    run.write(ECS, "cart.yaml")
    run.write(LAMBDA, "mailer.yaml")
    return rig


def test_ecs_and_lambda_by_the_content_of_their_appspecs(make_rig: MakeRig) -> None:
    rig = platforms(make_rig)
    run = rig.command
    first = run("apply", "release.yaml", "--result", "result.json")
    assert first.code == 0, first.out + first.err
    assert run.states() == {"cart/service": "succeeded", "mailer/live": "succeeded"}
    sent = rig.deployments()[0].revision["appSpecContent"]
    assert sent["content"] == ECS.replace("${vars.task}", "7")
    assert sent["sha256"] == hashlib.sha256(sent["content"].encode()).hexdigest()

    second = run("apply", "release.yaml", "--result", "result.json")
    assert second.code == 0, second.err
    assert set(run.states().values()) == {"unchanged"}

    changed = run("plan", "release.yaml", "--var", "version=3")
    assert "1 of 2 targets to deploy" in changed.out


def test_what_stood_there_goes_back_with_its_content(make_rig: MakeRig) -> None:
    rig = platforms(make_rig)
    run = rig.command
    assert run("apply", "release.yaml").code == 0
    run.write(LAMBDA.replace("currentversion: 1", "currentversion: 2"), "mailer.yaml")
    rig.set_faults(Faults(failures=(Failure(target="mailer/live", event="AllowTraffic", deployments=2),)))
    ended = run("apply", "release.yaml", "--var", "task=8", "--result", "result.json")
    assert ended.code == 4, ended.out + ended.err
    tasks = [d.revision["appSpecContent"]["content"] for d in rig.deployments() if d.application == "cart"]
    assert ["cart:7" in tasks[0], "cart:8" in tasks[1], "cart:7" in tasks[2]] == [True, True, True]
    assert run.states()["cart/service"] == "rolled_back"


def test_a_revision_of_the_wrong_kind_is_a_mistake_at_plan(make_rig: MakeRig) -> None:
    rig = platforms(make_rig)
    run = rig.command
    run.write(
        MANIFEST.replace("appspec: cart.yaml", "appspec: mailer.yaml")
        + "  web: {revision: {appspec: cart.yaml}, deployment_groups: [fleet]}\n"
        + "defaults: {ignore_application_stop_failures: true}\n"
    )
    for name in ("plan", "apply"):
        ended = run(name, "release.yaml")
        assert ended.code == 2
        assert "cart/service: revision: an AppSpec for Lambda, but cart is an application of ECS" in ended.err
        assert "web/fleet: revision: an AppSpec for ECS, but web is an application of Server" in ended.err
        assert "mailer/live: ignore_application_stop_failures: is for servers only" in ended.err
        assert "release.yaml:" in ended.err
    assert not rig.deployments()


def test_a_rehearsal_knows_the_platforms(make_rig: MakeRig) -> None:
    run = platforms(make_rig).command
    ended = run("apply", "release.yaml", "--sandbox", "--time-scale", "5000", "--result", "result.json")
    assert ended.code == 0, ended.out + ended.err
    assert set(run.states().values()) == {"succeeded"}
