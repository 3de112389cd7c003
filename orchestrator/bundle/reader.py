"""Ready archives: opened, listed and read to their end, as the agent's `tar` and `unzip` would."""

from __future__ import annotations

import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from orchestrator.bundle.entries import Check, Entry, no_check
from orchestrator.core.errors import BundleError
from orchestrator.core.model import BundleFormat

if TYPE_CHECKING:
    import tarfile
    import zipfile

SUFFIXES: Mapping[str, BundleFormat] = {".zip": "zip", ".tar": "tar", ".tgz": "tgz", ".tar.gz": "tgz"}

_Opener = Callable[[], IO[bytes] | None]

_CHUNK = 1 << 20
_COMPRESSED = {"tgz", "bzip2", "xz"}
_KEEP_LIMIT = 1 << 20  # of AppSpec files, whose content is kept on the way


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """What is in a ready archive."""

    entries: tuple[Entry, ...]
    """In the archive's order; a name may stand twice, and then the later one counts."""
    kept: Mapping[str, bytes]
    """The content of small files with `appspec` in their name, so that no second pass is needed for them."""
    remarks: tuple[tuple[str, str], ...]
    """Code and message of what the agent takes but isn't as it should be."""


def archive_format(path: Path) -> BundleFormat:
    """By the name. Raises `BundleError` for what is none of ours."""
    for suffix, bundle_format in SUFFIXES.items():
        if path.name.lower().endswith(suffix):
            return bundle_format
    raise BundleError(
        f"{path}: is no archive that CodeDeploy takes, by its name",
        hint=f"a source is a directory or one of {', '.join(SUFFIXES)}",
    )


def list_archive(path: Path, bundle_format: BundleFormat, *, check: Check = no_check) -> Listing:
    """Reads the whole archive, checksums too.

    Raises `BundleError` when it is damaged, isn't what its name says, or has a member that the agent refuses.
    """
    listing = _Lister(path, bundle_format)
    with _readable(path):
        if bundle_format == "zip":
            _list_zip(path, listing, _apart(check))
        else:
            _list_tar(path, bundle_format, listing, _apart(check))
    return Listing(entries=tuple(listing.entries), kept=listing.kept, remarks=tuple(listing.remarks))


def read_heads(
    path: Path, bundle_format: BundleFormat, names: Collection[str], limit: int, *, check: Check = no_check
) -> Mapping[str, bytes]:
    """The first `limit` bytes of the files with these names. Raises `BundleError` when the archive can't be read."""
    heads: dict[str, bytes] = {}
    with _readable(path):
        members = _zip_members(path) if bundle_format == "zip" else _tar_members(path, bundle_format)
        for name, member in members:
            _apart(check)()
            if (clean := _clean(name)) in names and (file := member()) is not None:
                heads[clean] = file.read(limit)
    return heads


class _Lister:
    def __init__(self, path: Path, bundle_format: BundleFormat) -> None:
        self._path = path
        self._format = bundle_format
        self._seen: set[str] = set()
        self.entries: list[Entry] = []
        self.kept: dict[str, bytes] = {}
        self.remarks: list[tuple[str, str]] = []

    def add(self, name: str, entry: Entry, content: IO[bytes] | None, check: Check) -> None:
        """Takes the entry and reads its content to the end."""
        self._judge_name(name)
        if content is not None:
            self._read(entry, content, check)
        if not entry.path:
            return  # `./`, the root itself
        if entry.path in self._seen and entry.kind != "dir":
            self.remark("duplicate_member", f"{entry.path} is in the archive twice; the later one counts")
        self._seen.add(entry.path)
        self.entries.append(entry)

    def remark(self, code: str, message: str) -> None:
        self.remarks.append((code, message))

    def _judge_name(self, name: str) -> None:
        if ".." in name.split("/"):
            if self._format != "zip":
                raise BundleError(
                    f"{self._path}: member {name!r} climbs out of the archive; tar on the instance refuses it",
                    hint="make the archive again, from inside the folder",
                )
            self.remark("path_traversal", f"member {name!r} climbs out of the archive; unzip drops the `..`")
        elif name.startswith("/"):
            self.remark("path_traversal", f"member {name!r} has an absolute name; its leading slash is dropped")

    def _read(self, entry: Entry, content: IO[bytes], check: Check) -> None:
        keep = "appspec" in entry.path.rsplit("/", 1)[-1].lower() and entry.size <= _KEEP_LIMIT
        kept = bytearray()
        while chunk := content.read(_CHUNK):
            check()
            if keep:
                kept += chunk
        if keep:
            self.kept[entry.path] = bytes(kept)


def _clean(name: str) -> str:
    """Where a member lands: without `.`, `..`, doubled or leading slashes."""
    return "/".join(part for part in name.split("/") if part not in {"", ".", ".."})


# --- zip -------------------------------------------------------------------------------------------------------------


def _list_zip(path: Path, listing: _Lister, check: Check) -> None:
    import zipfile  # noqa: PLC0415 - 15 ms that only ready archives need

    _require_magic(path, "zip")
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            check()
            entry = _zip_entry(archive, info)
            if entry.kind == "file":
                with archive.open(info) as content:
                    listing.add(info.filename, entry, content, check)
            else:
                listing.add(info.filename, entry, None, check)


