"""`core.blobs.Blobs` in memory, at the level of attempts: with latency, and with answers that get lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from hashlib import sha256

import anyio

from orchestrator.core.blobs import Blob, ConflictError

Hook = Callable[[str, str], Awaitable[None]]
"""Is given the operation (get, put, list, delete) and the name; may sleep, and may raise a `CallError`."""


async def nothing(_operation: str, _name: str) -> None:
    await anyio.lowlevel.checkpoint()


class MemoryBlobs:
    """Objects that are forgotten with the process.

    `before` and `after` run around what is carried out in one step: an error from `after` is a lost answer.
    Wrap it in `core.blobs.PatientBlobs` where they raise.
    """

    def __init__(
        self, objects: dict[str, Blob] | None = None, *, before: Hook = nothing, after: Hook = nothing
    ) -> None:
        """`objects`: those of another one, for a second process with faults of its own."""
        self.objects: dict[str, Blob] = {} if objects is None else objects
        self.calls: Counter[str] = Counter()
        """Attempts, by operation; `written` counts the writes that were carried out."""
        self.before = before
        self.after = after

    @property
    def where(self) -> str:
        return "memory:"

    async def get(self, name: str) -> Blob | None:
        await self._begin("get", name)
        found = self.objects.get(name)
        await self.after("get", name)
        return found

    async def put(self, name: str, content: bytes, *, absent: bool = False, match: str | None = None) -> str:
        await self._begin("put", name)
        tag = self.write(name, content, absent=absent, match=match)
        await self.after("put", name)
        return tag

    def write(self, name: str, content: bytes, *, absent: bool = False, match: str | None = None) -> str:
        """What a put carries out. Raises `ConflictError`."""
        found = self.objects.get(name)
        if (absent and found is not None) or (match is not None and (found is None or found.tag != match)):
            raise ConflictError(f"{name} was written by somebody else")
        self.calls["written"] += 1
        made = self.objects[name] = Blob(content, sha256(content).hexdigest())  # as S3's ETag: of the content alone
        return made.tag

    async def list(self, prefix: str = "") -> list[str]:
        await self._begin("list", prefix)
        found = sorted(name for name in self.objects if name.startswith(prefix))
        await self.after("list", prefix)
        return found

    async def delete(self, name: str) -> None:
        await self._begin("delete", name)
        self.objects.pop(name, None)
        await self.after("delete", name)

    async def _begin(self, operation: str, name: str) -> None:
        self.calls[operation] += 1
        await self.before(operation, name)
