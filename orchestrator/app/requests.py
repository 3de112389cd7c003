"""What one process asks of another that carries a run on: to cancel it. The request lies in the run's state."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from contextlib import suppress

import anyio

from orchestrator.core.blobs import Blobs
from orchestrator.core.control import OnCancel
from orchestrator.core.errors import StateError
from orchestrator.core.locks import Owner

LOOK_EVERY = 3.0
"""Seconds between two looks for a request."""


def _name(run: str) -> str:
    return f"requests/{run}.json"


async def ask_to_cancel(blobs: Blobs, run: str, mode: OnCancel) -> None:
    """Raises `StateError`."""
    body = {"mode": str(mode), "by": str(Owner.of_this_process()), "nonce": secrets.token_hex(8)}
    await blobs.put(_name(run), json.dumps(body).encode())


async def was_taken(blobs: Blobs, run: str) -> bool:
    """Whether the request has reached the process that carries the run on."""
    return await blobs.get(_name(run)) is None


async def obey_requests(blobs: Blobs, run: str, cancel: Callable[[OnCancel, str], None]) -> None:
    """Looks for requests, passes them on and takes them away. Never returns; cancel it."""
    while True:
        await obey_request(blobs, run, cancel)
        await anyio.sleep(LOOK_EVERY)


async def obey_request(blobs: Blobs, run: str, cancel: Callable[[OnCancel, str], None]) -> None:
    """One look."""
    with suppress(StateError):  # the next look may reach it
        found = await blobs.get(_name(run))
        if found is not None:
            mode, by = _parse(found.content)
            cancel(mode, f"cancelled by {by}")
            await blobs.delete(_name(run))


def _parse(content: bytes) -> tuple[OnCancel, str]:
    """Nonsense is a request all the same: to start nothing new is the least that it can mean."""
    try:
        body = json.loads(content)
        return OnCancel(body["mode"]), str(body["by"])
    except (ValueError, KeyError, TypeError):
        return OnCancel.WAIT, "an unreadable request"
