"""Ready archives as the agent's tar and unzip take them; each verdict here was seen from GNU tar 1.34 and unzip 6.0."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.bundle.appspec_findings import AppSpecFinding
from orchestrator.bundle.check import CheckedBundle, Options, check_bundle
from orchestrator.bundle.entries import no_check
from orchestrator.bundle.members import ArchiveError
from orchestrator.bundle.reader import Budget

APPSPEC = (
    b"version: 0.0\nos: linux\nfiles:\n  - source: app\n    destination: /opt/zz\n"
    b"hooks:\n  AfterInstall:\n    - location: s/ok.sh\n"
)
SCRIPT = b"#!/bin/sh\nexit 0\n"


class Item:
    """A member of either kind of archive."""

    def __init__(self, path: str, content: bytes = b"1", *, kind: str = "file", target: str = "", mode: int = 0o644):
        self.path, self.content, self.kind, self.target, self.mode = path, content, kind, target, mode


def folder(path: str) -> Item:
    return Item(path, b"", kind="dir", mode=0o755)


def link(path: str, target: str) -> Item:
    return Item(path, b"", kind="symlink", target=target, mode=0o777)


def hard(path: str, target: str) -> Item:
    return Item(path, b"", kind="hardlink", target=target)


BASE = (Item("appspec.yml", APPSPEC), Item("app/x.txt", b"hi\n" * 50), Item("s/ok.sh", SCRIPT, mode=0o755))

_TAR = {"file": b"0", "dir": b"5", "symlink": b"2", "hardlink": b"1", "fifo": b"6", "other": b"Z"}
_ZIP = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "symlink": stat.S_IFLNK}


def tar_of(items: Iterable[Item], *, end: bool = True) -> bytes:
    out = io.BytesIO()
    archive = tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115 - closed, or meant not to be
    for item in items:
        info = tarfile.TarInfo(item.path)
        info.type, info.linkname, info.mode = _TAR[item.kind], item.target, item.mode
        info.size = len(item.content)
        archive.addfile(info, io.BytesIO(item.content))
    if end:
        archive.close()
    return out.getvalue()


def zip_of(items: Iterable[Item], *, system: int = 3, method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for item in items:
            info = zipfile.ZipInfo()
            info.filename = f"{item.path}/" if item.kind == "dir" else item.path
            info.create_system, info.compress_type = system, method
            info.external_attr = (_ZIP[item.kind] | item.mode) << 16 if system == 3 else 0x20
            archive.writestr(info, item.target.encode() if item.kind == "symlink" else item.content)
    return out.getvalue()


def check(tmp_path: Path, content: bytes, name: str, options: Options | None = None) -> CheckedBundle:
    path = tmp_path / name
    path.write_bytes(content)
    return check_bundle(path, options)


def codes(findings: Sequence[object]) -> list[str]:
    return [finding.code for finding in findings if isinstance(finding, AppSpecFinding)]


def errors(tmp_path: Path, content: bytes, name: str) -> list[str]:
    return codes(check(tmp_path, content, name).report.errors)


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ([hard("app/h", "app/x.txt")], None),
        ([hard("app/h", "/app/x.txt")], None),
        ([hard("app/h", "app/../app/x.txt")], None),
        ([link("l", "app"), hard("h", "l")], None),
        ([hard("app/h", "app/none")], "archive_unreadable"),
        ([hard("h", "app")], "archive_unreadable"),
        ([Item("f", b"", kind="fifo")], None),
        ([Item("app/f", b"", kind="fifo")], "special_file"),
        ([Item("f", b"x", kind="other")], None),
        ([Item("c"), folder("c")], None),
        ([folder("c"), Item("c")], None),
        ([Item("c/x"), Item("c")], "archive_name_clash"),
        ([Item("c"), Item("c/x")], "archive_name_clash"),
        ([Item("c/x"), link("c", "app")], "archive_name_clash"),
        ([folder("c"), link("c", "app")], None),
        ([link("c", "app"), folder("c")], None),
        ([link("c", "app"), Item("c/y")], None),
        ([link("c", "/tmp"), Item("c/y")], "archive_path_traversal"),
        ([link("q/c", "../app"), Item("q/c/y")], "archive_path_traversal"),
        ([link("c", "/tmp"), folder("c")], None),
        ([Item("app/../y")], "archive_path_traversal"),
        ([Item("/../y")], "archive_path_traversal"),
        ([Item("app/..y")], None),
        ([Item("/q")], None),
        ([link("app/l", "")], "archive_unreadable"),
        ([link("app/l", "l")], None),
        ([link("app/l", ".")], None),
        ([link("app/l", ".."), link("app/m", "..")], "symlink_loop"),
        ([Item("o/" + "n" * 255)], None),
        ([Item("o/" + "n" * 256)], "file_name_too_long"),
    ],
)
def test_members_of_a_tar(tmp_path: Path, extra: list[Item], code: str | None) -> None:
    assert errors(tmp_path, tar_of([*BASE, *extra]), "a.tar") == ([] if code is None else [code])


@pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile's, of what these are about
@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ([Item("c"), folder("c")], "archive_name_clash"),
        ([folder("c"), Item("c")], "archive_name_clash"),
        ([Item("c/x"), Item("c")], "archive_name_clash"),
        ([Item("c"), Item("c/x")], "archive_name_clash"),
        ([link("c", "app"), Item("c/y")], None),
        ([link("c", "app"), folder("c")], None),
        ([link("c", "app/x.txt"), Item("c")], None),
        ([Item("c"), link("c", "app/x.txt")], None),
        ([Item("../q")], None),
        ([Item("app/../q")], None),
        ([Item("/q")], None),
        ([link("app/l", "")], None),
        ([Item("o/" + "n" * 256)], "file_name_too_long"),
        ([Item("app/a\\b")], None),
        ([Item("APP/x.txt")], None),
    ],
)
def test_members_of_a_zip(tmp_path: Path, extra: list[Item], code: str | None) -> None:
    assert errors(tmp_path, zip_of([*BASE, *extra]), "a.zip") == ([] if code is None else [code])


WHOLE = tar_of(BASE)
OPEN = tar_of(BASE, end=False)
ZIPPED = gzip.compress(WHOLE)
STORED = zip_of(BASE)
DEFLATED = zip_of(BASE, method=zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.tar", OPEN, None),  # no end mark
        ("a.tar", OPEN + bytes(512), None),
        ("a.tar", WHOLE + b"x" * 5000, None),
        ("a.tar", OPEN[:-100], "archive_unreadable"),
        ("a.tar", OPEN + b"x" * 512, "archive_unreadable"),
        ("a.tar", WHOLE[:1024] + bytes([WHOLE[1024] ^ 1]) + WHOLE[1025:], "archive_unreadable"),
        ("a.tar", bytes(10240), "appspec_missing"),
        ("a.tar", ZIPPED, None),
        ("a.tar", STORED, "archive_type_mismatch"),
        ("a.tgz", ZIPPED + bytes(100), None),
        ("a.tgz", ZIPPED + b"garbage" * 10, "archive_unreadable"),
        ("a.tgz", gzip.compress(WHOLE[:2000]) + gzip.compress(WHOLE[2000:]), None),
        ("a.tgz", ZIPPED[:-8] + b"\1\2\3\4" + ZIPPED[-4:], "archive_unreadable"),
        ("a.tgz", ZIPPED[:-4], "archive_unreadable"),
        ("a.tgz", WHOLE, "archive_type_mismatch"),
        ("a.zip", DEFLATED, None),
        ("a.zip", STORED + b"x" * 20, None),
        ("a.zip", b"x" * 20 + STORED, None),
        ("a.zip", STORED.replace(b"hi\nhi", b"ho\nhi", 1), None),  # only the checksum is wrong now
        ("a.zip", STORED[: len(STORED) // 2], "archive_unreadable"),
        ("a.zip", STORED[:-22], "archive_unreadable"),
        ("a.zip", WHOLE, "archive_type_mismatch"),
        ("a.zip", zip_of(BASE, method=zipfile.ZIP_BZIP2), None),
        ("a.zip", zip_of(BASE, method=zipfile.ZIP_LZMA), "archive_compression_unsupported"),
        ("a.bin", STORED, None),  # by its content
        ("a.bin", b"what is this", "bundle_unusable"),
    ],
)
def test_whole_archives(tmp_path: Path, name: str, content: bytes, code: str | None) -> None:
    assert errors(tmp_path, content, name) == ([] if code is None else [code])


@pytest.mark.parametrize("name", ["a.zip", "a.tgz"])
def test_the_bundle_type_of_the_deployment_counts(tmp_path: Path, name: str) -> None:
    report = check(tmp_path, WHOLE, name, Options(bundle_type="tar")).report
    assert report.ok
    assert codes(check(tmp_path, STORED, "a.zip", Options(bundle_type="tgz")).report.errors) == [
        "archive_type_mismatch"
    ]


def test_backslashes_of_a_zip_from_windows(tmp_path: Path) -> None:
    items = [Item(item.path.replace("/", "\\"), item.content) for item in BASE]
    found = check(tmp_path, zip_of(items, system=0), "a.zip")
    assert found.report.ok
    assert [entry.path for entry in found.entries] == ["app/x.txt", "appspec.yml", "s/ok.sh"]
    assert set(codes(found.report.warnings)) == {"archive_backslash_names"}
    assert errors(tmp_path, zip_of(items), "b.zip") == ["source_not_found", "script_missing"]


@pytest.mark.parametrize(
    ("items", "top", "code"),
    [
        ([Item(f"top/{item.path}", item.content, mode=item.mode) for item in BASE], "top", None),
        ([Item(f".top/{item.path}", item.content, mode=item.mode) for item in BASE], ".top", None),
        ([*(Item(f"top/{item.path}", item.content) for item in BASE), Item("README")], "", "appspec_missing"),
        ([*(Item(f"a/b/{item.path}", item.content) for item in BASE)], "", "appspec_missing"),
        ([Item("top/old-AppSpec.txt"), Item("top/x")], "top", "appspec_missing"),
    ],
)
def test_the_single_top_folder(tmp_path: Path, items: list[Item], top: str, code: str | None) -> None:
    found = check(tmp_path, zip_of(items), "a.zip")
    assert (found.top, codes(found.report.errors)) == (top, [] if code is None else [code])


def test_modes_are_those_that_an_instance_gets(tmp_path: Path) -> None:
    items = [*BASE, Item("app/suid", mode=0o4755)]
    in_tar = {entry.path: entry.mode for entry in check(tmp_path, tar_of(items), "a.tar").entries}
    in_zip = {entry.path: entry.mode for entry in check(tmp_path, zip_of(items), "a.zip").entries}
    from_windows = {entry.path: entry.mode for entry in check(tmp_path, zip_of(BASE, system=0), "b.zip").entries}
    assert (in_tar["app/suid"], in_zip["app/suid"], from_windows["s/ok.sh"]) == (0o4755, 0o755, 0o644)


def test_a_bomb_is_not_unpacked_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    path.write_bytes(bytes(100))
    budget = Budget(path, no_check, limit=1000)
    budget.take(1000)
    with pytest.raises(ArchiveError, match="200 times its size") as caught:
        budget.take(1)
    assert caught.value.code == "archive_bomb"


def test_an_encrypted_member(tmp_path: Path) -> None:
    data = bytearray(STORED)
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.index(signature) + offset
        data[at : at + 2] = struct.pack("<H", 1)
    assert errors(tmp_path, bytes(data), "a.zip") == ["archive_encrypted"]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_makes_it_raise(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    name, whole = data.draw(
        st.sampled_from([("a.tar", WHOLE), ("a.tgz", ZIPPED), ("a.zip", STORED), ("a.zip", DEFLATED)])
    )
    content = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for at in data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=4)):
        if content:
            content[at] ^= data.draw(st.integers(1, 255))
    report = check(tmp_path_factory.mktemp("damaged"), bytes(content), name).report
    assert report.ok == (not report.errors)
    assert all(finding.line >= 1 for finding in (*report.errors, *report.warnings))
