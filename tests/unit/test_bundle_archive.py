"""Archives and digests: any tree packs to the same bytes and unpacks to itself; what changes meanwhile is found out."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.bundle.digest import Digest, archive_digest, tree_digest
from orchestrator.bundle.entries import Check, Entry, Kind, no_check
from orchestrator.bundle.squeeze import is_dense
from orchestrator.bundle.stream import PackResult, pack_tree
from orchestrator.bundle.tarformat import header
from orchestrator.bundle.tree import Tree, scan
from orchestrator.bundle.zipformat import DEFLATED, STORED, Directory, Member, descriptor, local, streamed
from orchestrator.core.errors import BundleError
from orchestrator.core.model import BundleFormat, Compression

FORMATS: tuple[BundleFormat, ...] = ("tgz", "tar", "zip")
every_format = pytest.mark.parametrize("bundle_format", FORMATS)

Built = dict[str, tuple[str, bytes | str, bool]]
"""Path -> kind, content or target, executable."""

# --- any tree --------------------------------------------------------------------------------------------------------

names = st.one_of(
    st.text("ab.-", min_size=1, max_size=3),
    st.text(min_size=1, max_size=20).filter(lambda name: "/" not in name and "\0" not in name),
    st.sampled_from(["x" * 110, "ü" * 90, "日本語", " lead", "trail ", "a\nb", "back\\slash", "-rf", "*", "'\"$"]),
).filter(lambda name: name not in {".", "..", ".codedeployignore", ".git", ".hg", ".svn", ".bzr"} and encodable(name))
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
contents = st.one_of(st.binary(max_size=600), st.sampled_from([b"", b"x" * 512, b"y" * 70_000]))


def encodable(name: str) -> bool:
    return len(name.encode("utf-8", "surrogateescape")) <= 255 and not any(0xD800 <= ord(c) <= 0xDFFF for c in name)


@st.composite
def trees(draw: st.DrawFn) -> Built:
    built: Built = {}
    for path in draw(st.lists(paths, min_size=1, max_size=8)):
        above = [path[:at] for at, character in enumerate(path) if character == "/"]
        if any(built.get(parent, ("dir",))[0] != "dir" for parent in above) or path in built:
            continue
        for parent in above:
            built.setdefault(parent, ("dir", b"", True))
        match draw(st.sampled_from(["file", "file", "dir", "symlink"])):
            case "file":
                built[path] = ("file", draw(contents), draw(st.booleans()))
            case "dir":
                built[path] = ("dir", b"", True)
            case _:
                built[path] = ("symlink", draw(names.filter(lambda name: not name.startswith("/"))), True)
    return built


@contextmanager
def on_disk(built: Built) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "source"
        root.mkdir()
        for path, (kind, content, executable) in sorted(built.items()):
            write(root / path, kind, content, executable)
        yield root


def write(path: Path, kind: str, content: bytes | str, executable: bool) -> None:
    if kind == "dir":
        path.mkdir()
    elif isinstance(content, str):
        path.symlink_to(content)
    else:
        path.write_bytes(content)
        path.chmod(0o750 if executable else 0o604)


def pack(
    tree: Tree, bundle_format: BundleFormat, out: BinaryIO, *, expected: Digest | None = None, check: Check = no_check
) -> PackResult:
    with pack_tree(tree, bundle_format, expected=expected, check=check) as stream:
        for chunk in stream:
            assert chunk
            out.write(chunk)
        return stream.result


def packed(tree: Tree, bundle_format: BundleFormat) -> tuple[bytes, PackResult]:
    out = io.BytesIO()
    result = pack(tree, bundle_format, out, expected=tree_digest(tree, bundle_format))
    assert result.size == len(out.getvalue())
    return out.getvalue(), result


def found(root: Path) -> Built:
    """What stands on disk, in the shape it was made from."""
    result: Built = {}
    for path in root.rglob("*"):
        info = path.lstat()
        name = str(path.relative_to(root))
        if stat.S_ISLNK(info.st_mode):
            result[name] = ("symlink", str(path.readlink()), True)
        elif stat.S_ISDIR(info.st_mode):
            result[name] = ("dir", b"", True)
        else:
            result[name] = ("file", path.read_bytes(), bool(info.st_mode & 0o100))
    return result


def listed(data: bytes, bundle_format: BundleFormat) -> Built:
    """What Python's own modules read from an archive."""
    return listed_zip(data) if bundle_format == "zip" else listed_tar(data)


