"""An archive as a file: for what can't take a stream."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bundle.digest import Digest
from orchestrator.bundle.entries import Check, no_check
from orchestrator.bundle.source import Bundle
from orchestrator.bundle.stream import PackResult, pack_stream


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """An archive on disk, ready to go."""

    path: Path
    temporary: bool
    """Whether we made it, and the caller removes it after the upload."""
    digest: str
    size: int
    """Bytes."""
    entries: int


def materialise(bundle: Bundle, directory: Path, *, expected: Digest | None = None, check: Check = no_check) -> Packed:
    """The archive as a file: packed into a new file in `directory`, or the ready archive itself, where it lies.

    With `expected`, the digest from before, raises `SourceChangedError` naming the file that has changed since. OSError
    when the disk is full, say. After any error, and whatever `check` raises, no file is left behind.
    """
    if bundle.tree is None:
        with pack_stream(bundle, expected=expected, check=check) as stream:
            for _ in stream:
                pass
            return _packed(bundle.source.path, stream.result, temporary=False)
    descriptor, name = tempfile.mkstemp(dir=directory, prefix="bundle-", suffix=f".{bundle.format}")
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out, pack_stream(bundle, expected=expected, check=check) as stream:
            for chunk in stream:
                out.write(chunk)
            return _packed(path, stream.result, temporary=True)
    except BaseException:  # also an interrupt: the file is ours alone
        path.unlink(missing_ok=True)
        raise


def _packed(path: Path, result: PackResult, *, temporary: bool) -> Packed:
    return Packed(path=path, temporary=temporary, digest=result.digest.value, size=result.size, entries=result.entries)
