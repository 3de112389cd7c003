# ruff: noqa: E501 -- a table of whole manifests and whole error lines: broken up, they could not be read
"""Manifests with keys that are missing, unknown or in the wrong place, and revisions that can't be: each mistake with its position."""

from pathlib import Path

import pytest
from small_manifest import app, mistakes_in, top

BROKEN = [
    pytest.param(
        "release: x\n",
        [
            "1:1: 'applications' is missing",
        ],
        id="no applications",
    ),
    pytest.param(
        "applications:\n",
        [
            "1:14: applications: has no value (give it one, or take it away)",
        ],
        id="applications null",
    ),
    pytest.param(
        "applications: {}\n",
        [
            "1:15: applications: is empty",
        ],
        id="applications empty",
    ),
    pytest.param(
        "applications: [a]\n",
        [
            "1:15: applications: must be a mapping (key: value), not a list",
        ],
        id="applications list",
    ),
    pytest.param(
        top("polcy: {}"),
        [
            "1:1: polcy: unknown key 'polcy' (did you mean 'policy'?)",
        ],
        id="unknown top",
    ),
    pytest.param(
        app("tiemout: 5m"),
        [
            "5:5: applications.a.tiemout: unknown key 'tiemout' (did you mean 'timeout'?)",
        ],
        id="unknown setting",
    ),
    pytest.param(
        top("timeout: 5m"),
        [
            "1:1: timeout: unknown key 'timeout' (it is a setting of applications, groups and defaults)",
        ],
        id="misplaced",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {github: {repository: o/n, commit: abc}}\n    deployment_groups:\n      x: {revision: {source: a}}\n",
        [
            "5:11: applications.a.deployment_groups.x.revision: unknown key 'revision' (it belongs to an application)",
        ],
        id="unknown in group",
    ),
    pytest.param(
        top("version: 2"),
        [
            "1:10: version: must be 1, not '2'",
        ],
        id="version 2",
    ),
    pytest.param(
        top('version: "1"'),
        [
            "1:10: version: must be 1, not '1' (write it without quotes)",
        ],
        id="version text",
    ),
    pytest.param(
        app("timeout:"),
        [
            "5:13: applications.a.timeout: has no value (give it one, or take it away)",
        ],
        id="null setting",
    ),
    pytest.param(
        app("needs: [~]"),
        [
            "5:13: applications.a.needs[0]: has no value (give it one, or take it away)",
        ],
        id="null item",
    ),
    pytest.param(
        "applications:\n  a:\n",
        [
            "2:5: applications.a: has no value (give it one, or take it away)",
        ],
        id="app null",
    ),
    pytest.param(
        "applications:\n  a: x\n",
        [
            "2:6: applications.a: must be a mapping (key: value), not text",
        ],
        id="app text",
    ),
    pytest.param(
        "applications:\n  a: {deployment_groups: [x]}\n",
        [
            "2:3: applications.a: 'revision' is missing",
        ],
        id="no revision",
    ),
    pytest.param(
        "applications:\n  a: {revision: {github: {repository: o/n, commit: abc}}}\n",
        [
            "2:3: applications.a: 'deployment_groups' is missing",
        ],
        id="no groups",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {github: {repository: o/n, commit: abc}}\n    deployment_groups: []\n",
        [
            "4:24: applications.a.deployment_groups: is empty",
        ],
        id="groups empty",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {github: {repository: o/n, commit: abc}}\n    deployment_groups: x\n",
        [
            "4:24: applications.a.deployment_groups: must be a list of names, or a mapping from names to settings (write [x])",
        ],
        id="groups text",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {github: {repository: o/n, commit: abc}}\n    deployment_groups: [x, y, x]\n",
        [
            "4:31: applications.a.deployment_groups[2]: 'x' stands here twice",
        ],
        id="group twice",
    ),
    pytest.param(
        "applications:\n  a/b:\n    revision: {github: {repository: o/n, commit: abc}}\n    deployment_groups: [x]\n",
        [
            "2:3: applications.a/b: 'a/b' is not a name (names are 1-100 of letters, digits and . _ + = , @ -)",
        ],
        id="slash in name",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {github: {repository: o/n, commit: abc}}\n    deployment_groups: [x y]\n",
        [
            "4:25: applications.a.deployment_groups[0]: 'x y' is not a name (names are 1-100 of letters, digits and . _ + = , @ -)",
        ],
        id="space in group",
    ),
    pytest.param(
        "applications:\n  a-${environment}:\n    revision: {github: {repository: o/n, commit: abc}}\n    deployment_groups: [x]\n",
        [
            "2:3: applications.a-${environment}: 'a-${environment}' is not a name (${…} is expanded in values, not in keys)",
        ],
        id="template key",
    ),
    pytest.param(
        "applications:\n  a:\n    application_name: "
        + "n" * 101
        + "\n    revision: {github: {repository: o/n, commit: abc}}\n    deployment_groups: [x]\n",
        [
            "3:23: applications.a.application_name: a name of 101 characters (names are 1-100 of letters, digits and . _ + = , @ -)",
        ],
        id="long name",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {source: a, github: {repository: o/n, commit: abc}}\n    deployment_groups: [x]\n",
        [
            "3:27: applications.a.revision.github: has source and github, but only one can be deployed",
        ],
        id="two revisions",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {}\n    deployment_groups: [x]\n",
        [
            "3:15: applications.a.revision: says nothing to deploy (give one of source, github, s3 and appspec)",
        ],
        id="no kind",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {github: {repository: o/n, commit: abc}, format: zip}\n    deployment_groups: [x]\n",
        [
            "3:56: applications.a.revision.format: means nothing beside github (it is about the archive of a source)",
        ],
        id="format with github",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {github: {repository: o/n, commit: abc}, symlinks: follow}\n    deployment_groups: [x]\n",
        [
            "3:56: applications.a.revision.symlinks: means nothing beside github (it is about the archive of a source)",
        ],
        id="symlinks with github",
    ),
    pytest.param(
        "applications:\n  a:\n    bucket: bbb\n    revision: {source: ./a, format: tar.gz}\n    deployment_groups: [x]\n",
        [
            "4:37: applications.a.revision.format: 'tar.gz' is not one of tgz, tar, zip (did you mean 'tgz'?)",
        ],
        id="bad format",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {github: {repository: o/n, commit: 1e10}}\n    deployment_groups: [x]\n",
        [
            '3:50: applications.a.revision.github.commit: must be text, but YAML reads 1e10 as a number (put it in quotes: "1e10")',
        ],
        id="commit number",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {s3: {bucket: bbb, key: a.zip, version: 123}}\n    deployment_groups: [x]\n",
        [
            '3:55: applications.a.revision.s3.version: must be text, but YAML reads 123 as a number (put it in quotes: "123")',
        ],
        id="version number",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {github: {repository: https://github.com/o/n, commit: abc}}\n    deployment_groups: [x]\n",
        [
            "3:37: applications.a.revision.github.repository: 'https://github.com/o/n' is not a repository (write owner/name, without https:// and github.com)",
        ],
        id="repository url",
    ),
    pytest.param(
        app("bucket: s3://acme/x"),
        [
            "5:13: applications.a.bucket: 's3://acme/x' is not a bucket's name (3-63 of lower-case letters, digits, dots and hyphens; without s3:// and without a path)",
        ],
        id="bucket url",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {s3: {bucket: bbb, key: a}}\n    deployment_groups: [x]\n",
        [
            "3:34: applications.a.revision.s3.key: the key 'a' doesn't tell what the object is (add bundle_type: tgz, tar, zip, YAML or JSON)",
        ],
        id="unknown bundle type",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {appspec: none.yaml}\n    deployment_groups: [x]\n",
        [
            "3:25: applications.a.revision.appspec: none.yaml can't be read: No such file or directory (paths are relative to the file that holds them)",
        ],
        id="appspec missing",
    ),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_every_mistake_has_its_position_and_its_words(
    text: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert mistakes_in(text) == expected