def listed_tar(data: bytes) -> Built:
    result: Built = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for info in archive:
            assert (info.uid, info.gid, info.uname, info.gname, info.mtime) == (0, 0, "", "", 315532800)
            if info.issym():
                result[info.name] = ("symlink", info.linkname, True)
            elif info.isdir():
                result[info.name] = ("dir", b"", info.mode == 0o755)
            else:
                file = archive.extractfile(info)
                assert file is not None
                assert info.mode in {0o644, 0o755}
                result[info.name] = ("file", file.read(), info.mode == 0o755)
    return result


def listed_zip(data: bytes) -> Built:
    result: Built = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        for info in archive.infolist():
            mode = info.external_attr >> 16
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            if stat.S_ISLNK(mode):
                result[info.filename] = ("symlink", archive.read(info).decode(), True)
            elif info.is_dir():
                assert info.filename.endswith("/")
                result[info.filename[:-1]] = ("dir", b"", stat.S_IMODE(mode) == 0o755)
            else:
                assert stat.S_IMODE(mode) in {0o644, 0o755}
                result[info.filename] = ("file", archive.read(info), stat.S_IMODE(mode) == 0o755)
    return result


several = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@every_format
@several
@given(built=trees())
def test_any_tree_packs_and_unpacks_to_itself(bundle_format: BundleFormat, built: Built) -> None:
    with on_disk(built) as root:
        data, result = packed(scan(root), bundle_format)
    assert result.entries == len(built)
    assert listed(data, bundle_format) == built


@every_format
@several
@given(built=trees(), seed=st.randoms())
def test_the_same_tree_gives_the_same_bytes_wherever_and_in_whatever_order(
    bundle_format: BundleFormat, built: Built, seed: random.Random
) -> None:
    with on_disk(built) as root:
        first = packed(scan(root), bundle_format)
    shuffled = list(built.items())
    seed.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "elsewhere"
        root.mkdir()
        for path, (kind, content, executable) in shuffled:
            if kind == "dir":
                (root / path).mkdir(parents=True, exist_ok=True)
                continue
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            write(root / path, kind, content, executable)
            os.utime(root / path, (1, 1), follow_symlinks=False)
        assert packed(scan(root), bundle_format) == first


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar here")
@settings(max_examples=15, deadline=None)
@given(built=trees(), bundle_format=st.sampled_from(["tgz", "tar"]))
def test_the_agents_tar_unpacks_any_tree_to_itself(built: Built, bundle_format: BundleFormat) -> None:
    with on_disk(built) as root:
        data, _ = packed(scan(root), bundle_format)
        target = root.parent / "unpacked"
        target.mkdir()
        flags = "-xzpsf" if bundle_format == "tgz" else "-xpsf"
        subprocess.run(["tar", flags, "-", "-C", str(target)], input=data, check=True, capture_output=True)
        assert found(target) == built


@pytest.mark.skipif(shutil.which("unzip") is None, reason="no unzip here")
def test_the_agents_unzip_unpacks_a_tree_to_itself(tmp_path: Path) -> None:
    built: Built = {
        "appspec.yml": ("file", b"version: 0.0\n", False),
        "bin": ("dir", b"", True),
        "bin/run": ("file", b"#!/bin/sh\n" * 9000, True),
        "bin/link": ("symlink", "run", True),
        "empty": ("dir", b"", True),
        "empty.txt": ("file", b"", False),
        "grün/日本": ("file", os.urandom(100_000), False),
        "grün": ("dir", b"", True),
        "x" * 200: ("file", b"long", False),
    }
    with on_disk(built) as root:
        archive = tmp_path / "b.zip"
        archive.write_bytes(packed(scan(root), "zip")[0])
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    subprocess.run(["unzip", "-tq", str(archive)], check=True, capture_output=True, env=environment)
    subprocess.run(
        ["unzip", "-qo", str(archive), "-d", str(tmp_path / "out")], check=True, capture_output=True, env=environment
    )
    assert found(tmp_path / "out") == built


