"""Manifests as files: encodings, includes, aliases, and what can't be read."""

import os
from pathlib import Path

import pytest

from orchestrator.core.errors import InvalidInputError, UsageError
from orchestrator.core.model import BundleSource
from orchestrator.manifest import Release, load

GOOD = """\
applications:
  a:
    revision: {s3: {bucket: acme-bundles, key: a.zip}}
    deployment_groups: [x]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(content: str | bytes, path: str = "release.yaml") -> Release:
    Path(path).write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(Path(path), env={}, default_region="eu-west-1")


def mistakes(content: str | bytes, path: str = "release.yaml") -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        loaded(content, path)
    return [str(finding) for finding in caught.value.findings]


# --- what can't be read ----------------------------------------------------------------------------------------------


def test_a_missing_file_and_a_folder(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml: there is no such file"):
        load(Path("none.yaml"), env={})
    with pytest.raises(UsageError, match=r"\.: this is a folder"):
        load(Path(), env={})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(folder: Path) -> None:
    Path("release.yaml").write_text(GOOD)
    Path("release.yaml").chmod(0)
    with pytest.raises(UsageError, match=r"release\.yaml: can't be read: Permission denied"):
        load(Path("release.yaml"), env={})


def test_a_path_that_goes_through_a_file(folder: Path) -> None:
    Path("release.yaml").write_text(GOOD)
    with pytest.raises(UsageError, match=r"can't be read: Not a directory"):
        load(Path("release.yaml/x"), env={})


def test_a_file_that_is_too_large_is_not_read(folder: Path) -> None:
    with Path("release.yaml").open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    with pytest.raises(UsageError, match="larger than 64 MB"):
        load(Path("release.yaml"), env={})


# --- encodings -------------------------------------------------------------------------------------------------------


def test_a_byte_order_mark_is_fine_and_moves_no_column(folder: Path) -> None:
    assert loaded(b"\xef\xbb\xbf" + GOOD.encode()).targets[0].id == "a/x"
    assert mistakes(b"\xef\xbb\xbfpolcy: 1\n" + GOOD.encode()) == [
        "release.yaml:1:1: polcy: unknown key 'polcy' (did you mean 'policy'?)"
    ]


def test_windows_line_ends_are_fine(folder: Path) -> None:
    assert loaded(GOOD.replace("\n", "\r\n")).targets[0].id == "a/x"


def test_columns_count_characters(folder: Path) -> None:
    assert mistakes("release: ok\nvars: {ü: '😀', 'a b': é}\n" + GOOD)[0].startswith("release.yaml:2:8: vars.ü:")
    assert mistakes("vars: {u: '😀ü', 'a b': é}\n" + GOOD) == [
        "release.yaml:1:17: vars.a b: 'a b' is not a variable's name (letters, digits, _ and -)"
    ]


def test_other_encodings(folder: Path) -> None:
    assert mistakes(b"a: 1\nb: \xc3\xbc\xff\n") == [
        "release.yaml:2:5: not UTF-8: the byte 0xff (save the file as UTF-8)"
    ]
    assert mistakes("a: 1".encode("utf-16")) == ["release.yaml:1:1: the file is UTF-16 (save it as UTF-8)"]


# --- aliases ---------------------------------------------------------------------------------------------------------


def test_anchors_aliases_and_merge_keys(folder: Path) -> None:
    release = loaded("""\
applications:
  a: &a
    revision: {s3: {bucket: acme-bundles, key: a.zip}}
    description: from a
    timeout: 1m
    deployment_groups: [x]
  b:
    <<: *a
    timeout: 2m
  c: {<<: [{timeout: 3m}, *a], application_name: cc}
