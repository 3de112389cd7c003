"""Fixtures for all tests. `virtual`: anyio on an asyncio loop whose clock jumps, so that hours pass in milliseconds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import looptime
import pytest
from hypothesis import settings

from orchestrator.sandbox.agent.bubble import NoBubblewrapError, Tools, find_tools

T = TypeVar("T")

# No test is timed: on a machine that others share, an example that takes a second proves nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

Virtual = Callable[[Coroutine[Any, Any, T]], T]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def virtual() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine to its end in virtual time."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        loop = looptime.new_event_loop(start=1000.0, noop_cycles=1)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(coroutine)

    return run


@pytest.fixture(scope="session")
def tools() -> Tools:
    """What runs hooks. Where it isn't installed, the tests that need it are skipped, saying so; in CI they fail."""
    try:
        return find_tools()
    except NoBubblewrapError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
