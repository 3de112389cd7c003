"""Hashes of files from earlier runs, so that what didn't change needn't be read again.

A hash counts only for a file whose size, times of change (of content and of attributes), inode and device are what
they were when it was read. Two changes within one tick of a file system's clock would leave the same times, so a hash
is kept only of files whose times were settled: older by `SETTLED` than the moment when they were read. Whatever is
packed is hashed again all the same, and compared.

One file for each source, replaced as a whole. One that is damaged, unreadable or of another version counts as none,
and one that can't be written is given up; neither is ever an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.bundle.tree import Stamp

SETTLED = 2_000_000_000
"""Nanoseconds; FAT's clock ticks every two seconds, and no slower one is known."""

_VERSION = "orchestrator-hashes-v1"
_SIZE_LIMIT = 32 << 20  # bytes of one source's hashes: about 200,000 files
_FILES = 200
"""How many sources are remembered; those that weren't looked at for longest are forgotten first."""

_Record = list[object]
"""The stamp's numbers and the hex SHA-256."""


class Remembered:
    """The hashes of one source's files."""

    def __init__(self, known: dict[str, _Record] | None = None, *, settled: int = SETTLED) -> None:
        self._known = known or {}
        self._settled = settled
        self._used: dict[str, _Record] = {}
        self._is_new = False

    def get(self, path: str, stamp: Stamp) -> bytes | None:
        """The SHA-256 of the file at that path if it is still the one that was read."""
        record = self._known.get(path)
        if record is None or record[:-1] != [*stamp]:
            return None
        self._used[path] = record
        return bytes.fromhex(str(record[-1]))

    def keep(self, path: str, stamp: Stamp, sha256: bytes, *, read_at: int) -> None:
        """`read_at`: nanoseconds since 1970, just before the file was read."""
        # What was changed later than this could be changed again, and look the same.
        if max(stamp.modified, stamp.changed) < read_at - self._settled:
            self._used[path] = [*stamp, sha256.hex()]
            self._is_new = True

    @property
    def to_save(self) -> dict[str, _Record] | None:
        """What holds now; None when that is what was there before."""
        return self._used if self._is_new or len(self._used) != len(self._known) else None


class HashCache:
    """A folder of them. Several processes may use it at once: the last one wins, and each of them is right."""

    def __init__(self, folder: Path, *, settled: int = SETTLED) -> None:
        self._folder = folder
        self._settled = settled

    @contextlib.contextmanager
    def remembering(self, source: str) -> Iterator[Remembered]:
        """The hashes for what `source` describes; what was found out is written when the block ends well."""
        path = self._folder / f"{hashlib.sha256(source.encode('utf-8', 'surrogateescape')).hexdigest()[:40]}.json"
        remembered = Remembered(_load(path), settled=self._settled)
        yield remembered
        with contextlib.suppress(OSError):
            if (records := remembered.to_save) is None:
                os.utime(path)  # it was of use
            else:
                self._save(path, records)

    def _save(self, path: Path, records: dict[str, _Record]) -> None:
        content = json.dumps(records, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")
        if len(content) > _SIZE_LIMIT:
            return
        import tempfile  # noqa: PLC0415 - 7 ms that most runs don't need

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self._folder, prefix="new-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_seal(content) + content)
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
        self._forget()

    def _forget(self) -> None:
        files = [(file.stat().st_mtime_ns, file) for file in self._folder.iterdir()]
        for _, file in sorted(files)[:-_FILES]:
            file.unlink(missing_ok=True)


def _load(path: Path) -> dict[str, _Record]:
    try:
        content = path.read_bytes()
        seal, _, records = content.partition(b"\n")
        return json.loads(records) if seal + b"\n" == _seal(records) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def _seal(content: bytes) -> bytes:
    return f"{_VERSION} {hashlib.sha256(content).hexdigest()}\n".encode()
