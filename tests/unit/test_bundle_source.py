"""Sources from end to end: directories and ready archives, keys, and the file that goes up."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.bundle.appspec import AppSpecReport
from orchestrator.bundle.appspec_findings import AppSpecFinding
from orchestrator.bundle.digest import archive_digest
from orchestrator.bundle.packing import materialise
from orchestrator.bundle.source import Bundle, digest, largest, object_key, open_source
from orchestrator.core.errors import BundleError
from orchestrator.core.model import BundleFormat, BundleSource

APPSPEC = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: run.sh\n"
SCRIPT = "#!/bin/sh\nexit 0\n"
GOOD = {"appspec.yml": APPSPEC, "run.sh": SCRIPT}


def source(path: Path, asked: BundleFormat | None = None, *, key: str | None = None, ignore: str = "") -> BundleSource:
    patterns = (ignore,) if ignore else ()
    return BundleSource(path=path, bucket="b", prefix="bundles", format=asked, key=key, ignore=patterns)


def directory(path: Path, files: Mapping[str, str] = GOOD) -> Path:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def tar_bytes(files: Mapping[str, str] = GOOD) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def zip_bytes(files: Mapping[str, str] = GOOD) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def archive(path: Path, files: Mapping[str, str] = GOOD) -> Path:
    """An archive of what the name says."""
    if path.suffix == ".zip":
        path.write_bytes(zip_bytes(files))
    else:
        path.write_bytes(tar_bytes(files) if path.suffix == ".tar" else gzip.compress(tar_bytes(files)))
    return path


def codes(report: AppSpecReport) -> tuple[list[str], list[str]]:
    """Of errors and warnings."""

    def of(findings: object) -> list[str]:
        assert isinstance(findings, tuple)
        return [finding.code for finding in findings if isinstance(finding, AppSpecFinding)]

    return of(report.errors), of(report.warnings)


# --- directories -----------------------------------------------------------------------------------------------------


def test_a_directory_from_source_to_archive(tmp_path: Path) -> None:
    bundle = open_source(source(directory(tmp_path / "api")))
    assert (bundle.format, bundle.report.ok, bundle.report.os) == ("tgz", True, "linux")
    known = digest(bundle)
    (tmp_path / "out").mkdir()
    packed = materialise(bundle, tmp_path / "out", expected=known)
    assert packed.temporary
    assert packed.path.parent == tmp_path / "out"
    assert packed.path.name.endswith(".tgz")
    assert (packed.digest, packed.size, packed.entries) == (known.value, packed.path.stat().st_size, 2)
    again = open_source(source(packed.path))
    assert again.report.ok
    assert again.entries == bundle.entries


@pytest.mark.parametrize(
    ("os", "asked", "expected", "errors"),
    [
        ("linux", None, "tgz", []),
        ("linux", "tar", "tar", []),
        ("linux", "zip", "zip", []),
        ("windows", None, "zip", []),
        ("windows", "zip", "zip", []),
        ("windows", "tgz", "tgz", ["windows_needs_zip"]),
        ("beos", None, "tgz", ["os_invalid"]),
    ],
)
def test_the_format(
    tmp_path: Path, os: str, asked: BundleFormat | None, expected: BundleFormat, errors: list[str]
) -> None:
    directory(tmp_path, {"appspec.yml": f"version: 0.0\nos: {os}\n"})
    bundle = open_source(source(tmp_path, asked))
    assert bundle.format == expected
    assert codes(bundle.report)[0] == errors


def test_findings_name_the_file_as_the_user_sees_it(tmp_path: Path) -> None:
    directory(tmp_path, {"appspec.yml": "version: 0.0\nos: linux\nhooks:\n  AfterInstal: []\n"})
    (finding,) = open_source(source(tmp_path), shown="./api/").report.errors
    assert str(finding).startswith("./api/appspec.yml:4:3: hooks: 'AfterInstal' is no lifecycle event")
    assert finding.hint == "did you mean 'AfterInstall'?"
    assert open_source(source(tmp_path)).report.errors[0].file == f"{tmp_path}/appspec.yml"


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        ({"appspec.yaml": APPSPEC}, "rename appspec.yaml to appspec.yml"),
        ({"AppSpec.yml": APPSPEC}, "rename AppSpec.yml to appspec.yml"),
        ({"dist/appspec.yml": APPSPEC}, "it is at dist/appspec.yml: make dist/ the source"),
        ({"a/b/appspec.yml": APPSPEC, "c/appspec.yml": APPSPEC}, "it is at c/appspec.yml"),
        ({"readme": "x"}, "is this the folder that holds appspec.yml?"),
    ],
)
def test_an_appspec_that_is_not_where_it_should_be(tmp_path: Path, files: dict[str, str], hint: str) -> None:
    report = open_source(source(directory(tmp_path, files))).report
    assert codes(report)[0] == ["appspec_missing"]
    assert hint in str(report.errors[0])


def test_an_appspec_that_is_ignored(tmp_path: Path) -> None:
    report = open_source(source(directory(tmp_path), ignore="*.yml")).report
    assert "an ignore pattern leaves it out" in str(report.errors[0])


def test_an_appspec_that_is_a_directory_a_link_or_a_broken_link(tmp_path: Path) -> None:
    directory(tmp_path, {"real.yml": APPSPEC, "run.sh": SCRIPT})
    link = tmp_path / "appspec.yml"
    link.symlink_to("real.yml")
    assert open_source(source(tmp_path)).report.ok
    link.unlink()
    link.symlink_to("nothing")
    assert "a link to something that isn't in the bundle" in str(open_source(source(tmp_path)).report.errors[0])
    link.unlink()
    link.mkdir()
    assert codes(open_source(source(tmp_path)).report)[0] == ["appspec_unreadable"]


def test_largest_files_come_first(tmp_path: Path) -> None:
    directory(tmp_path, {"appspec.yml": "x", "b": "22", "a": "22", "c": "333"})
    bundle = open_source(source(tmp_path))
    assert [entry.path for entry in largest(bundle, 3)] == ["c", "a", "b"]
    assert bundle.total_size == 8


# --- ready archives --------------------------------------------------------------------------------------------------

READY = ["a.zip", "a.tar", "a.tgz", "a.tar.gz", "A.TGZ"]


def opened(path: Path) -> Bundle:
    return open_source(source(path))


@pytest.mark.parametrize("name", READY)
def test_a_ready_archive_goes_out_as_it_is(tmp_path: Path, name: str) -> None:
    bundle = opened(archive(tmp_path / name, {**GOOD, "sub/x": "1"}))
    assert bundle.report.ok
    assert bundle.format == {"zip": "zip", "tar": "tar"}.get(name[-3:], "tgz")
    assert [entry.path for entry in bundle.entries] == ["appspec.yml", "run.sh", "sub/x"]
    known = digest(bundle)
    packed = materialise(bundle, tmp_path, expected=known)
    assert (packed.path, packed.temporary, packed.size) == (tmp_path / name, False, (tmp_path / name).stat().st_size)
    assert packed.digest == known.value == archive_digest(tmp_path / name, bundle.format).value


@pytest.mark.parametrize("name", READY)
def test_one_folder_around_everything_is_taken_away_as_the_agent_does(tmp_path: Path, name: str) -> None:
    bundle = opened(archive(tmp_path / name, {"api-1.2/appspec.yml": APPSPEC, "api-1.2/run.sh": SCRIPT}))
    assert bundle.report.ok
    assert [entry.path for entry in bundle.entries] == ["appspec.yml", "run.sh"]


@pytest.mark.parametrize(
    "files",
    [
        {"api/appspec.yml": APPSPEC, "README": "x"},
        {"api/appspec.yml": APPSPEC, "__MACOSX/x": "x"},
        {"a/b/appspec.yml": APPSPEC},
        {"api/appspec.yaml": APPSPEC},
        {"api/run.sh": SCRIPT},
        {},
    ],
)
def test_an_archive_without_an_appspec_where_the_agent_looks(tmp_path: Path, files: dict[str, str]) -> None:
    assert codes(opened(archive(tmp_path / "a.zip", files)).report)[0] == ["appspec_missing"]
    assert codes(opened(archive(tmp_path / "a.tar", files)).report)[0] == ["appspec_missing"]


def test_findings_in_an_archive_name_it(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tgz", {"appspec.yml": APPSPEC})
    (finding,) = open_source(source(path), shown="dist/a.tgz").report.errors
    assert str(finding).startswith("dist/a.tgz!appspec.yml:5:17: hooks.AfterInstall[0].location: script 'run.sh'")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_scripts_in_an_archive_are_looked_into(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / name, {"t/appspec.yml": APPSPEC, "t/run.sh": "#!/bin/sh\r\nexit\r\n"})
    assert codes(opened(path).report)[0] == ["script_crlf"]


@pytest.mark.parametrize(
    "setting",
    [
        {"ignore": ("*.log",)},
        {"include_vcs": True},
        {"ignore_hidden": True},
        {"symlinks": "follow"},
        {"compression": "small"},
    ],
)
def test_settings_of_folders_mean_nothing_for_a_ready_archive(tmp_path: Path, setting: Mapping[str, Any]) -> None:
    ready = source(archive(tmp_path / "a.tgz"))
    with pytest.raises(BundleError, match=rf"a ready archive and goes out as it is, so `{next(iter(setting))}` can"):
        open_source(replace(ready, **setting))


def test_an_archive_that_is_already_taken_by_a_format(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip")
    assert open_source(source(path, "zip")).format == "zip"
    with pytest.raises(BundleError, match="is a ready zip archive, and `format` says tgz"):
        open_source(source(path, "tgz"))


@pytest.mark.parametrize("name", ["a.rar", "a.tar.zst", "a.gz", "appspec.yml", "a"])
def test_an_archive_of_another_kind(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(BundleError) as caught:
        opened(tmp_path / name)
    assert caught.value.hint == "a source is a directory or one of .zip, .tar, .tgz, .tar.gz"


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.zip", tar_bytes(), "expected a zip, it is an uncompressed tar"),
        ("a.zip", gzip.compress(tar_bytes(), mtime=0), "expected a zip, it is gzip"),
        ("a.zip", b"<Error>AccessDenied</Error>", "expected a zip, it is something else"),
        ("a.zip", b"", "expected a zip, it is empty"),
        ("a.tgz", tar_bytes(), "expected gzip, it is an uncompressed tar"),
        ("a.tgz", zip_bytes(), "expected gzip, it is a zip"),
        ("a.tgz", b"", "expected gzip, it is empty"),
        ("a.tar", zip_bytes(), "expected an uncompressed tar, it is a zip"),
        ("a.tar", b"<Error>AccessDenied</Error>" * 100, "can't be read as an archive"),
        ("a.tar", b"", "can't be read as an archive"),
        ("a.zip", zip_bytes()[:-30], "can't be read as an archive"),
        ("a.tar", tar_bytes({"appspec.yml": "x" * 2000})[:1500], "can't be read as an archive"),
        ("a.tgz", gzip.compress(tar_bytes(), mtime=0)[:-20], "can't be read as an archive"),
        ("a.tgz", gzip.compress(tar_bytes(), mtime=0)[:-8] + bytes(8), "can't be read as an archive"),  # the checksum
        ("a.tgz", gzip.compress(b"no tar" * 500, mtime=0), "can't be read as an archive"),
    ],
)
def test_a_file_that_is_not_what_its_name_says(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BundleError) as caught:
        opened(tmp_path / name)
    assert what in caught.value.message
    assert caught.value.message.startswith(f"{tmp_path / name}: ")
    assert caught.value.hint


def test_a_zip_whose_content_is_damaged(tmp_path: Path) -> None:
    data = bytearray(zip_bytes({"appspec.yml": APPSPEC}))
    data[41] ^= 0xFF  # the first byte of the compressed content, which says how it is compressed
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(BundleError, match="can't be unpacked"):
        opened(tmp_path / "a.zip")


def test_a_zip_with_a_wrong_checksum_is_taken_as_the_agent_takes_it(tmp_path: Path) -> None:
    data = bytearray(zip_bytes({"appspec.yml": "version: 0.0\nos: linux\n"}))
    data[data.index(b"PK\1\2") + 16] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(data)
    report = opened(tmp_path / "a.zip").report
    assert report.ok
    assert [finding.code for finding in report.warnings if isinstance(finding, AppSpecFinding)] == ["archive_damaged"]


def test_a_zip_that_is_encrypted(tmp_path: Path) -> None:
    data = bytearray(zip_bytes({"appspec.yml": APPSPEC}))
    data[6] |= 1  # the flag in the local header, and in the central directory
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(BundleError, match="encrypted"):
        opened(tmp_path / "a.zip")


def test_a_tar_member_that_climbs_out_is_refused_as_tar_does(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"member 'x/\.\./\.\./y' climbs out"):
        opened(archive(tmp_path / "a.tar", {**GOOD, "x/../../y": "1"}))


@pytest.mark.parametrize(("name", "member"), [("a.zip", "../y"), ("a.zip", "/y"), ("a.tar", "/y")])
def test_odd_names_that_the_agent_takes_are_warned_of(tmp_path: Path, name: str, member: str) -> None:
    bundle = opened(archive(tmp_path / name, {**GOOD, member: "1"}))
    assert codes(bundle.report) == ([], ["path_traversal"])
    assert [entry.path for entry in bundle.entries] == ["appspec.yml", "run.sh", "y"]


def test_names_that_start_with_a_dot_are_ordinary(tmp_path: Path) -> None:
    files = {f"./{name}": text for name, text in GOOD.items()}
    for name in ("a.zip", "a.tar"):
        assert codes(opened(archive(tmp_path / name, files)).report) == ([], [])


def test_a_compressed_tar_named_tar_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(gzip.compress(tar_bytes()))
    assert codes(opened(tmp_path / "a.tar").report) == ([], ["archive_type_mismatch"])


def test_of_two_members_of_one_name_the_last_counts(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("appspec.yml", "no")
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("appspec.yml", "version: 0.0\nos: linux\n")
    assert codes(opened(tmp_path / "a.zip").report) == ([], ["duplicate_member"])


def test_a_windows_archive_must_be_a_zip(tmp_path: Path) -> None:
    files = {"appspec.yml": "version: 0.0\nos: windows\n"}
    assert opened(archive(tmp_path / "a.zip", files)).report.ok
    assert codes(opened(archive(tmp_path / "a.tgz", files)).report)[0] == ["windows_needs_zip"]


def test_a_ready_archive_that_changes_after_its_digest(tmp_path: Path) -> None:
    bundle = opened(archive(tmp_path / "a.zip"))
    known = digest(bundle)
    archive(tmp_path / "a.zip", {**GOOD, "more": "x"})
    with pytest.raises(BundleError, match=r"a\.zip: changed while"):
        materialise(bundle, tmp_path, expected=known)


# --- interrupts, leftovers, keys -------------------------------------------------------------------------------------


class StopError(OSError):
    """Like the errors of the files themselves, to see that nobody takes it for one."""


@pytest.mark.parametrize("name", ["api", "a.zip", "a.tgz"])
@pytest.mark.parametrize("error", [StopError, KeyboardInterrupt, ValueError, RuntimeError])
def test_what_check_raises_comes_through_at_every_point(tmp_path: Path, name: str, error: type[BaseException]) -> None:
    path = directory(tmp_path / name) if name == "api" else archive(tmp_path / name)
    out = tmp_path / "out"
    out.mkdir()

    def stop_at(count: int) -> bool:
        """Whether the work was over before."""
        left = count

        def check() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise error

        try:
            bundle = open_source(source(path), check=check)
            materialise(bundle, out, expected=digest(bundle, check=check), check=check)
        except error:
            return False
        return True

    ends = [stop_at(count) for count in range(30)]
    assert ends[0] is False
    assert ends[-1] is True
    assert ends == sorted(ends)
    leftovers = [file for file in out.iterdir() if file.stat().st_size == 0]
    assert leftovers == []
    assert len(list(out.iterdir())) == (ends.count(True) if name == "api" else 0)


def test_a_source_that_is_missing_or_odd(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no such directory"):
        open_source(source(tmp_path / "nowhere"))
    with pytest.raises(BundleError, match="can't be read: File name too long"):
        open_source(source(tmp_path / ("x" * 300)))


def test_a_digest_of_something_else_is_no_match(tmp_path: Path) -> None:
    bundle = open_source(source(directory(tmp_path / "api")))
    other = digest(opened(archive(tmp_path / "a.zip")))
    with pytest.raises(BundleError, match="isn't what was to be packed"):
        materialise(bundle, tmp_path, expected=other)


def test_no_file_is_left_when_the_source_changed(tmp_path: Path) -> None:
    bundle = open_source(source(directory(tmp_path / "api")))
    known = digest(bundle)
    (tmp_path / "api/run.sh").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "out").mkdir()
    with pytest.raises(BundleError, match=r"api/run\.sh: changed"):
        materialise(bundle, tmp_path / "out", expected=known)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("prefix", "key", "expected"),
    [
        ("bundles", None, "bundles/shop-api/abc.tgz"),
        ("", None, "shop-api/abc.tgz"),
        ("a/b", None, "a/b/shop-api/abc.tgz"),
        ("bundles", "x/${digest}/app.${format}", "x/abc/app.tgz"),
        ("bundles", "latest", "latest"),
    ],
)
def test_object_keys(prefix: str, key: str | None, expected: str) -> None:
    given = BundleSource(path=Path("/x"), bucket="b", prefix=prefix, key=key)
    assert object_key(given, "shop-api", "sha256:abc", "tgz") == expected
    assert object_key(given, "shop-api", "abc", "tgz") == expected


@pytest.mark.parametrize("key", ["", "ü" * 513])
def test_keys_that_s3_does_not_take(key: str) -> None:
    with pytest.raises(BundleError, match="S3 takes 1 to 1024"):
        object_key(source(Path("/x"), key=key), "shop-api", "abc", "tgz")


def test_the_package_itself_imports_nothing() -> None:
    code = "import sys, orchestrator.bundle; print({'yaml', 'tarfile', 'zipfile', 'pathspec'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "set()"


def test_checking_a_directory_imports_no_archive_module(tmp_path: Path) -> None:
    directory(tmp_path)
    code = (
        "import sys; from pathlib import Path; from orchestrator.core.model import BundleSource\n"
        "from orchestrator.bundle.source import open_source\n"
        f"assert open_source(BundleSource(path=Path({str(tmp_path)!r}), bucket='b', prefix='')).report.ok\n"
        "print({'tarfile', 'zipfile', 'pathspec', 'asyncio'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "set()"
