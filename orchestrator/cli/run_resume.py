"""What `resume` does between its arguments and its exit code."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TextIO

import anyio
import click

from orchestrator.app.resuming import ResumeOptions, resume
from orchestrator.cli.run_release import finish, view_options_of
from orchestrator.core.control import OnCancel
from orchestrator.core.errors import NotSupportedYetError


def run_resume(
    run: str | None, given: Mapping[str, Any], env: Mapping[str, str], *, stdout: TextIO, stderr: TextIO
) -> int:
    """Returns the exit code: that of the run, also when it was over before."""
    if given["on_cancel"] == "rollback":
        raise NotSupportedYetError("--on-cancel rollback is not supported yet", hint="take wait, stop or detach")
    views = view_options_of(given, stderr, env)
    options = ResumeOptions(
        run=run,
        views=views,
        state=given["state"],
        poll_interval=given["poll_interval"],
        on_cancel=OnCancel(given["on_cancel"]),
        leave_after=given["leave_after"],
        lock_wait=given["lock_wait"],
        accept_manifest=given["accept_manifest"],
    )
    resumed = anyio.run(partial(resume, options, env, stdout=stdout, stderr=stderr))
    if resumed.was_over:
        click.echo(f"run {resumed.state.run} is over: there is nothing to resume", file=stderr)
    return finish(resumed.state, views.output, given["result"], stdout=stdout, stderr=stderr)
