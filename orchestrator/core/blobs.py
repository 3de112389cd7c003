"""Small objects under one root, written under conditions: what run state and leases need of a folder or a bucket.

`Blobs` is the port. What can lose an answer (S3) is an attempt-level `Blobs` that raises `CallError`s; `PatientBlobs`
around it repeats what is safe to repeat, and finds out whether an unanswered write was carried out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol, TypeVar

import anyio

from orchestrator.core.errors import AnswerLostError, CallError, CredentialsError, ExitCode, StateError, ThrottledError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Blob:
    """An object as it was read."""

    content: bytes
    tag: str
    """Of this content; another write makes another one (writers put something unique into what they write)."""


class ConflictError(StateError):
    """The condition of a write doesn't hold: somebody else was first. Nothing was written."""


class UnreachableError(StateError):
    """The state can't be reached, or we may not. What was asked for may have been carried out."""


class CredentialsLostError(UnreachableError):
    """What worked before is refused now. The release isn't to blame, and what runs at CodeDeploy goes on."""

    exit_code = ExitCode.FAILED


class Blobs(Protocol):
    """Objects by name (`runs/r1/journal/00000001.jsonl`), at most a few megabytes each. Reads see every finished write.

    Every method raises `StateError`.
    """

    @property
    def where(self) -> str:
        """The root, for messages: `s3://bucket/prefix` or a path."""
        ...

    async def get(self, name: str) -> Blob | None:
        """None when there is none."""
        ...

    async def put(self, name: str, content: bytes, *, absent: bool = False, match: str | None = None) -> str:
        """Writes the object, whole or not at all, and returns its tag.

        `absent`: only if there is none yet; `match`: only if it still has this tag. `ConflictError` when that isn't so.
        The content of a conditional write must be unique to this writer: after a lost answer it is told by its content.
        """
        ...

    async def list(self, prefix: str = "") -> list[str]:
        """All names that begin so, sorted."""
        ...

    async def delete(self, name: str) -> None:
        """Nothing there is no error."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BlobPatience:
    """How long calls are repeated, and how long one attempt may take."""

    seconds: float = 60.0
    first_pause: float = 0.1
    longest_pause: float = 5.0
    attempt: float = 5.0
    """Seconds for an attempt, besides the time that the content needs."""
    slowest: float = 64 * 1024.0
    """Bytes a second."""
    credentials: float = 30.0
    """How long refused credentials are tried again where they worked before: the SDK may be refreshing them."""


class PatientBlobs:
    """`Blobs` over an attempt-level one: repeats, and reads back before a conflict is believed.

    Raises `UnreachableError` when patience runs out, or at once on a definite no (rights, no such bucket).
    """

    def __init__(self, attempts: Blobs, *, random: Random, patience: BlobPatience | None = None) -> None:
        """`attempts` makes one attempt a call and raises `CallError`s, `ConflictError` for a condition that failed."""
        self._attempts = attempts
        self._random = random
        self._patience = patience or BlobPatience()
        self._worked: set[str] = set()
        """The kinds of calls that have been answered."""

    @property
    def where(self) -> str:
        return self._attempts.where

    async def get(self, name: str) -> Blob | None:
        return await self._repeat("read", name, lambda: self._attempts.get(name))

    async def put(self, name: str, content: bytes, *, absent: bool = False, match: str | None = None) -> str:
        try:
            return await self._repeat(
                "write", name, lambda: self._attempts.put(name, content, absent=absent, match=match), size=len(content)
            )
        except ConflictError:
            # It may be the echo of our own write: one whose answer was lost, or that the HTTP client sent twice.
            found = await self.get(name)
            if found is not None and found.content == content:
                return found.tag
            raise

    async def list(self, prefix: str = "") -> list[str]:
        return await self._repeat("list", prefix, lambda: self._attempts.list(prefix))

    async def delete(self, name: str) -> None:
        await self._repeat("delete", name, lambda: self._attempts.delete(name))

    async def _repeat(self, kind: str, name: str, call: Callable[[], Awaitable[T]], *, size: int = 0) -> T:
        patience = self._patience
        began = anyio.current_time()
        pause = patience.first_pause
        while True:
            try:
                with anyio.fail_after(patience.attempt + size / patience.slowest):
                    answer = await call()
                    self._worked.add(kind)
                    return answer
            except CallError as error:
                problem = error
            except TimeoutError:
                problem = AnswerLostError("no answer in time")
            if anyio.current_time() + pause > began + self._patience_with(problem, kind):
                raise self._unreachable(problem, kind, name) from problem
            await anyio.sleep(pause * (0.5 + self._random.random()))
            pause = min(pause * 2, patience.longest_pause)

    def _patience_with(self, problem: CallError, kind: str) -> float:
        """Seconds. What has never worked is said at once."""
        if isinstance(problem, (ThrottledError, AnswerLostError)):
            return self._patience.seconds
        return self._patience.credentials if self._is_loss(problem, kind) else 0.0

    def _is_loss(self, problem: CallError, kind: str) -> bool:
        return isinstance(problem, CredentialsError) and kind in self._worked

    def _unreachable(self, problem: CallError, kind: str, name: str) -> UnreachableError:
        error = CredentialsLostError if self._is_loss(problem, kind) else UnreachableError
        return error(f"can't {kind} {self.where}/{name}: {problem}", hint=problem.hint)
