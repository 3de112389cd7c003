"""`push` as a process: what it prints is run with the stock CLI, and waited for."""

from __future__ import annotations

import json
import os
import re
import shlex

import pytest
from awscli import open_client
from rig import REGION, Command, Ended, MakeRig, Rig, interrupt, wait_until

from orchestrator.sandbox.options import Faults

APPSPEC = "version: 0.0\nos: linux\nfiles:\n  - source: /index.html\n    destination: /srv/www\n"


def push(rig: Rig, key: str, *more: str, source: str = "app", bucket: str = "releases") -> Ended:
    return rig.command(
        "push", "--application-name", "web", "--source", source, "--s3-location", f"s3://{bucket}/{key}", *more
    )


def version_bucket(rig: Rig) -> None:
    client = open_client("s3", rig.command.environment)
    client.put_bucket_versioning(Bucket="releases", VersioningConfiguration={"Status": "Enabled"})
    client.close()


def printed(ended: Ended) -> str:
    assert ended.code == 0, ended.err
    return ended.out.splitlines()[-1]


def uploads(rig: Rig) -> int:
    return rig.portal.call(rig.endpoint.calls.total, "PutObject")


@pytest.mark.parametrize("form", ["tgz", "zip"])
def test_the_printed_command_deploys_what_was_pushed(make_rig: MakeRig, form: str) -> None:
    rig = make_rig(["web/g"])
    rig.command.bundle()
    version_bucket(rig)
    command = printed(push(rig, "${digest}.${format}", "--format", form, "--description", "build 7"))
    assert command.startswith("aws deploy create-deployment --application-name web --s3-location bucket=releases,key=")
    assert f".{form},bundleType={form},eTag=" in command
    assert ",version=" in command
    filled = command.split(" --deployment-group-name")[0].replace("aws ", "$AWS ", 1)
    waited = rig.command.shell(f"{filled} --deployment-group-name g | $ORCHESTRATOR wait")
    assert waited.code == 0, waited.err
    assert [each.status for each in rig.deployments()] == ["Succeeded"]
    registered = rig.command.shell("$AWS deploy list-application-revisions --application-name web")
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
        f"{filled.replace('aws ', '$AWS ', 1)} --deployment-group-name g", PYTHONUTF8="1", LC_ALL="C.UTF-8"
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


def pushed_by_aws(rig: Rig, key: str, *more: str, bucket: str = "releases") -> str:
    given = ["--application-name", "web", "--source", "app", "--s3-location", f"s3://{bucket}/{key}", *more]
    ended = rig.command.shell(f"$AWS deploy push {shlex.join(given)}")
    assert ended.code == 0, ended.err
    return ended.out


@pytest.mark.parametrize("versioned", [True, False])
def test_the_output_is_that_of_the_stock_command(make_rig: MakeRig, versioned: bool) -> None:
    """Side by side: but for eTag and version, which are another object's, the same letters."""
    rig = make_rig(["web/g"])
    rig.command.bundle()
    bucket = "releases" if versioned else "plain"
    client = open_client("s3", rig.command.environment)
    client.create_bucket(Bucket="plain", CreateBucketConfiguration={"LocationConstraint": REGION})
    client.close()
    more = ["--no-ignore-hidden-files", "--description", "build 7"]
    theirs = pushed_by_aws(rig, "stock.zip", *more, bucket=bucket)
    ours = push(rig, "ours.zip", *more, bucket=bucket)
    assert ours.code == 0, ours.err
    assert ("version=" in ours.out) is versioned

    def neutral(out: str) -> str:
        return (
            re.sub(r"(eTag|version)=[\w.-]+", r"\1=…", out).replace("ours.zip", "x.zip").replace("stock.zip", "x.zip")
        )

    assert neutral(ours.out) == neutral(theirs)
    listed = rig.command.shell("$AWS deploy list-application-revisions --application-name web")
    found = {each["s3Location"]["key"]: each["s3Location"] for each in json.loads(listed.out)["revisions"]}
    assert {**found["ours.zip"], "key": "", "eTag": "", "version": ""} == {
        **found["stock.zip"],
        "key": "",
        "eTag": "",
        "version": "",
    }
    assert set(found["ours.zip"]) == set(found["stock.zip"])