# --- large files -----------------------------------------------------------------------------------------------------


def large() -> dict[str, bytes]:
    """Files in several pieces: text, noise, both in turn, and ones that end where a piece ends."""
    noise = random.Random(5)  # noqa: S311 - the same noise each time
    text = b"".join(b"line %d of the log\n" % number for number in range(300_000))
    return {
        "a-small": b"x",
        "both": text[:1_500_000] + noise.randbytes(2_500_000) + text[:1_500_000],
        "noise": noise.randbytes(5_000_001),
        "noise-of-one-piece": noise.randbytes(1 << 20),
        "text": text,
        "text-of-five-pieces": text[: 5 << 20],
        "z-small": b"",
    }


@every_format
@pytest.mark.parametrize("compression", ["fast", "small"])
def test_large_files_are_read_by_every_reader(
    tmp_path: Path, bundle_format: BundleFormat, compression: Compression
) -> None:
    files = large()
    root = tmp_path / "source"
    root.mkdir()
    for name, content in files.items():
        (root / name).write_bytes(content)
    tree = scan(root)
    with pack_tree(tree, bundle_format, compression=compression, expected=tree_digest(tree, bundle_format)) as stream:
        data = b"".join(stream)
    with pack_tree(tree, bundle_format, compression=compression) as stream:
        assert b"".join(stream) == data
    assert listed(data, bundle_format) == {name: ("file", content, False) for name, content in files.items()}
    archive = tmp_path / f"b.{bundle_format}"
    archive.write_bytes(data)
    for command in READERS[bundle_format]:
        if shutil.which(command[0]) is not None:
            subprocess.run([*command, str(archive)], check=True, capture_output=True)
    if bundle_format != "tar":
        noise = sum(len(content) for name, content in files.items() if "noise" in name)
        assert noise < len(data) < noise + 5_000_000  # stored; what compresses was compressed


READERS: Mapping[BundleFormat, Sequence[Sequence[str]]] = {
    "tgz": [["gunzip", "-t"], ["tar", "-tzf"]],
    "tar": [["tar", "-tf"]],
    "zip": [["unzip", "-tq"]],
}


@pytest.mark.parametrize("bundle_format", ["tgz", "zip"])
def test_small_is_smaller(tmp_path: Path, bundle_format: BundleFormat) -> None:
    (tmp_path / "text").write_bytes(large()["text"][:1_000_000])
    fast, small = (
        sum(len(chunk) for chunk in pack_tree(scan(tmp_path), bundle_format, compression=compression))
        for compression in ("fast", "small")
    )
    assert small < fast < 500_000


@pytest.mark.parametrize("bundle_format", ["tgz", "zip"])
def test_a_name_does_not_decide_what_is_stored(tmp_path: Path, bundle_format: BundleFormat) -> None:
    """A picture that is none is compressed; noise that is called text is stored."""
    (tmp_path / "picture.png").write_bytes(b"no picture\n" * 50_000)
    noise = random.Random(6).randbytes(60_000)  # noqa: S311 - as above
    (tmp_path / "noise.txt").write_bytes(noise)
    data, _ = packed(scan(tmp_path), bundle_format)
    assert noise in data
    assert len(data) < 70_000


def test_what_hardly_compresses_is_told_by_its_content() -> None:
    noise = random.Random(7)  # noqa: S311 - as above
    text = b"".join(b"%d bottles\n" % number for number in range(100_000))
    assert is_dense(noise.randbytes(20_000), "fast")
    assert is_dense(noise.randbytes(1 << 20), "small")
    assert not is_dense(text, "fast")
    assert not is_dense(noise.randbytes(600_000) + text[:400_000], "fast")  # two fifths would be lost
    assert not is_dense(noise.randbytes(100), "fast")  # not worth a sample
    assert not is_dense(b"", "fast")