def _zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    path = _clean(info.filename)
    mode = info.external_attr >> 16 if info.create_system == 3 else 0
    if info.is_dir():
        return Entry(path, "dir", 0o755)
    if stat.S_ISLNK(mode):
        return Entry(path, "symlink", 0o777, target=archive.read(info).decode(errors="surrogateescape"))
    return Entry(path, "file", 0o755 if mode & 0o111 else 0o644, info.file_size)


def _zip_members(path: Path) -> Iterator[tuple[str, _Opener]]:
    import zipfile  # noqa: PLC0415 - 15 ms that only ready archives need

    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            yield info.filename, partial(archive.open, info)


# --- tar -------------------------------------------------------------------------------------------------------------


def _list_tar(path: Path, bundle_format: BundleFormat, listing: _Lister, check: Check) -> None:
    if bundle_format == "tgz":
        _require_magic(path, "tgz")
    compression = _magic(path)
    if bundle_format == "tar" and compression is not None and compression in _COMPRESSED:
        message = f"its name says tar, and it is compressed: {_NAMES[compression]}; the agent takes it all the same"
        listing.remark("archive_type_mismatch", message)
    with _open_tar(path, bundle_format) as (archive, raw):
        for info in _stream(archive):
            check()
            content = archive.extractfile(info) if info.isreg() else None
            listing.add(info.name, _tar_entry(info), content, check)
        while raw.read(_CHUNK):  # the checksum of gzip stands at the very end
            check()


def _tar_entry(info: tarfile.TarInfo) -> Entry:
    path = _clean(info.name)
    if info.isdir():
        return Entry(path, "dir", 0o755)
    if info.issym():
        return Entry(path, "symlink", 0o777, target=info.linkname)
    return Entry(path, "file", 0o755 if info.mode & 0o111 else 0o644, info.size)


def _tar_members(path: Path, bundle_format: BundleFormat) -> Iterator[tuple[str, _Opener]]:
    with _open_tar(path, bundle_format) as (archive, _):
        for info in _stream(archive):
            yield info.name, partial(archive.extractfile, info)


@contextmanager
def _open_tar(path: Path, bundle_format: BundleFormat) -> Iterator[tuple[tarfile.TarFile, IO[bytes]]]:
    import tarfile  # noqa: PLC0415 - 10 ms that only ready archives need

    with _decompressed(path, bundle_format) as raw, tarfile.open(fileobj=raw, mode="r|") as archive:
        yield archive, raw


@contextmanager
def _decompressed(path: Path, bundle_format: BundleFormat) -> Iterator[IO[bytes]]:
    import bz2  # noqa: PLC0415 - only for ready archives
    import gzip  # noqa: PLC0415
    import lzma  # noqa: PLC0415

    match "tgz" if bundle_format == "tgz" else _magic(path):
        case "tgz":
            with gzip.open(path) as file:
                yield cast("IO[bytes]", file)
        case "bzip2":
            with bz2.open(path) as file:
                yield file
        case "xz":
            with lzma.open(path) as file:
                yield file
        case _:
            with path.open("rb") as file:
                yield file


def _stream(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (info := archive.next()) is not None:
        yield info
        archive.members.clear()  # type: ignore[attr-defined] # undocumented; it would keep every member otherwise


# --- what a file is --------------------------------------------------------------------------------------------------

_NAMES = {"zip": "a zip", "tgz": "gzip", "bzip2": "bzip2", "xz": "xz", "tar": "an uncompressed tar"}


def _magic(path: Path) -> str | None:
    """What the first bytes say: zip, tgz, bzip2, xz, tar or nothing known."""
    with path.open("rb") as file:
        start = file.read(512)
    for signature, name in ((b"PK", "zip"), (b"\x1f\x8b", "tgz"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz")):
        if start.startswith(signature):
            return name
    return "tar" if start[257:262] == b"ustar" else None


def _require_magic(path: Path, bundle_format: BundleFormat) -> None:
    actual = _magic(path)
    if actual != bundle_format:
        what = "empty" if not path.stat().st_size else f"{_NAMES[actual]}" if actual else "something else"
        raise BundleError(
            f"{path}: isn't what its name says: expected {_NAMES[bundle_format]}, it is {what}",
            hint="name it for what it is, or make it again",
        )


class _InterruptedByCheckError(BaseException):
    """Carries what `check` raised past the translation of the libraries' errors."""

    def __init__(self, reason: Exception) -> None:
        super().__init__()
        self.reason = reason


def _apart(check: Check) -> Check:
    def run() -> None:
        try:
            check()
        except Exception as error:
            raise _InterruptedByCheckError(error) from error

    return run


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever the libraries raise about an archive, as one error."""
    import lzma  # noqa: PLC0415 - these four are needed only for ready archives
    import tarfile  # noqa: PLC0415
    import zipfile  # noqa: PLC0415
    import zlib  # noqa: PLC0415

    broken = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, UnicodeError, OverflowError)
    # zipfile raises RuntimeError for encrypted members and NotImplementedError, one of its kind, for unknown methods.
    try:
        yield
    except _InterruptedByCheckError as interrupted:
        raise interrupted.reason from None
    except (*broken, RuntimeError, ValueError, OSError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise BundleError(
            f"{path}: can't be read as an archive: {reason}",
            hint="it is damaged or cut short: make or download it again",
        ) from error
