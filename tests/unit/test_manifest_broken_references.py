# ruff: noqa: E501 -- a table of whole manifests and whole error lines: broken up, they could not be read
"""Manifests that refer to what there isn't, or in circles: each mistake with its position."""

from pathlib import Path

import pytest
from small_manifest import GOOD, app, mistakes_in, top

BROKEN = [
    pytest.param(
        "applications:\n  a:\n    revision: {source: ./a}\n    deployment_groups: [x, y]\n",
        [
            "3:24: applications.a.revision.source: there is no bucket for its archive (set bucket: in the defaults, the application or the group)",
        ],
        id="no bucket",
    ),
    pytest.param(
        app("needs: [bb]"),
        [
            "5:13: applications.a.needs[0]: there is no 'bb' (an application or application/group)",
        ],
        id="unknown need",
    ),
    pytest.param(
        app("after: [a/z]"),
        [
            "5:13: applications.a.after[0]: there is no 'a/z' (did you mean 'a/x'?)",
        ],
        id="unknown group",
    ),
    pytest.param(
        app("needs: [a]"),
        [
            "5:13: applications.a.needs[0]: 'a' is this application itself (name one of its groups: a/…)",
        ],
        id="self",
    ),
    pytest.param(
        app("needs: [a/x]"),
        [
            "5:13: applications.a.needs[0]: a/x can't come after itself (set it in the other groups only)",
        ],
        id="self target",
    ),
    pytest.param(
        app("pool: db"),
        [
            "5:11: applications.a.pool: there is no pool 'db' (declare it in concurrency.pools)",
        ],
        id="pool",
    ),
    pytest.param(
        app("gates: {before: [cab]}"),
        [
            "5:22: applications.a.gates.before[0]: there is no gate 'cab' (declare it in gates)",
        ],
        id="gate",
    ),
    pytest.param(
        "gates: {cba: {type: approval}}\n" + app("gates: {before: [cab]}"),
        [
            "6:22: applications.a.gates.before[0]: there is no gate 'cab' (did you mean 'cba'?)",
        ],
        id="gate twice",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: &r {github: {repository: o/n, commit: abc}}\n    needs: [b]\n    deployment_groups: [x]\n  b:\n    revision: *r\n    deployment_groups:\n      y: {after: [a/x]}\n",
        [
            "4:13: applications.a.needs[0]: a cycle: a/x needs b/y (release.yaml:4:13), b/y after a/x (release.yaml:9:19) (take one of these away)",
        ],
        id="cycle",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: &r {github: {repository: o/n, commit: abc}}\n    deployment_groups: [x]\n  b:\n    application_name: a\n    revision: *r\n    deployment_groups: [x]\n",
        [
            "8:25: applications.b.deployment_groups.x: b/x and a/x (release.yaml:4:25) are one deployment group at AWS: a/x in eu-west-1 (take one away, or give it another name, region or role)",
        ],
        id="same aws",
    ),
    pytest.param(
        app("description: ${env.NOPE}"),
        [
            "5:18: applications.a.description: the environment variable NOPE is not set (set it, or give a default: ${env.NOPE:-…})",
        ],
        id="unset env",
    ),
    pytest.param(
        "vars: {sha: a}\n" + app("description: ${vars.sah}"),
        [
            "6:18: applications.a.description: there is no variable 'sah' (did you mean 'sha'?)",
        ],
        id="unknown var",
    ),
    pytest.param(
        app("description: ${vers.x}"),
        [
            "5:18: applications.a.description: ${vers.x} is unknown (did you mean 'vars'?)",
        ],
        id="unknown ref",
    ),
    pytest.param(
        app("description: ${vars.x"),
        [
            "5:18: applications.a.description: the ${ in '${vars.x' is not closed, or holds another one (a literal ${ is written $${)",
        ],
        id="unclosed",
    ),
    pytest.param(
        app("description: ${env.X:-${vars.x}}"),
        [
            "5:18: applications.a.description: the ${ in '${env.X:-${vars.x}}' is not closed, or holds another one (a literal ${ is written $${)",
        ],
        id="nested",
    ),
    pytest.param(
        "vars:\n  a: ${vars.b}\n  b: ${vars.a}\n" + app("description: ${vars.a}"),
        [
            "3:6: vars.b: refers to itself: vars.a → vars.b → vars.a",
        ],
        id="var cycle",
    ),
    pytest.param(
        top("release: ${application}"),
        [
            "1:10: release: ${application} is known only in settings of applications and in defaults",
        ],
        id="app in top",
    ),
    pytest.param(
        app("application_name: a-${deployment_group}"),
        [
            "5:23: applications.a.application_name: ${deployment_group} is known only in settings of a group",
        ],
        id="group in app name",
    ),
    pytest.param(
        app("description: ${digest}"),
        [
            "5:18: applications.a.description: ${digest} is known only in the key of a revision",
        ],
        id="digest",
    ),
    pytest.param(
        "vars: {a: b}\n" + app("description: ${vars.a:-c}"),
        [
            "6:18: applications.a.description: ${vars.a:-c}: only ${env.…} can have a default",
        ],
        id="var default",
    ),
    pytest.param(
        top("vars: {a: [1]}"),
        [
            "1:8: vars.a: a variable is one value, not a list or a mapping",
        ],
        id="var list",
    ),
    pytest.param(
        "vars: {n: many}\n" + app("timeout: ${vars.n}"),
        [
            "6:14: applications.a.timeout: 'many' is not a duration (durations look like 500ms, 90s, 45m, 2h or 1h30m)",
        ],
        id="expanded bad",
    ),
    pytest.param(
        "vars: {n: a/b}\n" + app("application_name: ${vars.n}"),
        [
            "6:23: applications.a.application_name: 'a/b' is not a name (names are 1-100 of letters, digits and . _ + = , @ -)",
        ],
        id="expanded name",
    ),
    pytest.param(
        app('description: "${deployment_group}' + "d" * 200 + '"'),
        [
            "5:18: applications.a.description: is longer than 200 characters",
        ],
        id="expanded per group",
    ),
    pytest.param(
        app("description: ${git.tag}"),
        [
            "5:18: applications.a.description: ${git.tag} is unknown (git.sha or git.branch)",
        ],
        id="git",
    ),
    pytest.param(
        top("environments: {e: {region: eu-west-1, promote_from: stagin}}"),
        [
            "1:53: environments.e.promote_from: there is no environment 'stagin' (there are e)",
        ],
        id="promote",
    ),
    pytest.param(
        "polcy: {}\n" + app("needs: [zz]") + "    pool: db\n    timeout: 5\n",
        [
            "1:1: polcy: unknown key 'polcy' (did you mean 'policy'?)",
            "6:13: applications.a.needs[0]: there is no 'zz' (an application or application/group)",
            "7:11: applications.a.pool: there is no pool 'db' (declare it in concurrency.pools)",
            "8:14: applications.a.timeout: 5 is a number without a unit (write 5s or 5m)",
        ],
        id="several",
    ),
    pytest.param(
        "vars: {n: 'a,b'}\n" + app("needs: ${vars.n}"),
        [
            "6:12: applications.a.needs: must be a list, not text",
        ],
        id="value for a list",
    ),
    pytest.param(
        "concurrency: {pools: {database: 1}}\n" + app("pool: databse"),
        [
            "6:11: applications.a.pool: there is no pool 'databse' (did you mean 'database'?)",
        ],
        id="pool hint",
    ),
    pytest.param(
        "defaults: {needs: [b]}\napplications:\n  a:\n    revision: &r {github: {repository: o/n, commit: abc}}\n    deployment_groups: [x]\n  b:\n    revision: *r\n    needs: [a]\n    deployment_groups: [y]\n",
        [
            "1:20: defaults.needs[0]: a cycle: a/x needs b/y (release.yaml:1:20), b/y needs a/x (release.yaml:8:13) (take one of these away)",
        ],
        id="a default that needs itself through others",
    ),
    pytest.param(
        "applications:\n  a: &a\n    revision: &r {github: {repository: o/n, commit: abc}}\n    needs: [b]\n    deployment_groups: [x]\n  b: {revision: *r, needs: [a], deployment_groups: [x]}\n  c: {revision: *r, after: [d], deployment_groups: [x]}\n  d: {revision: *r, after: [c], deployment_groups: [x]}\n",
        [
            "4:13: applications.a.needs[0]: a cycle: a/x needs b/x (release.yaml:4:13), b/x needs a/x (release.yaml:6:29) (take one of these away)",
            "7:29: applications.c.after[0]: a cycle: c/x after d/x (release.yaml:7:29), d/x after c/x (release.yaml:8:29) (take one of these away)",
        ],
        id="two cycles",
    ),
    pytest.param(
        "include: more.yaml\n" + GOOD,
        [
            "1:10: include: must be a list, not text (write [more.yaml])",
        ],
        id="include text",
    ),
    pytest.param(
        "include: ['${env.X}']\n" + GOOD,
        [
            "1:11: include[0]: ${…} isn't expanded in includes (write the path itself)",
        ],
        id="include template",
    ),
    pytest.param(
        "include: [none.yaml]\n" + GOOD,
        [
            "1:11: include[0]: none.yaml: there is no such file (paths are relative to the file that includes)",
        ],
        id="include missing",
    ),
    pytest.param(
        "include: [./release.yaml]\n" + GOOD,
        [
            "1:11: include[0]: files include each other: release.yaml → release.yaml",
        ],
        id="include itself",
    ),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_every_mistake_has_its_position_and_its_words(
    text: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert mistakes_in(text) == expected
