# ruff: noqa: E501 -- a table of whole manifests and whole error lines: broken up, they could not be read
"""Manifests that are broken as YAML: each mistake with its position, and what to do about it."""

from pathlib import Path

import pytest
from small_manifest import GOOD, app, mistakes_in, top

BROKEN = [
    pytest.param(
        "",
        [
            "1:1: the manifest is empty (it begins with keys such as applications:)",
        ],
        id="empty",
    ),
    pytest.param(
        "# nothing\n",
        [
            "1:1: the manifest is empty (it begins with keys such as applications:)",
        ],
        id="only comments",
    ),
    pytest.param(
        "- a\n",
        [
            "1:1: a manifest is a mapping (key: value), but this is a list (it begins with keys such as applications:)",
        ],
        id="list root",
    ),
    pytest.param(
        "hello\n",
        [
            "1:1: a manifest is a mapping (key: value), but this is one value (it begins with keys such as applications:)",
        ],
        id="text root",
    ),
    pytest.param(
        GOOD + "---\na: 1\n",
        [
            "5:1: a second document begins here (a manifest is one document: take away the '---')",
        ],
        id="two documents",
    ),
    pytest.param(
        "applications:\n\ta: 1\n",
        [
            "2:1: not valid YAML while scanning for the next token: found character that cannot start any token (YAML indents with spaces only; this is a tab)",
        ],
        id="tab",
    ),
    pytest.param(
        "applications: {a: [1, 2\n",
        [
            "2:1: not valid YAML while parsing a flow sequence: did not find expected ',' or ']' (close the bracket; inside of brackets, values that hold ${…}, {, [ or ', ' need quotes)",
        ],
        id="unclosed bracket",
    ),
    pytest.param(
        'release: "abc\n',
        [
            "2:1: not valid YAML while scanning a quoted scalar: found unexpected end of stream (a quote is not closed)",
        ],
        id="unclosed quote",
    ),
    pytest.param(
        "vars: {a: ${env.X}}\n",
        [
            "1:12: not valid YAML while parsing a flow mapping: did not find expected ',' or '}' (close the bracket; inside of brackets, values that hold ${…}, {, [ or ', ' need quotes)",
        ],
        id="template in flow",
    ),
    pytest.param(
        "release: a: b\n",
        [
            "1:11: not valid YAML: mapping values are not allowed in this context (check the indentation, and put text that holds ': ' in quotes)",
        ],
        id="colon in text",
    ),
    pytest.param(
        "release: @x\n",
        [
            "1:10: not valid YAML while scanning for the next token: found character that cannot start any token (text that begins with @, ` or % must be in quotes)",
        ],
        id="at sign",
    ),
    pytest.param(
        app("needs: []") + "    needs: []\n",
        [
            "6:5: applications.a.needs: the key 'needs' stands here twice, first at 5:5",
        ],
        id="duplicate key",
    ),
    pytest.param(
        top("release: a") + "release: b\n",
        [
            "6:1: release: the key 'release' stands here twice, first at 1:1",
        ],
        id="duplicate top",
    ),
    pytest.param(
        "applications:\n  1: {}\n",
        [
            '2:3: applications: a key must be text, but YAML reads 1 as a number (put it in quotes: "1")',
            "2:3: applications.1: 'revision' is missing",
            "2:3: applications.1: 'deployment_groups' is missing",
        ],
        id="number key",
    ),
    pytest.param(
        top("vars: {on: 1}"),
        [
            '1:8: vars: a key must be text, but YAML reads on as a boolean (put it in quotes: "on")',
        ],
        id="boolean key",
    ),
    pytest.param(
        "applications:\n  ~: {}\n",
        [
            '2:3: applications: a key must be text, but YAML reads ~ as nothing (put it in quotes: "~")',
            "2:3: applications.~: '~' is not a name (names are 1-100 of letters, digits and . _ + = , @ -)",
            "2:3: applications.~: 'revision' is missing",
            "2:3: applications.~: 'deployment_groups' is missing",
        ],
        id="null key",
    ),
    pytest.param(
        "applications:\n  ? [a]\n  : b\n",
        [
            "2:3: applications: is empty",
            "2:5: applications: a key must be text, not a list or a mapping",
        ],
        id="list key",
    ),
    pytest.param(
        top("release: !!python/object:os.system x"),
        [
            "1:10: release: the tag !!python/object:os.system means nothing in a manifest (take it away, or put the text in quotes)",
        ],
        id="python tag",
    ),
    pytest.param(
        top("release: !env x"),
        [
            "1:10: release: the tag !env means nothing in a manifest (take it away, or put the text in quotes)",
        ],
        id="custom tag",
    ),
    pytest.param(
        top("release: *x"),
        [
            "1:10: release: *x refers to nothing: there is no &x above (text that begins with * must be in quotes)",
        ],
        id="undefined alias",
    ),
    pytest.param(
        "applications: &a {b: *a}\n",
        [
            "1:22: applications.b: *a stands inside of what it refers to",
        ],
        id="recursive alias",
    ),
    pytest.param(
        "defaults: {<<: x}\n" + GOOD,
        [
            "1:12: defaults.<<: only mappings can be merged with '<<'",
        ],
        id="merge of text",
    ),
    pytest.param(
        "release: a\0b\n",
        [
            "1:11: the control character U+0000 can't stand in YAML (take it away; in double quotes it is written \\x…)",
        ],
        id="nul",
    ),
    pytest.param(
        "release: ok\nstate: \x07\n",
        [
            "2:8: the control character U+0007 can't stand in YAML (take it away; in double quotes it is written \\x…)",
        ],
        id="control",
    ),
    pytest.param(
        "release: " + "[" * 60 + "]" * 60 + "\n",
        [
            "1:59: release[0][0][0][0][0][0][0]: nested deeper than 50 levels",
        ],
        id="deep",
    ),
    pytest.param(
        "applications:\n  a:\n    revision {s3: {bucket: x}}\n",
        [
            "3:30: not valid YAML while parsing a block mapping: did not find expected key (check the indentation of this line and of those before it)",
        ],
        id="comma",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {source: ./a, ignore: [*.log]}\n",
        [
            "3:39: not valid YAML while scanning an alias: did not find expected alphabetic or numeric character (text that begins with * or & must be in quotes)",
        ],
        id="glob without quotes",
    ),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_every_mistake_has_its_position_and_its_words(
    text: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert mistakes_in(text) == expected
