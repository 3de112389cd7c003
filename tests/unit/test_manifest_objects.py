"""How bundles are stored: settings of S3's, level over level, and what S3 would refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_manifest import app, mistakes_in

from orchestrator.core.model import BundleSource, ObjectSettings
from orchestrator.core.plan import target_from_dict, target_to_dict
from orchestrator.manifest import load

MANIFEST = """
version: 1
release: shop-1
environments: {test: {region: eu-west-1}}
defaults:
  bucket: releases
  expected_bucket_owner: "111122223333"
  sse_kms_key_id: alias/releases
  bucket_key_enabled: true
  acl: bucket-owner-full-control
  tagging: {release: "${release}", application: "${application}"}
applications:
  a:
    revision: {source: ./a, key: "${git.branch}/${git.sha}/${release}/${application}-${digest}.${format}"}
    deployment_groups:
      g: {storage_class: STANDARD_IA}
  b:
    revision: {source: ./b}
    tagging: {team: web}
    deployment_groups: [g]
"""


class Git:
    def sha(self) -> str:
        return "0" * 40

    def branch(self) -> str:
        return "main"


def sources(folder: Path) -> dict[str, BundleSource]:
    (folder / "release.yaml").write_text(MANIFEST)
    release = load(folder / "release.yaml", environment="test", env={}, git=lambda _: Git())
    found = {target.id: target.source for target in release.targets}
    assert all(
        target_from_dict(target_to_dict(target)) == target for target in release.targets
    )  # as a journal keeps it
    return {name: source for name, source in found.items() if isinstance(source, BundleSource)}


def test_settings_come_from_the_nearest_level_one_by_one(tmp_path: Path) -> None:
    found = sources(tmp_path)
    shared = ObjectSettings(
        expected_bucket_owner="111122223333",
        server_side_encryption="aws:kms",  # what a key of KMS means
        sse_kms_key_id="alias/releases",
        bucket_key_enabled=True,
        acl="bucket-owner-full-control",
        storage_class="STANDARD_IA",
        tagging=(("application", "a"), ("release", "shop-1")),
    )
    assert found["a/g"].stored == shared
    assert (found["b/g"].stored.storage_class, found["b/g"].stored.tagging) == (None, (("team", "web"),))


def test_keys_know_the_commit_the_branch_and_the_release(tmp_path: Path) -> None:
    assert sources(tmp_path)["a/g"].key == f"main/{'0' * 40}/shop-1/a-${{digest}}.${{format}}"


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("storage_class: GLACIER", "GLACIER has to be restored before an instance can download it"),
        ("storage_class: FAST", "FAST is no storage class for bundles"),
        ("acl: mine", "'mine' is no canned ACL"),
        ("expected_bucket_owner: shop", "'shop' is not an account"),
        ("expected_bucket_owner: 111122223333", "must be text"),
        ("server_side_encryption: kms", "did you mean 'aws:kms'?"),
        ('tagging: {"aws:x": y}', "begins with aws:"),
        ("tagging: {" + ", ".join(f"k{number}: v" for number in range(11)) + "}", "11 tags, and S3 takes 10"),
        ("server_side_encryption: AES256\n    sse_kms_key_id: k", "6:21: applications.a.sse_kms_key_id: a key of KMS"),
        ("server_side_encryption: AES256\n    bucket_key_enabled: true", "bucket keys mean nothing with AES256"),
    ],
)
def test_what_s3_would_refuse_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    text = app(setting).replace("{s3: {bucket: acme-bundles, key: a.zip}}", "{source: ./x}")
    (mistake,) = mistakes_in(f"{text}    bucket: releases\n")
    assert says in mistake
