"""`orchestrator sandbox --data` as a process that is killed, and the commands on a running one."""

from __future__ import annotations

import json

from awscli import open_client
from forks import Process
from rig import Command, github, interrupt, wait_until

from orchestrator.sandbox.remote import read_exports


def test_a_sandbox_that_is_killed_goes_on_where_it_was(command: Command) -> None:
    """kill -9 in the middle of deployments: what was answered is there again, and time has gone on."""
    command.write(github(["web", "db"]))
    serve = ("sandbox", "release.yaml", "--data", "data", "--env-file", "sandbox.env", "--time-scale", "1")
    with command.start(*serve) as process:
        url = first_words(process)
        client = open_client("codedeploy", exports(command))
        wait_until(lambda: bool(client.list_applications()["applications"]), "the sandbox answers")
        group = {"applicationName": "web", "deploymentGroupName": "g"}
        revision = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/x", "commitId": "a" * 40}}
        deployment = client.create_deployment(**group, revision=revision, description="token")["deploymentId"]
        s3 = open_client("s3", exports(command))
        s3.create_bucket(Bucket="mine", CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
        s3.put_object(Bucket="mine", Key="k", Body=b"x" * 100_000)
        second = command(*serve[:-2], "--port", url.rsplit(":", 1)[1])
        assert second.code == 2
        assert "in use by another sandbox" in second.err
        process.kill()
        process.wait()
    with command.start(*serve) as process:
        first_words(process)
        client, s3 = open_client("codedeploy", exports(command)), open_client("s3", exports(command))
        info = client.get_deployment(deploymentId=deployment)["deploymentInfo"]
        assert (info["description"], info["applicationName"]) == ("token", "web")
        assert s3.get_object(Bucket="mine", Key="k")["Body"].read() == b"x" * 100_000
        status = command("sandbox", "status", "--env-file", "sandbox.env")
        assert (status.code, deployment in status.out) == (0, True), status.err
        instance = json.loads(command("sandbox", "status", "--env-file", "sandbox.env", "--output", "json").out)[
            "groups"
        ][0]["instances"][0]
        assert command("sandbox", "instance", instance, "stop", "--env-file", "sandbox.env").code == 0
        assert command("sandbox", "logs", instance, "--env-file", "sandbox.env").out.startswith(f"instance {instance}")
        unknown = command("sandbox", "logs", "i-none", "--env-file", "sandbox.env")
        assert (unknown.code, unknown.out) == (2, "")
        interrupt(process)
        process.communicate(timeout=30)
    assert command("sandbox", "status", "--env-file", "sandbox.env").code == 3
    assert command("sandbox", "status").code == 2


def first_words(process: Process) -> str:
    """Waits until it serves; its address."""
    assert process.stderr is not None
    return process.stderr.readline().split()[1].rstrip(";")


def exports(command: Command) -> dict[str, str]:
    return read_exports((command.folder / "sandbox.env").read_text())
