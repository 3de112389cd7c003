"""What `resume` does between its arguments and its exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TextIO

import click

from orchestrator.app.resuming import ResumeOptions, resume
from orchestrator.cli.ask_people import until_not_asked
from orchestrator.cli.endings import endings_of
from orchestrator.cli.run_release import finish, go_on, to_the_end, view_options_of
from orchestrator.core.control import OnCancel


def run_resume(
    run: str | None, given: Mapping[str, Any], env: Mapping[str, str], *, stdin: TextIO, stdout: TextIO, stderr: TextIO
) -> int:
    """Returns the exit code: that of the run, also when it was over before."""
    endings = endings_of(given, env, stderr)
    views = view_options_of(given, stderr, env, endings)
    options = ResumeOptions(
        run=run,
        views=views,
        state=given["state"],
        poll_interval=given["poll_interval"],
        on_cancel=OnCancel(given["on_cancel"]),
        leave_after=given["leave_after"],
        lock_wait=given["lock_wait"],
        accept_manifest=given["accept_manifest"],
        detach=given["detach"],
        override_freeze=given["override_freeze"],
    )
    run_it = partial(resume, options, env, stdout=stdout, stderr=stderr)
    resumed = to_the_end(run_it, endings)
    if resumed.was_over:
        click.echo(f"run {resumed.state.run} is over: there is nothing to resume", file=stderr)
    state = resumed.state
    if stdin.isatty() and stderr.isatty():
        again = replace(options, run=state.run)
        state = until_not_asked(state, again, env, stderr, partial(go_on, env, endings, stdout, stderr))
    return finish(state, views.output, endings, stdout=stdout, stderr=stderr)
