"""Work that an event calls off."""

from __future__ import annotations

import anyio


async def cancel_after(event: anyio.Event, scope: anyio.CancelScope) -> None:
    """Cancels the scope once the event is set; started beside the work, whose own end has to cancel it."""
    await event.wait()
    scope.cancel()
