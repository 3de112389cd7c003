"""The virtual clock of `tests/conftest.py` without its idle turns: nothing here waits for anything but the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import looptime
import pytest


@pytest.fixture
def virtual() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine to its end in virtual time."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        loop = looptime.new_event_loop(start=1000.0, noop_cycles=1)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(coroutine)

    return run
