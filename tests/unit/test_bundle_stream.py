"""The archive as a stream: it can be left at any point, and says what was packed only at its end."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import pytest

from orchestrator.bundle.digest import tree_digest
from orchestrator.bundle.source import digest, open_source
from orchestrator.bundle.stream import pack_stream, pack_tree
from orchestrator.bundle.tree import scan
from orchestrator.core.errors import SourceChangedError
from orchestrator.core.model import BundleFormat, BundleSource

every_format = pytest.mark.parametrize("bundle_format", ["tgz", "tar", "zip"])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    (source / "appspec.yml").write_text("version: 0.0\nos: linux\n")
    for number in range(40):
        (source / f"file-{number}").write_bytes(bytes([number]) * 300_000)
    return source


def source_of(path: Path) -> BundleSource:
    return BundleSource(path=path, bucket="b", prefix="")


@every_format
def test_the_result_is_there_at_the_end_and_not_before(root: Path, bundle_format: BundleFormat) -> None:
    tree = scan(root)
    with pack_tree(tree, bundle_format) as stream:
        size = len(next(stream))
        with pytest.raises(RuntimeError, match="hasn't come to its end"):
            _ = stream.result
        size += sum(len(chunk) for chunk in stream)
        assert (stream.result.size, stream.result.entries) == (size, 41)
        assert stream.result.digest == tree_digest(tree, bundle_format)
        assert list(stream) == []
    assert stream.result.size == size


@every_format
@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_a_stream_can_be_left_early_without_a_trace(root: Path, bundle_format: BundleFormat, chunks: int) -> None:
    gc.collect()  # what other tests left open would otherwise go in the middle of this one
    before = threading.active_count()
    descriptors = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    stream = pack_tree(scan(root), bundle_format)
    for _ in range(chunks):
        next(stream)
    stream.close()
    stream.close()
    assert threading.active_count() == before
    if descriptors:
        assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    assert list(stream) == []
    with pytest.raises(RuntimeError, match="hasn't come to its end"):
        _ = stream.result


@every_format
def test_no_thread_stays_after_an_error(root: Path, bundle_format: BundleFormat) -> None:
    before = threading.active_count()
    tree = scan(root)
    known = tree_digest(tree, bundle_format)
    (root / "file-30").write_bytes(b"!" * 300_000)
    stream = pack_tree(tree, bundle_format, expected=known)
    with pytest.raises(SourceChangedError, match="file-30: changed"):
        list(stream)
    assert threading.active_count() == before
    assert list(stream) == []


def test_a_ready_archive_streams_as_it_is(root: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.tgz"
    made.write_bytes(b"".join(pack_tree(scan(root), "tgz")))
    bundle = open_source(source_of(made))
    known = digest(bundle)
    with pack_stream(bundle, expected=known) as stream:
        assert b"".join(stream) == made.read_bytes()
    assert (stream.result.digest, stream.result.size, stream.result.entries) == (known, made.stat().st_size, 41)
    made.write_bytes(made.read_bytes()[:-1])
    with pytest.raises(SourceChangedError, match=r"made\.tgz: changed"):
        list(pack_stream(bundle, expected=known))