def test_a_key_that_does_not_say_gives_a_zip_as_the_stock_command_does(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    rig.command.bundle()
    assert "key=web,bundleType=zip," in pushed_by_aws(rig, "web")
    assert "key=web,bundleType=zip," in push(rig, "web").out


def test_keys_are_templates(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    rig.command.bundle()
    made = rig.command.shell(
        "git init -q -b main/x app && cd app && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x "
        "&& git rev-parse HEAD"
    )
    sha = made.out.strip()
    key = "${application}/${git.branch}/${git.sha}/${env.NOT_SET:-build}.${format}"
    assert f"key=web/main/x/{sha}/build.tgz,bundleType=tgz," in push(rig, key).out
    for wrong, says in (("${env.NOT_SET}", "NOT_SET is not set"), ("${sha}", "${sha} is unknown")):
        ended = push(rig, wrong)
        assert (ended.code, ended.out) == (2, "")
        assert says in ended.err


def test_a_list_shows_what_goes_in_and_needs_no_aws(command: Command) -> None:
    command.bundle(**{"large.bin": "x" * 5000, ".env": "secret"})
    ended = command("push", "--list", "--source", "app", "--ignore-hidden-files")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0].split(maxsplit=1)[1].endswith("appspec.yml")
    assert "3 entries, 3 files" in ended.out
    assert lines.index("largest first:") + 1 == next(n for n, line in enumerate(lines) if "large.bin" in line and n > 3)
    assert lines[-2:] == ["left out:", "           .env"]
    assert command("push", "--source", "app").code == 2


def test_a_list_is_shown_also_when_the_appspec_is_wrong(command: Command) -> None:
    command.write("hello", "app/index.html")
    ended = command("push", "--list", "--source", "app")
    assert ended.code == 2
    assert "index.html" in ended.out
    assert "appspec.yml" in ended.err


def test_how_it_is_stored_is_what_was_asked_for(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    rig.command.bundle()
    more = ["--server-side-encryption", "AES256", "--storage-class", "STANDARD_IA", "--tag", "team=shop & co"]
    ended = push(rig, "web.zip", *more, "--acl", "bucket-owner-full-control")
    assert ended.code == 0, ended.err
    client = open_client("s3", rig.command.environment)
    found = client.head_object(Bucket="releases", Key="web.zip")
    tags = client.get_object_tagging(Bucket="releases", Key="web.zip")["TagSet"]
    client.close()
    assert (found["ServerSideEncryption"], found["StorageClass"]) == ("AES256", "STANDARD_IA")
    assert tags == [{"Key": "team", "Value": "shop & co"}]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--storage-class", "GLACIER"], "has to be restored"),
        (["--expected-bucket-owner", "me"], "not an account"),
        (["--acl", "mine"], "no canned ACL"),
        (["--server-side-encryption", "AES256", "--sse-kms-key-id", "k"], "means nothing with AES256"),
        (["--tag", "aws:x=y"], "begins with aws:"),
    ],
)
def test_what_s3_would_refuse_is_said_before_any_call(make_rig: MakeRig, more: list[str], says: str) -> None:
    rig = make_rig(["web/g"])
    rig.command.bundle()
    ended = push(rig, "web.zip", *more)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert rig.endpoint.calls.total() == 0


def test_a_bucket_of_another_account_is_refused_before_anything_is_packed(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    rig.command.bundle()
    ended = push(rig, "web.zip", "--expected-bucket-owner", "999988887777")
    assert ended.code == 3
    assert "doesn't belong to the account 999988887777" in ended.err
    assert uploads(rig) == 0


def test_an_interrupt_in_the_middle_leaves_nothing_at_s3(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"])
    rig.command.bundle()
    (rig.command.folder / "app" / "large.bin").write_bytes(os.urandom(20_000_000))
    rig.set_faults(Faults(error_rate=1.0, operations=("UploadPart",), services=frozenset({"s3"})))
    with rig.command.start(
        "push", "--application-name", "web", "--source", "app", "--s3-location", "s3://releases/web.zip"
    ) as process:
        begun = ("CreateMultipartUpload", "UploadPart")
        wait_until(lambda: all(rig.portal.call(rig.endpoint.calls.total, each) for each in begun), "the upload began")
        interrupt(process)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    client = open_client("s3", rig.command.environment)
    left = client.list_multipart_uploads(Bucket="releases").get("Uploads", [])
    objects = client.list_objects_v2(Bucket="releases").get("Contents", [])
    client.close()
    assert (left, objects) == ([], [])
