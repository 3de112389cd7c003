"""What `wait` does between its arguments and its exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TextIO

from orchestrator.app.regions import default_region, require_region
from orchestrator.app.waiting import WaitOptions, wait
from orchestrator.cli.endings import endings_of
from orchestrator.cli.run_release import finish, to_the_end, view_options_of
from orchestrator.core.control import OnCancel
from orchestrator.core.deployment_ids import parse_ids
from orchestrator.core.errors import UsageError


def run_wait(
    ids: Sequence[str],
    given: Mapping[str, Any],
    env: Mapping[str, str],
    *,
    stdin: TextIO,
    stdout: TextIO,
    stderr: TextIO,
) -> int:
    """Returns the exit code. `given`: the options by their names."""
    if not ids and stdin.isatty():
        raise UsageError("no deployment ids were given", hint="give them as arguments, or pipe them in")
    endings = endings_of(given, env, stderr)
    options = WaitOptions(
        ids=parse_ids("\n".join(ids) if ids else stdin.read()),
        region=require_region(given["region"] or default_region(env)),
        views=view_options_of(given, stderr, env, endings),
        poll_interval=given["poll_interval"],
        on_cancel=OnCancel(given["on_cancel"]),
        leave_after=given["leave_after"],
    )
    state = to_the_end(partial(wait, options, env, stdout=stdout, stderr=stderr), endings)
    return finish(state, options.views.output, endings, stdout=stdout, stderr=stderr)