""")
    assert [(target.id, target.timeout, target.settings.description) for target in release.targets] == [
        ("a/x", 60, "from a"),
        ("b/x", 120, "from a"),
        ("c/x", 180, "from a"),
    ]


def test_a_mistake_in_what_is_merged_is_found_where_it_is_written(folder: Path) -> None:
    text = GOOD.replace("  a:", "  a: &a").replace("[x]", "[x]\n    timeout: 5") + "  b: {<<: *a}\n"
    assert [line.partition(" ")[0] for line in mistakes(text)] == ["release.yaml:5:14:", "release.yaml:5:14:"]


def test_aliases_that_explode_are_stopped_at_once(folder: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]")
    found = mistakes("\n".join(lines))
    assert found == ["release.yaml:6:36: f[7]: the document's aliases expand to more than 1,000,000 values"]


def test_merges_that_explode_are_stopped_too(folder: Path) -> None:
    lines = ["a: &a {k: [" + ", ".join("x" * 1000) + "]}"]
    lines += [f"b{number}: {{<<: *a}}" for number in range(1001)]
    assert "aliases expand to more than 1,000,000 values" in mistakes("\n".join(lines))[0]


def test_aliases_can_not_make_it_deeper_than_it_may_be(folder: Path) -> None:
    nested = "[" * 30 + "]" * 30
    assert mistakes(f"a: &a {nested}\nb: {'[' * 30}*a{']' * 30}\n") == [
        "release.yaml:2:34: b[0][0][0][0][0][0][0]: nested deeper than 50 levels"
    ]


# --- includes --------------------------------------------------------------------------------------------------------


def test_includes_add_applications_and_gates_and_paths_are_relative_to_their_file(folder: Path) -> None:
    for name in ("teams", "teams/core"):
        Path(name).mkdir()
    Path("teams/more.yaml").write_text("""\
include: [core/base.yaml]
applications:
  b: {revision: {source: ./b}, bucket: acme-bundles, needs: [a, c], gates: {before: [cab]}, deployment_groups: [x]}
""")
    Path("teams/core/base.yaml").write_text("""\
gates: {cab: {type: approval}}
applications: {c: {revision: {source: ../c}, bucket: acme-bundles, deployment_groups: [x]}}
""")
    release = loaded("include: [teams/more.yaml]\n" + GOOD)
    assert [target.id for target in release.targets] == ["a/x", "b/x", "c/x"]
    sources = [target.source for target in release.targets if isinstance(target.source, BundleSource)]
    assert [source.path for source in sources] == [folder / "teams" / "b", folder / "teams" / "c"]
    assert release.targets[1].needs == ("a/x", "c/x")
    assert str(release.position("c/x", "revision.source")) == "teams/core/base.yaml:2:39"


def test_a_manifest_may_have_all_its_applications_in_other_files(folder: Path) -> None:
    Path("apps.yaml").write_text(GOOD)
    assert [target.id for target in loaded("include: [apps.yaml]\n").targets] == ["a/x"]


def test_mistakes_in_and_among_included_files(folder: Path) -> None:
    Path("one.yaml").write_text("include: [two.yaml]\n" + GOOD.replace("[x]", "[x]\n    tiemout: 1m"))
    Path("two.yaml").write_text("include: [one.yaml]\nvars: {}\ngates: []\n")
    Path("three.yaml").write_text("- a\n")
    Path("four.yaml").write_text("a: [\n")
    found = mistakes("include: [one.yaml, two.yaml, three.yaml, four.yaml]\n" + GOOD.replace("  a:", "  a:  "))
    assert found == [
        "release.yaml:1:21: include[1]: two.yaml is included twice (take one of the two away)",
        "one.yaml:3:3: applications.a: 'a' stands also in release.yaml:3:3",
        "two.yaml:1:11: include[0]: files include each other: one.yaml → two.yaml → one.yaml",
        "two.yaml:2:1: vars: 'vars' can't stand in an included file (only applications, gates and include; move it to "
        "the manifest)",
        "two.yaml:3:8: gates: must be a mapping (key: value)",
        "three.yaml:1:1: an included file is a mapping with applications, gates and include",
        "four.yaml:2:1: not valid YAML while parsing a flow node: did not find expected node content",
    ]


def test_files_are_named_the_way_the_user_named_the_manifest(folder: Path) -> None:
    Path("sub").mkdir()
    Path("sub/more.yaml").write_text("polcy: 1\n")
    found = mistakes("include: [more.yaml]\nplicy: 1\n" + GOOD, "sub/release.yaml")
    assert [line.partition(" ")[0] for line in found] == ["sub/release.yaml:2:1:", "sub/more.yaml:1:1:"]
    absolute = mistakes("polcy: 1\n" + GOOD, str(folder / "release.yaml"))
    assert absolute[0].startswith(f"{folder}/release.yaml:1:1:")
