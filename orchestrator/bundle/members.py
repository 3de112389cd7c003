"""Members of a ready archive, and the error for one that can't be unpacked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from orchestrator.core.errors import BundleError

MemberKind = Literal["file", "dir", "symlink", "hardlink", "special"]

Chunks = Callable[[], Iterator[bytes]]


class ArchiveError(BundleError):
    """An archive that the agent's `tar` and `unzip` refuse. `code` is stable."""

    def __init__(self, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


def nothing() -> Iterator[bytes]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    """As it stands in the archive; what isn't UTF-8 in surrogates."""
    kind: MemberKind
    mode: int
    """The permission bits that it gets on the instance."""
    size: int = 0
    """Bytes, as the archive says."""
    target: str = ""
    """Of a link."""
    chunks: Chunks = nothing
    """The content of a file. Of a tar: while it is this member's turn."""
