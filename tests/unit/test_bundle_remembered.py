"""Remembered hashes: they spare reading, and never say what isn't so."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.bundle.digest import tree_digest
from orchestrator.bundle.remembered import HashCache
from orchestrator.bundle.source import digest, open_source
from orchestrator.bundle.tree import Stamp, scan
from orchestrator.core.model import BundleSource

SOURCE = "what it is about"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("appspec.yml", "a", "b", "c"):
        (source / name).write_text(f"this is {name}\n")
    return source


@pytest.fixture
def cache(tmp_path: Path) -> HashCache:
    """Believes in every file at once, however new it is."""
    return HashCache(tmp_path / "cache", settled=-(10**12))


def remembered_digest(root: Path, cache: HashCache) -> str:
    with cache.remembering(SOURCE) as remembered:
        return tree_digest(scan(root), "tgz", remembered=remembered).value


def is_read(root: Path, cache: HashCache, name: str) -> bool:
    """Whether a digest would read the file."""
    tree = scan(root)
    files = [entry.path for entry in tree.entries if entry.kind == "file"]
    with cache.remembering(SOURCE) as remembered:
        found = remembered.get(name, tree.stamps[files.index(name)])
        for path, stamp in zip(files, tree.stamps, strict=True):
            remembered.get(path, stamp)
    return found is None


def test_what_did_not_change_is_not_read_again(root: Path, cache: HashCache) -> None:
    first = remembered_digest(root, cache)
    assert not any(is_read(root, cache, name) for name in ("appspec.yml", "a", "b", "c"))
    assert remembered_digest(root, cache) == first == tree_digest(scan(root), "tgz").value


def until_its_stamp_differs(file: Path, change: Callable[[], object]) -> None:
    """A file system's clock ticks a few times in a hundredth of a second; a change within a tick can't be seen."""
    before = file.stat()
    change()
    while (file.stat().st_ctime_ns, file.stat().st_ino) == (before.st_ctime_ns, before.st_ino):
        change()


def test_a_change_that_keeps_size_and_time_is_noticed(root: Path, cache: HashCache) -> None:
    """As `cp -p` and `rsync -t` over a file do it."""
    remembered_digest(root, cache)
    info = (root / "a").stat()

    def change() -> None:
        (root / "a").write_text("that is a\n")
        os.utime(root / "a", ns=(info.st_atime_ns, info.st_mtime_ns))

    until_its_stamp_differs(root / "a", change)
    assert (root / "a").stat().st_size == info.st_size
    assert (root / "a").stat().st_mtime_ns == info.st_mtime_ns
    assert is_read(root, cache, "a")
    assert not is_read(root, cache, "b")
    assert remembered_digest(root, cache) == tree_digest(scan(root), "tgz").value


def test_two_files_that_change_places_are_noticed(root: Path, cache: HashCache) -> None:
    first = remembered_digest(root, cache)
    (root / "a").rename(root / "x")
    (root / "b").rename(root / "a")
    (root / "x").rename(root / "b")
    assert remembered_digest(root, cache) == tree_digest(scan(root), "tgz").value != first


def test_a_file_that_was_just_written_is_not_remembered(root: Path, tmp_path: Path) -> None:
    """It could be written again within the same tick of the file system's clock."""
    cache = HashCache(tmp_path / "cache")
    remembered_digest(root, cache)
    assert all(is_read(root, cache, name) for name in ("appspec.yml", "a", "b", "c"))


@pytest.mark.parametrize(
    ("age", "kept"), [(0, False), (1_999_999_999, False), (2_000_000_001, True), (-5_000_000_000, False)]
)
def test_only_settled_times_count(tmp_path: Path, age: int, kept: bool) -> None:
    """The later of the two times; one from the future never does."""
    now = 1_764_000_000_000_000_000
    cache = HashCache(tmp_path)
    for stamp in (Stamp(1, now - age, 5, 3, 4), Stamp(1, 5, now - age, 3, 4)):
        with cache.remembering(SOURCE) as remembered:
            remembered.keep("file", stamp, bytes(32), read_at=now)
        with cache.remembering(SOURCE) as remembered:
            assert (remembered.get("file", stamp) == bytes(32)) is kept
        with cache.remembering(SOURCE):
            pass  # forgets it, as it wasn't asked for


