"""Walking a source: what comes in, what stays out, and what is refused."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from orchestrator.bundle.entries import Entry
from orchestrator.bundle.ignore import load_rules
from orchestrator.bundle.tree import scan
from orchestrator.core.errors import BundleError, ExitCode
from orchestrator.core.model import Symlinks


@pytest.fixture
def root(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    (source / "appspec.yml").write_text("version: 0.0\n")
    return source


def make(root: Path, *paths: str) -> None:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)


def names(root: Path, *ignore: str) -> list[str]:
    return [entry.path for entry in scan(root, rules=load_rules(root, ignore)).entries]


def test_entries_are_sorted_and_carry_kind_mode_size_and_target(root: Path) -> None:
    make(root, "run.sh", "lib/a.txt", "lib-a")
    (root / "run.sh").chmod(0o4711)
    (root / "lib/a.txt").chmod(0o600)
    (root / "empty").mkdir(mode=0o700)
    (root / "lib/link").symlink_to("../run.sh")
    assert scan(root).entries == (
        Entry("appspec.yml", "file", 0o644, 13),
        Entry("empty", "dir", 0o755),
        Entry("lib", "dir", 0o755),
        Entry("lib-a", "file", 0o644, 5),
        Entry("lib/a.txt", "file", 0o644, 9),
        Entry("lib/link", "symlink", 0o777, target="../run.sh"),
        Entry("run.sh", "file", 0o755, 6),
    )
    assert scan(root).total_size == 13 + 5 + 9 + 6


# --- ignore rules ----------------------------------------------------------------------------------------------------


def test_version_control_and_the_ignore_file_stay_out(root: Path) -> None:
    make(root, ".git/config", ".hg/x", ".svn/x", ".bzr/x", "sub/.git", ".gitignore", ".codedeployignore")
    (root / ".codedeployignore").write_text("# nothing\n")
    assert names(root) == [".gitignore", "appspec.yml", "sub"]
    assert names(root, "*.log") == [".gitignore", "appspec.yml", "sub"]


def test_version_control_can_be_taken_back_in(root: Path) -> None:
    make(root, ".git/config")
    assert ".git/config" in names(root, "!.git")


@pytest.mark.parametrize("patterns", [[], ["*.log"]])
def test_version_control_and_hidden_names_by_setting(root: Path, patterns: list[str]) -> None:
    make(root, ".git/config", ".env", "a/.hidden/x", "a/b")

    def found(*more: str, **settings: bool) -> list[str]:
        rules = load_rules(root, [*patterns, *more], **settings)
        return [entry.path for entry in scan(root, rules=rules).entries if entry.kind == "file"]

    assert found() == [".env", "a/.hidden/x", "a/b", "appspec.yml"]
    assert found(include_vcs=True) == [".env", ".git/config", "a/.hidden/x", "a/b", "appspec.yml"]
    assert found(ignore_hidden=True) == ["a/b", "appspec.yml"]
    assert found(ignore_hidden=True, include_vcs=True) == ["a/b", "appspec.yml"]
    assert found("!.env", ignore_hidden=True) == [".env", "a/b", "appspec.yml"]


def test_only_the_ignore_file_at_the_root_counts(root: Path) -> None:
    make(root, "sub/a.log")
    (root / "sub/.codedeployignore").write_text("*.log\n")
    assert names(root) == ["appspec.yml", "sub", "sub/.codedeployignore", "sub/a.log"]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["*.log"], ["a.txt", "build", "build/keep", "build/x", "logs"]),
        (["/a.txt"], ["a.log", "build", "build/keep", "build/x", "logs", "logs/b.log"]),
        (["build/"], ["a.log", "a.txt", "logs", "logs/b.log"]),
        (["build/*", "!build/keep"], ["a.log", "a.txt", "build", "build/keep", "logs", "logs/b.log"]),
        (["build/**", "!build/keep"], ["a.log", "a.txt", "build", "build/keep", "logs", "logs/b.log"]),
        (["build/", "!build/keep"], ["a.log", "a.txt", "logs", "logs/b.log"]),  # git never looks below an ignored one
        (["*.log", "!logs/b.log"], ["a.txt", "build", "build/keep", "build/x", "logs", "logs/b.log"]),
        (["**/x"], ["a.log", "a.txt", "build", "build/keep", "logs", "logs/b.log"]),
        (["# a.txt", "", "a.[lm]og"], ["a.txt", "build", "build/keep", "build/x", "logs", "logs/b.log"]),
    ],
)
def test_patterns_are_read_as_git_reads_them(root: Path, patterns: list[str], expected: list[str]) -> None:
    make(root, "a.log", "a.txt", "logs/b.log", "build/x", "build/keep")
    assert [name for name in names(root, *patterns) if name != "appspec.yml"] == expected
    (root / ".codedeployignore").write_text("\n".join(patterns))
    assert [name for name in names(root) if name != "appspec.yml"] == expected


def test_the_manifest_has_the_last_word_over_the_ignore_file(root: Path) -> None:
    make(root, "a.log")
    (root / ".codedeployignore").write_bytes(b"\xef\xbb\xbf*.log\r\n")
    assert "a.log" not in names(root)
    assert "a.log" in names(root, "!a.log")


def test_what_is_ignored_may_be_anything(root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "away").symlink_to("/etc/passwd")
    (root / os.fsdecode(b"bad-\xff")).touch()
    assert names(root, "pipe", "away", "bad-*") == ["appspec.yml"]


def test_left_out_says_what_the_rules_kept_out(root: Path) -> None:
    make(root, ".git/config", "a.log")
    assert scan(root, rules=load_rules(root, ["*.log"])).left_out == {".git", "a.log"}


# --- refused ---------------------------------------------------------------------------------------------------------


def refused(root: Path, *ignore: str) -> str:
    with pytest.raises(BundleError) as caught:
        scan(root, rules=load_rules(root, ignore))
    assert caught.value.hint
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value.message


def test_a_missing_source(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere") == f"{tmp_path}/nowhere: there is no such directory"


def test_a_source_that_is_a_file(root: Path) -> None:
    assert refused(root / "appspec.yml").endswith("appspec.yml: is not a directory")


def test_a_source_below_a_file(root: Path) -> None:
    assert "can't be read: Not a directory" in refused(root / "appspec.yml" / "x")


def test_an_empty_source(tmp_path: Path) -> None:
    assert refused(tmp_path).endswith("the directory is empty")


def test_a_source_that_is_ignored_whole(root: Path) -> None:
    assert refused(root, "*").endswith("everything in it is ignored")


def test_a_fifo_and_a_socket(root: Path, tmp_path: Path) -> None:
    os.mkfifo(root / "pipe")
    assert f"{root}/pipe: is a FIFO" in refused(root)
    (root / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(root / "s"))  # relative: a socket's path can't be long
        assert f"{root}/s: is a socket" in refused(root)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "../sub/../../x", "sub/../../source/appspec.yml"])
def test_a_link_that_leaves_the_source(root: Path, target: str) -> None:
    (root / "sub").mkdir()
    (root / "sub/link").symlink_to(target if target.startswith(("/", "..")) else f"../{target}")
    assert f"{root}/sub/link: is a link to " in refused(root)


def test_a_link_that_leaves_the_source_through_another_link(root: Path) -> None:
    (root / "p/q/r").mkdir(parents=True)
    (root / "p/q/r/up").symlink_to("../..")  # is p; so up/../.. is above the root, although the text says p/q
    (root / "link").symlink_to("p/q/r/up/../../x")
    assert f"{root}/link: is a link to p/q/r/up/../../x" in refused(root)


def test_links_inside_the_source_stay_also_when_they_dangle_or_loop(root: Path) -> None:
    (root / "dangling").symlink_to("./nothing//there")
    (root / "loop").symlink_to("loop")
    assert {entry.path: entry.target for entry in scan(root).entries if entry.kind == "symlink"} == {
        "dangling": "./nothing//there",
        "loop": "loop",
    }


def kinds(root: Path, symlinks: Symlinks) -> dict[str, str]:
    return {entry.path: entry.kind for entry in scan(root, symlinks=symlinks).entries}


def test_links_that_are_followed_become_what_they_lead_to(root: Path) -> None:
    make(root, "real/x", "real/deep/y")
    (root / "real/x").chmod(0o755)
    (root / "folder").symlink_to("real")
    (root / "file").symlink_to("folder/x")
    (root / "real/up").symlink_to("../appspec.yml")
    (root / "absolute").symlink_to(root / "real/deep/y")
    tree = scan(root, symlinks="follow")
    found = {entry.path: entry for entry in tree.entries}
    assert {entry.kind for entry in tree.entries} == {"file", "dir"}
    assert set(found) == {
        *("absolute", "appspec.yml", "file", "folder", "folder/deep", "folder/deep/y", "folder/up", "folder/x"),
        *("real", "real/deep", "real/deep/y", "real/up", "real/x"),
    }
    assert (found["file"].mode, found["folder/x"].mode, found["absolute"].mode) == (0o755, 0o755, 0o644)
    for path, entry in found.items():
        if entry.kind == "file":
            assert Path(tree.path_of(entry)).read_bytes() == (root / path).read_bytes()
            assert not Path(tree.path_of(entry)).is_symlink()


@pytest.mark.parametrize(
    ("links", "what"),
    [
        ({"loop": "."}, "loop: is a link to ., which it is in itself"),
        ({"a/to-b": "../b", "b/to-a": "../a"}, "which it is in itself; following it would never end"),
        ({"gone": "nowhere"}, "gone: is a link to nowhere, which can't be followed: No such file"),
        ({"one": "two", "two": "one"}, "can't be followed: Too many levels of symbolic links"),
        ({"out": "../elsewhere"}, "out: is a link to ../elsewhere, which is outside of the source"),
        ({"out": "/etc/hostname"}, "out: is a link to /etc/hostname, which is outside of the source"),
    ],
)
def test_links_that_can_not_be_followed(root: Path, links: dict[str, str], what: str) -> None:
    make(root, "a/x", "b/y")
    for path, target in links.items():
        (root / path).symlink_to(target)
    with pytest.raises(BundleError) as caught:
        scan(root, symlinks="follow")
    assert what in caught.value.message
    assert caught.value.hint


def test_links_that_are_not_wanted(root: Path) -> None:
    make(root, "real/x", "logs/y")
    (root / "logs/link").symlink_to("../real/x")
    assert kinds(root, "preserve")["logs/link"] == "symlink"
    with pytest.raises(BundleError, match=r"logs/link: is a link to \.\./real/x, and `symlinks: error` wants none"):
        scan(root, symlinks="error")
    assert "logs/link" not in {e.path for e in scan(root, rules=load_rules(root, ["link"]), symlinks="error").entries}


def test_a_name_that_is_not_utf8(root: Path) -> None:
    (root / "d").mkdir()
    (root / "d" / os.fsdecode(b"caf\xe9")).touch()
    assert r"b'd/caf\xe9'" in refused(root)


def test_a_link_target_that_is_not_utf8(root: Path) -> None:
    (root / "link").symlink_to(os.fsdecode(b"caf\xe9"))
    assert r"b'caf\xe9'" in refused(root)


def test_bad_patterns_are_named_with_their_place(root: Path) -> None:
    assert refused(root, "*.log", "!").startswith(f"{root}: ignore[1]: '!'")
    (root / ".codedeployignore").write_text("ok\n\n\\\n")
    assert refused(root).startswith(f"{root}/.codedeployignore:3: ")


def test_an_ignore_file_that_is_no_text(root: Path) -> None:
    (root / ".codedeployignore").write_bytes(b"\xff\xfe\0")
    assert "is not UTF-8 text" in refused(root)
    (root / ".codedeployignore").unlink()
    (root / ".codedeployignore").mkdir()
    assert "can't be read: Is a directory" in refused(root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("path", ["secret", "locked"])
def test_what_may_not_be_read(root: Path, path: str) -> None:
    make(root, "secret", "locked/x")
    (root / path).chmod(0)
    try:
        assert f"{root}/{path}: can't be read" in refused(root)
    finally:
        (root / path).chmod(0o700)


def test_a_directory_that_goes_away_meanwhile(root: Path) -> None:
    make(root, "sub/x")
    looks = 0

    def check() -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            (root / "sub/x").unlink()
            (root / "sub").rmdir()

    with pytest.raises(BundleError, match="sub: went away while it was read"):
        scan(root, check=check)


def test_a_walk_can_be_interrupted(root: Path) -> None:
    def check() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(root, check=check)
