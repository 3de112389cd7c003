"""Files of a source: opened without surprises, read as they were walked, or an error that names the file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator

from orchestrator.core.errors import BundleError, SourceChangedError

# A link or a FIFO put in the file's place must neither lead out of the tree nor hang the run.
FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

LINKS_TOO = FLAGS & ~getattr(os, "O_NOFOLLOW", 0)

_CHUNK = 1 << 20

_CHANGED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ESPIPE, errno.ENXIO}
"""What calls say of a file that is gone, or is a link, a folder, a FIFO or a socket now."""


def open_regular(path: str, flags: int = FLAGS) -> tuple[int, os.stat_result]:
    """A descriptor and what it stands for. Raises `SourceChangedError` when the file is gone or is no file any more."""
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise translated(path, error) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise changed(path)
    return descriptor, status


def read_chunks(path: str, flags: int = FLAGS) -> Generator[bytes, None, None]:
    """All bytes of a file. Raises as `open_regular`, and `BundleError` when it can't be read."""
    descriptor, _ = open_regular(path, flags)
    try:
        while True:
            # The errors of the calls are translated one by one, so that those of whoever iterates stay what they are.
            try:
                chunk = os.read(descriptor, _CHUNK)
            except OSError as error:
                raise translated(path, error) from error
            if not chunk:
                return
            yield chunk
    finally:
        os.close(descriptor)


def read_piece(path: str, offset: int, length: int, size: int) -> bytes:
    """`length` bytes from `offset` of a file of `size` bytes.

    Raises `SourceChangedError` when the file is shorter, or, seen from its last piece, longer; `BundleError` when it
    can't be read.
    """
    wanted = length + (offset + length == size)  # at the end a byte more than there should be
    # What is no file any more can't be read from a place in it: no look at its kind is needed, for 20,000 small files.
    try:
        descriptor = os.open(path, FLAGS)
        try:
            content = os.pread(descriptor, wanted, offset)
            while len(content) < wanted:  # the end, or one of the file systems that give less than they are asked for
                more = os.pread(descriptor, wanted - len(content), offset + len(content))
                if not more:
                    break
                content += more
        finally:
            os.close(descriptor)
    except OSError as error:
        raise translated(path, error) from error
    if len(content) != length:
        raise changed(path)
    return content


def changed(path: str) -> SourceChangedError:
    """The file isn't what it was when the source was walked or its digest taken."""
    return SourceChangedError(
        f"{path}: changed while the bundle was made",
        hint="something still writes to the source: let the build end first, then try again",
    )


def translated(path: str, error: OSError) -> BundleError:
    """The error of a call about a file of the source, as one that the user should read."""
    if error.errno in _CHANGED:
        return changed(path)
    return BundleError(f"{path}: can't be read: {error.strerror}", hint="check the file and its permissions")
