"""The body of a request: bytes in memory, written in pieces. Imports the SDK's HTTP client: import it late."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import Payload

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

_PIECE = 256 * 1024
_PIECES_IN_A_ROW = 4
"""After so many pieces the event loop gets its turn, also when the network takes everything at once."""


class Body(Payload):
    """Bytes that botocore can read and measure, and that aiohttp writes from where they lie.

    A `BytesIO` would be copied piece by piece, and the loop's turn taken after each.
    """

    def __init__(self, content: bytes | memoryview) -> None:
        super().__init__(content, content_type="application/octet-stream")
        self._content = memoryview(content)
        self._position = 0
        self._size = len(content)

    def __len__(self) -> int:
        return len(self._content)

    def __bool__(self) -> bool:
        return True

    # --- for botocore, which signs it and starts it over ---------------------------------------------------------

    def read(self, size: int = -1) -> bytes:
        end = len(self._content) if size < 0 else self._position + size
        piece = bytes(self._content[self._position : end])
        self._position += len(piece)
        return piece

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = 0) -> int:
        start = {0: 0, 1: self._position, 2: len(self._content)}[whence]
        self._position = start + position
        return self._position

    # --- for aiohttp -----------------------------------------------------------------------------------------------

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._content).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        view = self._content[:content_length]
        for count, at in enumerate(range(0, len(view), _PIECE), start=1):
            await writer.write(view[at : at + _PIECE])
            if count % _PIECES_IN_A_ROW == 0:
                await asyncio.sleep(0)