def damaged(content: bytes) -> bytes:
    return content.replace(b"a", b"b", 3)


@pytest.mark.parametrize(
    "change",
    [damaged, lambda content: content[:-5], lambda _: b"", lambda _: b"\xff" * 50, lambda content: content[:80]],
)
def test_a_damaged_cache_counts_as_none(
    root: Path, cache: HashCache, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    first = remembered_digest(root, cache)
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(change(file.read_bytes()))
    assert is_read(root, cache, "a")
    assert remembered_digest(root, cache) == first
    assert not is_read(root, cache, "a")  # it was written anew


def test_a_cache_that_can_not_be_read_or_written_is_no_error(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    expected = tree_digest(scan(root), "tgz").value
    assert remembered_digest(root, HashCache(tmp_path / "file", settled=-(10**12))) == expected
    assert remembered_digest(root, HashCache(tmp_path / "file/below", settled=-(10**12))) == expected
    inside = HashCache(tmp_path / "cache", settled=-(10**12))
    remembered_digest(root, inside)
    (file,) = (tmp_path / "cache").iterdir()
    file.unlink()
    file.mkdir()
    assert remembered_digest(root, inside) == expected
    assert [each.name for each in (tmp_path / "cache").iterdir()] == [file.name]


def test_a_digest_that_fails_leaves_the_cache_as_it_was(root: Path, cache: HashCache, tmp_path: Path) -> None:
    remembered_digest(root, cache)
    (file,) = (tmp_path / "cache").iterdir()
    before = file.read_bytes()
    with pytest.raises(InterruptedError), cache.remembering(SOURCE):
        raise InterruptedError
    assert file.read_bytes() == before


def test_processes_that_use_it_at_once_are_each_right(root: Path, cache: HashCache, tmp_path: Path) -> None:
    expected = tree_digest(scan(root), "tgz").value
    found: list[str] = []

    def work() -> None:
        for _ in range(20):
            found.append(remembered_digest(root, cache))
            if len(found) % 3 == 0:
                for file in (tmp_path / "cache").glob("*.json"):
                    file.unlink(missing_ok=True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 80
    assert not list((tmp_path / "cache").glob("new-*"))


def test_the_sources_that_were_not_looked_at_for_longest_are_forgotten(tmp_path: Path) -> None:
    cache = HashCache(tmp_path)
    stamp = Stamp(1, 2, 3, 4, 5)
    for number in range(210):
        with cache.remembering(f"source {number}") as remembered:
            remembered.keep("file", stamp, bytes(32), read_at=10**18)
        for file in tmp_path.iterdir():  # all of them a second older
            os.utime(file, ns=(0, file.stat().st_mtime_ns - 10**9))
        with cache.remembering("source 0") as remembered:
            assert remembered.get("file", stamp) == bytes(32)  # this one is of use all the time
    assert len(list(tmp_path.iterdir())) == 200


def test_a_digest_by_the_cache_is_that_of_the_bundle(root: Path, cache: HashCache) -> None:
    (root / "appspec.yml").write_text("version: 0.0\nos: linux\n")
    bundle = open_source(BundleSource(path=root, bucket="b", prefix=""))
    assert digest(bundle, cache=cache) == digest(bundle) == digest(bundle, cache=cache)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from("abcd"), st.sampled_from(["write", "touch", "remove", "replace", "mode"]), st.integers(0, 3)
    ),
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(steps=CHANGES)
def test_whatever_happens_to_the_files_the_digest_is_theirs(steps: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "source"
        root.mkdir()
        (root / "appspec.yml").touch()
        cache = HashCache(Path(folder) / "cache", settled=-(10**12))
        for name, what, value in steps:
            remembered_digest(root, cache)
            change_file(root / name, what, f"same size {value}")
            assert remembered_digest(root, cache) == tree_digest(scan(root), "tgz").value


def change_file(file: Path, what: str, content: str) -> None:
    if not file.exists():
        file.write_text(content)
        return
    match what:
        case "write":
            until_its_stamp_differs(file, lambda: file.write_text(content))
        case "touch":
            os.utime(file, ns=(0, 10**18))
        case "remove":
            file.unlink()
        case "replace":
            file.with_name("new").write_text(content)
            file.with_name("new").replace(file)
        case _:
            file.chmod(0o755 if len(content) % 2 else 0o644)
