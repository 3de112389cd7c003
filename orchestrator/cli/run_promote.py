"""What `promote` does between its arguments and its exit code."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, TextIO

import anyio
import click

from orchestrator.app.promoting import prepare_promotion
from orchestrator.app.stores import open_state
from orchestrator.app.undertakings import Planned
from orchestrator.cli.release import release_options
from orchestrator.cli.run_plan import SHOWN
from orchestrator.cli.run_release import run_undertaking
from orchestrator.core.errors import ExitCode


def run_promote(
    given: Mapping[str, Any], env: Mapping[str, str], *, stdin: TextIO, stdout: TextIO, stderr: TextIO
) -> int:
    """Returns the exit code."""
    promotion = prepare_promotion(release_options({**given, "sandbox": False}), given["source"], env)
    if not given["dry_run"]:
        return run_undertaking(promotion, given, env, stdin=stdin, stdout=stdout, stderr=stderr)

    async def look() -> Planned:
        async with AsyncExitStack() as stack:
            state = await stack.enter_async_context(open_state(given["state"], promotion.state, env))
            return await stack.enter_async_context(promotion.open(env, state, preflight=True))

    planned = anyio.run(look)
    click.echo(SHOWN["json" if given["output"] == "json" else "plain"](planned), file=stdout)
    return ExitCode.OK