# --- headers ---------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    path=paths,
    kind=st.sampled_from(["file", "dir", "symlink"]),
    executable=st.booleans(),
    size=st.sampled_from([0, 1, 511, 512, 8**11 - 1, 8**11, 2**40]),
)
def test_tar_headers_are_those_of_the_standard_library(path: str, kind: Kind, executable: bool, size: int) -> None:
    mode = 0o777 if kind == "symlink" else 0o755 if executable or kind == "dir" else 0o644
    entry = Entry(path, kind, mode, size if kind == "file" else 0, "to/there" if kind == "symlink" else "")
    info = tarfile.TarInfo(path)
    info.type = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE}[kind]
    info.mode, info.size, info.mtime, info.linkname = mode, entry.size, 315532800, entry.target
    assert header(entry) == info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    (source / "appspec.yml").write_text("version: 0.0\nos: linux\n")
    (source / "data").write_bytes(b"0123456789" * 1000)
    return source


def test_the_gzip_header_has_neither_time_nor_name(root: Path) -> None:
    data, _ = packed(scan(root), "tgz")
    assert data[:4] == b"\x1f\x8b\x08\x00"  # no flags: no name, no comment
    assert data[4:8] == bytes(4)  # no time


def test_tar_ends_as_tar_does(root: Path) -> None:
    data, _ = packed(scan(root), "tar")
    assert len(data) % 10240 == 0
    assert data.endswith(bytes(1024))


class Hole(io.RawIOBase):
    """Keeps the first and the last of what is written, and the size."""

    def __init__(self) -> None:
        self.head = b""
        self.tail = b""
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        chunk = bytes(data)  # type: ignore[call-overload] # any buffer
        self.head = (self.head + chunk)[:2000]
        self.tail = (self.tail + chunk)[-4000:]
        self.size += len(chunk)
        return len(chunk)


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar here")
def test_tar_names_sizes_over_eight_gigabytes(tmp_path: Path) -> None:
    """Only the header: the file has a hole of that size, and the packing ends once the header is out."""
    huge = tmp_path / "huge"
    huge.touch()
    os.truncate(huge, 9_000_000_000)
    hole = Hole()

    def check() -> None:
        if hole.size:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        pack(scan(tmp_path), "tar", hole, check=check)  # type: ignore[arg-type] # a RawIOBase with `write` is enough
    seen = subprocess.run(["tar", "-tvf", "-"], input=hole.head[:512], check=False, capture_output=True, text=False)
    assert b"9000000000" in seen.stdout


def test_zip_of_a_file_over_four_gigabytes() -> None:
    """One byte says that it is so many: a directory that is told of a large size must be zip64 throughout."""
    entry = Entry("huge", "file", size=5 << 30)
    huge = Member(entry, DEFLATED, zlib.crc32(b"x"), entry.size, 3, streamed=True)
    first = streamed(entry) + zlib.compress(b"x", wbits=-15) + descriptor(huge)
    link = Member(Entry("link", "symlink", 0o777, target="huge"), STORED, zlib.crc32(b"huge"), 4, 4)
    directory = Directory()
    directory.add(huge, 0)
    directory.add(link, len(first))
    both = first + local(link) + b"huge"
    data = both + directory.finish(len(both))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found, second = archive.infolist()
        assert (found.file_size, found.extract_version, found.compress_size) == (5 << 30, 45, 3)
        assert archive.read(second) == b"huge"
    assert data[4:6] == bytes([45, 0])


def test_zip_with_more_entries_than_its_old_end_record_counts() -> None:
    directory = Directory()
    body = bytearray()
    for number in range(70_000):
        member = Member(Entry(f"d{number}", "dir", 0o755), STORED, 0, 0, 0)
        directory.add(member, len(body))
        body += local(member)
    with zipfile.ZipFile(io.BytesIO(bytes(body) + directory.finish(len(body)))) as archive:
        assert len(archive.infolist()) == 70_000
        assert archive.infolist()[-1].filename == "d69999/"


# --- digests ---------------------------------------------------------------------------------------------------------


