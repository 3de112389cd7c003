"""Ready archives: opened, listed and read to their end, as the agent's `tar` and `unzip` would."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bundle.entries import Check, Entry, no_check
from orchestrator.bundle.members import ArchiveError, Member
from orchestrator.bundle.unpacked import UnpackedTree
from orchestrator.core.errors import BundleError
from orchestrator.core.model import BundleFormat

SUFFIXES: Mapping[str, BundleFormat] = {
    ".zip": "zip",
    ".tar": "tar",
    ".tgz": "tgz",
    ".tar.gz": "tgz",
    # CodeDeploy has no name for these; called `tar`, the agent's tar finds out by itself.
    ".tbz2": "tar",
    ".tbz": "tar",
    ".tar.bz2": "tar",
    ".txz": "tar",
    ".tar.xz": "tar",
}

_COMPRESSED = ("tgz", "bzip2", "xz")
_KEEP_LIMIT = 1 << 20  # bytes of files with `appspec` in their name, whose content is kept on the way
_BOMB_SIZE = 2 << 30  # bytes; below this, a disk that takes the archive takes its content
_BOMB_RATIO = 200
_MOST_MEMBERS = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """What is in a ready archive."""

    entries: tuple[Entry, ...]
    """As they lie on disk once they are unpacked."""
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
        hint="a source is a directory or one of .zip, .tar, .tgz, .tar.gz",
    )


def list_archive(path: Path, bundle_format: BundleFormat, *, keep: str = "", check: Check = no_check) -> Listing:
    """Reads the whole archive. `keep` names a file whose content is kept besides those named like an AppSpec.

    Raises `ArchiveError` when it is damaged, isn't what it is called, or has a member that the agent refuses.
    """
    remarks: list[tuple[str, str]] = []
    tree = UnpackedTree(bundle_format)
    kept: dict[str, bytes] = {}
    with _readable(path):
        budget = Budget(path, _apart(check))
        for member in _members(path, bundle_format, remarks):
            budget.take_member()
            entry = tree.add(member)
            content = _read(member, budget)
            if entry is not None and _is_kept(entry, keep):
                kept[entry.path] = content
        entries = tree.finish()
    return Listing(entries=entries, kept=kept, remarks=tuple(dict.fromkeys([*remarks, *tree.remarks])))


def read_heads(
    path: Path, bundle_format: BundleFormat, names: Collection[str], limit: int, *, check: Check = no_check
) -> Mapping[str, bytes]:
    """The first `limit` bytes of the files that lie at these paths. Raises `ArchiveError` when that can't be read."""
    heads: dict[str, bytes] = {}
    tree = UnpackedTree(bundle_format)
    with _readable(path):
        for member in _members(path, bundle_format, []):
            _apart(check)()
            entry = tree.add(member)
            if entry is not None and entry.path in names and member.kind == "file":
                heads[entry.path] = _first(member, limit)
    return heads


def _members(path: Path, bundle_format: BundleFormat, remarks: list[tuple[str, str]]) -> Iterator[Member]:
    actual = magic(path)
    if bundle_format == "zip":
        from zipfile import is_zipfile  # noqa: PLC0415 - 15 ms that only ready archives need

        from orchestrator.bundle.zipreader import zip_members  # noqa: PLC0415 - as above

        if actual != "zip" and (actual is not None or not is_zipfile(path)):
            raise _mismatch(path, bundle_format, actual)
        return zip_members(path, remarks)
    from orchestrator.bundle.tarreader import tar_members  # noqa: PLC0415 - as above

    if bundle_format == "tgz":
        if actual != "tgz":
            raise _mismatch(path, bundle_format, actual)
        return tar_members(path, "tgz")
    if actual == "zip":
        raise _mismatch(path, bundle_format, actual)
    if actual in _COMPRESSED:
        message = f"its name says tar, and it is compressed: {_NAMES[actual]}; the agent takes it all the same"
        remarks.append(("archive_type_mismatch", message))
        return tar_members(path, actual)
    return tar_members(path, None)


