"""What `launch` does between its arguments and its exit code."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TextIO

import click

from orchestrator.app.launching import LaunchOptions, launch
from orchestrator.aws import Function
from orchestrator.cli.endings import endings_of
from orchestrator.cli.run_plan import undertaking_of
from orchestrator.cli.run_release import Gate, finish, to_the_end, view_options_of
from orchestrator.core.errors import ExitCode


def run_launch(
    given: Mapping[str, Any], env: Mapping[str, str], *, stdin: TextIO, stdout: TextIO, stderr: TextIO
) -> int:
    """Returns the exit code: that of the run, 8 while it goes on."""
    function = Function.parse(given["function"])
    undertaking = undertaking_of({**given, "sandbox": False}, env, stderr)
    endings = endings_of(given, env, stderr)
    views = view_options_of(given, stderr, env, endings)
    options = LaunchOptions(
        views=views, function=function, state=given["state"], lock_wait=given["lock_wait"], detach=given["detach"]
    )
    gate = Gate(stderr if stdin.isatty() and stderr.isatty() and not given["yes"] else None)
    run = partial(launch, undertaking, options, env, stdout=stdout, stderr=stderr, confirm=gate)
    try:
        state = to_the_end(run, endings)
    except (KeyboardInterrupt, click.Abort):
        if not gate.is_open:
            click.echo("nothing was started", file=stderr)
        raise
    if state is None:
        click.echo("nothing was started", file=stderr)
        return ExitCode.BLOCKED
    return finish(state, views.output, endings, stdout=stdout, stderr=stderr, follow=None)
