"""`push` as a process: what it prints is run with the stock CLI, and waited for."""

from __future__ import annotations

import json
import shlex

import pytest
from awscli import find_aws, open_client
from rig import Ended, MakeRig, Rig

APPSPEC = "version: 0.0\nos: linux\nfiles:\n  - source: /index.html\n    destination: /srv/www\n"


def push(rig: Rig, key: str, *more: str, source: str = "app") -> Ended:
    return rig.command(
        "push", "--application-name", "web", "--source", source, "--s3-location", f"s3://releases/{key}", *more
    )


def printed(ended: Ended) -> str:
    assert ended.code == 0, ended.err
    return ended.out.splitlines()[-1]


def uploads(rig: Rig) -> int:
    return rig.portal.call(rig.endpoint.calls.total, "PutObject")


@pytest.mark.parametrize("form", ["tgz", "zip"])
def test_the_printed_command_deploys_what_was_pushed(make_rig: MakeRig, form: str) -> None:
    rig = make_rig(["web/g"])
    rig.command.bundle()
    client = open_client("s3", rig.command.environment)
    client.put_bucket_versioning(Bucket="releases", VersioningConfiguration={"Status": "Enabled"})
    client.close()
    command = printed(push(rig, "${digest}.${format}", "--format", form, "--description", "build 7"))
    assert command.startswith("aws deploy create-deployment --application-name web --s3-location bucket=releases,key=")
    assert f".{form},bundleType={form},eTag=" in command
    assert ",version=" in command
    filled = command.split(" --deployment-group-name")[0].replace("aws ", f"{find_aws()} ", 1)
    waited = rig.command.shell(f"{filled} --deployment-group-name g | $ORCHESTRATOR wait")
    assert waited.code == 0, waited.err
    assert [each.status for each in rig.deployments()] == ["Succeeded"]
    registered = rig.command.shell(f"{find_aws()} deploy list-application-revisions --application-name web")
    assert json.loads(registered.out)["revisions"][0]["s3Location"]["bundleType"] == form

    again = push(rig, "${digest}.${format}", "--format", form)
    assert printed(again) == command
    assert "nothing was uploaded" in again.err
    assert uploads(rig) == 1


def test_a_fixed_key_is_uploaded_again_only_when_the_content_changes(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    rig.command.bundle()
    first = printed(push(rig, "web.zip"))
    assert printed(push(rig, "web.zip")) == first
    assert uploads(rig) == 1
    rig.command.write("<h1>new</h1>", "app/index.html")
    assert printed(push(rig, "web.zip")) != first
    assert uploads(rig) == 2


def test_a_key_with_odd_letters_survives_shell_and_cli(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    rig.command.bundle()
    key = 'grün, it\'s "new" $HOME/a=b.zip'
    filled = printed(push(rig, key)).split(" --deployment-group-name")[0]
    assert len(shlex.split(filled)) == 7
    ended = rig.command.shell(
        f"{filled.replace('aws ', find_aws() + ' ', 1)} --deployment-group-name g", PYTHONUTF8="1", LC_ALL="C.UTF-8"
    )
    assert ended.code == 0, ended.err
    assert rig.deployments()[0].revision["s3Location"]["key"] == key


@pytest.mark.parametrize(
    ("appspec", "key", "more", "says"),
    [
        (None, "web.tgz", [], "appspec.yml"),
        ("version: 0.0\nos: linux\nfiles: 7\n", "web.tgz", [], "app/appspec.yml:3:8"),
        (APPSPEC, "web.zip", ["--format", "tgz"], "zip"),
        (APPSPEC, "", [], "s3://bucket/key"),
        (APPSPEC, "web.tgz", ["--format", "rar"], "rar"),
    ],
)
def test_what_is_wrong_is_said_before_any_call(
    make_rig: MakeRig, appspec: str | None, key: str, more: list[str], says: str
) -> None:
    rig = make_rig(["web/g"])
    rig.command.write("<h1>hello</h1>", "app/index.html")
    if appspec is not None:
        rig.command.write(appspec, "app/appspec.yml")
    ended = push(rig, key, *more)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert rig.endpoint.calls.total() == 0


def test_a_source_that_is_not_there(make_rig: MakeRig) -> None:
    ended = push(make_rig(["web/g"]), "web.tgz", source="nowhere")
    assert ended.code == 2
    assert "nowhere" in ended.err


def test_a_bucket_or_an_application_that_is_not_there(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    rig.command.bundle()
    given = ["push", "--source", "app"]
    ended = rig.command(*given, "--application-name", "web", "--s3-location", "s3://nowhere/web.tgz")
    assert ended.code == 3
    assert "NoSuchBucket" in ended.err
    assert "hint: create the bucket" in ended.err
    ended = rig.command(*given, "--application-name", "wob", "--s3-location", "s3://releases/web.tgz")
    assert ended.code == 3
    assert "ApplicationDoesNotExist" in ended.err
    assert "wob" in ended.err
    assert "hint: " in ended.err
    assert ended.out == ""
