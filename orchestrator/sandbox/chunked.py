"""aws-chunked bodies: `<hex size>[;chunk-signature=…]`, the bytes, … `0`, trailing headers; signatures are checked."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator

from orchestrator.sandbox.errors import S3Error
from orchestrator.sandbox.signature import ChunkSigner

_CHUNK_LIMIT = 5 * 1024**3
_LINE_LIMIT = 16_384
_TRAILER_SIGNATURE = "x-amz-trailer-signature"


async def unchunk(
    body: AsyncIterator[bytes], trailers: dict[str, str], signer: ChunkSigner | None
) -> AsyncIterator[bytes]:
    """The payload. Fills in `trailers` at its end. `signer`: None where chunks aren't signed. Raises `S3Error`."""
    reader = _LineReader(body)
    previous = signer.seed if signer else ""
    while True:
        size, signature = await _head(reader)
        digest = hashlib.sha256()
        async for piece in reader.exactly(size):
            if signer:
                digest.update(piece)
            yield piece
        if signer:
            previous = _checked(signer.chunk(previous, digest.hexdigest()), signature)
        if size == 0:
            break
        if await reader.line():
            raise _broken("a chunk is longer than it says")
    signed = ""
    while line := await reader.line(optional=True):
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if name == _TRAILER_SIGNATURE:
            if signer:
                _checked(signer.trailer(previous, hashlib.sha256(signed.encode()).hexdigest()), value)
            continue
        trailers[name] = value
        signed += f"{name}:{value}\n"


async def _head(reader: _LineReader) -> tuple[int, str]:
    line = await reader.line()
    size, _, rest = line.partition(";")
    try:
        number = int(size.strip(), 16)
    except ValueError:
        raise _broken(f"{line[:40]!r} is no chunk size") from None
    if not 0 <= number <= _CHUNK_LIMIT:
        raise _broken(f"a chunk of {number} bytes")
    return number, rest.partition("=")[2].strip()


def _checked(expected: str, given: str) -> str:
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise S3Error("SignatureDoesNotMatch", "The signature of a chunk isn't that of its bytes.", status=403)
    return expected


class _LineReader:
    """Lines and counted bytes from a stream of pieces."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._buffer = b""

    async def line(self, *, optional: bool = False) -> str:
        """Without its end. Optional: empty at the end of the body."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > _LINE_LIMIT:
                raise _broken("a line is too long")
            if not await self._more():
                if optional:
                    rest, self._buffer = self._buffer, b""
                    return rest.decode("latin-1").strip()
                raise _broken("it ends too soon")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("latin-1").rstrip("\r")

    async def exactly(self, size: int) -> AsyncIterator[bytes]:
        while size > 0:
            if not self._buffer and not await self._more():
                raise _broken("it ends too soon")
            piece, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(piece)
            yield piece

    async def _more(self) -> bool:
        piece = await anext(self._body, b"")
        self._buffer += piece
        return bool(piece)


def _broken(what: str) -> S3Error:
    return S3Error("IncompleteBody", f"The aws-chunked body is broken: {what}.", status=400)