def _is_kept(entry: Entry, keep: str) -> bool:
    name = entry.path.rpartition("/")[2]
    return entry.kind == "file" and entry.size <= _KEEP_LIMIT and ("appspec" in name.lower() or name == keep)


def _read(member: Member, budget: Budget) -> bytes:
    """To the end, for the checks along the way; the first of it is returned."""
    first = bytearray()
    for chunk in member.chunks():
        budget.take(len(chunk))
        if len(first) < _KEEP_LIMIT:
            first += chunk[: _KEEP_LIMIT - len(first)]
    return bytes(first)


def _first(member: Member, limit: int) -> bytes:
    first = b""
    for chunk in member.chunks():
        first += chunk[: limit - len(first)]
        if len(first) >= limit:
            break
    return first


class Budget:
    """Ends the reading of archives that are made to fill disks."""

    def __init__(self, path: Path, check: Check, *, limit: int = _BOMB_SIZE) -> None:
        self._limit = max(limit, path.stat().st_size * _BOMB_RATIO if limit == _BOMB_SIZE else 0)
        self._path = path
        self._check = check
        self._read = 0
        self._members = 0

    def take_member(self) -> None:
        self._check()
        self._members += 1
        if self._members > _MOST_MEMBERS:
            message = f"{self._path}: has over {_MOST_MEMBERS:,} members"
            raise ArchiveError("archive_bomb", message, hint="is it the right file?")

    def take(self, size: int) -> None:
        self._check()
        self._read += size
        if self._read > self._limit:
            message = f"{self._path}: unpacks to over {self._limit} bytes, {_BOMB_RATIO} times its size"
            raise ArchiveError("archive_bomb", message, hint="is it the right file?")


# --- what a file is --------------------------------------------------------------------------------------------------

_NAMES = {"zip": "a zip", "tgz": "gzip", "bzip2": "bzip2", "xz": "xz", "tar": "an uncompressed tar"}
_MAGICS = ((b"PK\3\4", "zip"), (b"PK\5\6", "zip"), (b"\x1f\x8b", "tgz"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"))


def magic(path: Path) -> str | None:
    """What the first bytes say: zip, tgz, bzip2, xz, tar or nothing known."""
    with path.open("rb") as file:
        start = file.read(512)
    for signature, name in _MAGICS:
        if start.startswith(signature):
            return name
    return "tar" if start[257:262] == b"ustar" else None


def _mismatch(path: Path, bundle_format: BundleFormat, actual: str | None) -> ArchiveError:
    if actual is None:
        what = "empty" if not path.stat().st_size else "something else"
        message = f"{path}: can't be read as an archive: expected {_NAMES[bundle_format]}, it is {what}"
        return ArchiveError("archive_unreadable", message, hint="make or download it again")
    message = f"{path}: isn't what it is called: expected {_NAMES[bundle_format]}, it is {_NAMES[actual]}"
    return ArchiveError("archive_type_mismatch", message, hint="call it what it is, or make it again")


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
    import struct  # noqa: PLC0415
    import tarfile  # noqa: PLC0415
    import zipfile  # noqa: PLC0415
    import zlib  # noqa: PLC0415

    broken = (
        *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
        *(EOFError, UnicodeError, OverflowError, NotImplementedError, ValueError),
    )
    try:
        yield
    except _InterruptedByCheckError as interrupted:
        raise interrupted.reason from None
    except ArchiveError as error:
        if error.message.startswith(str(path)):
            raise
        raise ArchiveError(error.code, f"{path}: {error.message}", hint=error.hint) from error
    except (*broken, OSError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise ArchiveError(
            "archive_unreadable",
            f"{path}: can't be read as an archive: {reason}",
            hint="it is damaged or cut short: make or download it again",
        ) from error