def test_the_digest_is_what_its_documentation_says(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/run").write_bytes(b"hi\n")
    (tmp_path / "d/run").chmod(0o700)
    (tmp_path / "l").symlink_to("d/run")
    content = hashlib.sha256(b"hi\n").hexdigest()
    fields = ["orchestrator-tree-v1", "tgz", "dir", "755", "d", ""]
    fields += ["file", "755", "d/run", content, "symlink", "777", "l", "d/run"]
    expected = hashlib.sha256("".join(f"{field}\0" for field in fields).encode()).hexdigest()
    digest = tree_digest(scan(tmp_path), "tgz")
    assert digest.value == f"sha256:{expected}"
    assert digest.hex == expected


def test_a_digest_of_today_is_the_digest_of_yesterday(tmp_path: Path) -> None:
    """Fixed for good: bundles in buckets carry these names."""
    (tmp_path / "appspec.yml").write_bytes(b"version: 0.0\nos: linux\n")
    expected = "sha256:e4228eb32c935cb93a2e5a8f0f721632df687be1a1dd644fab7ac00e3edcbb6b"
    assert tree_digest(scan(tmp_path), "tgz").value == expected


def test_the_digest_changes_with_whatever_reaches_the_instance(root: Path) -> None:
    def now(bundle_format: BundleFormat = "tgz") -> str:
        return tree_digest(scan(root), bundle_format).value

    seen = [now(), now("zip"), now("tar")]
    (root / "data").chmod(0o755)
    seen.append(now())
    (root / "data").write_bytes(b"other")
    seen.append(now())
    (root / "data").rename(root / "date")
    seen.append(now())
    (root / "empty").mkdir()
    seen.append(now())
    (root / "link").symlink_to("date")
    seen.append(now())
    (root / "link").unlink()
    (root / "link").symlink_to("empty")
    seen.append(now())
    assert len(set(seen)) == len(seen)


def test_the_digest_of_a_ready_archive_is_that_of_its_bytes_and_format(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(b"PK")
    expected = hashlib.sha256(b"orchestrator-archive-v1\0zip\0PK").hexdigest()
    assert archive_digest(file, "zip").value == f"sha256:{expected}"
    assert archive_digest(file, "tgz").value != archive_digest(file, "zip").value


def test_the_digest_of_a_ready_archive_that_went_away(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"a\.zip: changed while"):
        archive_digest(tmp_path / "a.zip", "zip")


# --- a source that changes meanwhile ---------------------------------------------------------------------------------


def remove(file: Path) -> None:
    file.unlink()


def grow(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"!")


def shrink(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def to_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def to_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/hostname")


def rewrite(file: Path) -> None:
    """Same size, other content."""
    file.write_bytes(b"9" * file.stat().st_size)


@every_format
@pytest.mark.parametrize("change", [remove, grow, shrink, to_fifo, to_link, rewrite])
def test_a_file_that_changes_after_the_digest(
    root: Path, bundle_format: BundleFormat, change: Callable[[Path], None]
) -> None:
    tree = scan(root)
    expected = tree_digest(tree, bundle_format)
    change(root / "data")
    with pytest.raises(BundleError, match="source/data: ") as caught:
        pack(tree, bundle_format, io.BytesIO(), expected=expected)
    assert caught.value.hint


@pytest.mark.parametrize("change", [remove, grow, shrink, to_fifo, to_link])
def test_a_file_that_changes_before_the_digest(root: Path, change: Callable[[Path], None]) -> None:
    tree = scan(root)
    change(root / "data")
    with pytest.raises(BundleError, match="source/data: "):
        tree_digest(tree, "tgz")


def test_a_digest_of_another_tree_is_noticed(root: Path) -> None:
    expected = tree_digest(scan(root), "tgz")
    (root / "data").chmod(0o755)
    with pytest.raises(BundleError, match="isn't what was to be packed"):
        pack(scan(root), "tgz", io.BytesIO(), expected=expected)


@every_format
def test_packing_ends_where_check_raises(root: Path, bundle_format: BundleFormat) -> None:
    (root / "data").write_bytes(bytes(6 << 20))
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 4:  # in the middle of the second file
            raise InterruptedError

    with pytest.raises(InterruptedError):
        pack(scan(root), bundle_format, io.BytesIO(), check=check)


@every_format
def test_a_full_disk_is_passed_on(root: Path, bundle_format: BundleFormat) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        pack(scan(root), bundle_format, Full())
