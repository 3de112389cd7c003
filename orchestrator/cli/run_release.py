"""What `apply` does between its arguments and its exit code."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import anyio
import click

from orchestrator.app.releases import ApplyOptions, apply, prepare
from orchestrator.app.views import ViewOptions
from orchestrator.cli.files import check_writable, write_whole
from orchestrator.cli.release import release_options
from orchestrator.cli.show_plan import plan_as_text
from orchestrator.core.control import OnCancel
from orchestrator.core.errors import ExitCode, NotSupportedYetError
from orchestrator.core.plan import Plan
from orchestrator.core.result import exit_code_of, result_of
from orchestrator.core.state import RunState
from orchestrator.sinks.output import Output, choose_output
from orchestrator.sinks.summary import summary
from orchestrator.sinks.text import silence, write_line

FOLLOW = "orchestrator wait"


def run_release(
    given: Mapping[str, Any], env: Mapping[str, str], *, stdin: TextIO, stdout: TextIO, stderr: TextIO
) -> int:
    """Returns the exit code. `given`: the options by their names."""
    if given["on_cancel"] == "rollback":
        raise NotSupportedYetError("--on-cancel rollback is not supported yet", hint="take wait, stop or detach")
    views = view_options_of(given, stderr, env)
    options = ApplyOptions(
        release=release_options(given),
        views=views,
        state=given["state"],
        poll_interval=given["poll_interval"],
        on_cancel=OnCancel(given["on_cancel"]),
        leave_after=given["leave_after"],
        lock_wait=given["lock_wait"],
    )
    prepared = prepare(options.release, env)
    for warning in prepared.warnings:
        click.echo(str(warning), file=stderr)
    asks = stdin.isatty() and stderr.isatty() and not given["yes"] and not given["sandbox"]
    gate = Gate(stderr if asks else None)
    run = partial(apply, prepared, options, env, stdout=stdout, stderr=stderr, confirm=gate)
    try:
        state = anyio.run(run)
    except (KeyboardInterrupt, click.Abort):
        if not gate.is_open:
            click.echo("nothing was started", file=stderr)
        raise
    if state is None:
        click.echo("nothing was started", file=stderr)
        return ExitCode.BLOCKED
    follow = None if given["sandbox"] else FOLLOW
    return finish(state, views.output, given["result"], stdout=stdout, stderr=stderr, follow=follow)


def finish(
    state: RunState,
    output: Output,
    result: Path | None,
    *,
    stdout: TextIO,
    stderr: TextIO,
    follow: str | None = FOLLOW,
) -> int:
    """The summary, the result file and the exit code: the release's own, whatever becomes of its output.

    `follow`: the command that follows what was left running; None: it's gone, with the sandbox that it ran in.
    """
    code = int(exit_code_of(state))
    if output != "json" and not write_line(stdout, "\n".join(summary(state, follow=follow))):
        silence(stdout)
        again = f"; again with: orchestrator status {state.run}" if state.manifest else ""
        write_line(stderr, f"warning: the summary can't be written to stdout{again}")
    if result is not None:
        try:
            write_whole(result, json.dumps(result_of(state), indent=2) + "\n")
        except OSError as error:
            write_line(stderr, f"error: --result: can't write {result}: {error.strerror or error}")
            return code or ExitCode.INTERNAL
    return code


def view_options_of(given: Mapping[str, Any], stderr: TextIO, env: Mapping[str, str]) -> ViewOptions:
    """Raises `UsageError` for files that can't be written."""
    for name in ("result", "metrics_textfile"):
        check_writable(given[name], f"--{name.replace('_', '-')}")
    return ViewOptions(
        output=choose_output(given["output"], stderr, env),
        events=given["events"],
        metrics_listen=given["metrics_listen"],
        metrics_textfile=given["metrics_textfile"],
        pushgateway=given["pushgateway"],
    )


class Gate:
    """Stands between the plan and the run; asks where somebody can answer."""

    def __init__(self, terminal: TextIO | None) -> None:
        """`terminal`: where to ask; None: the plan is as good as confirmed."""
        self._terminal = terminal
        self.is_open = False
        """Whether the run may have begun."""

    def __call__(self, plan: Plan) -> bool:
        self.is_open = self._terminal is None or _ask(plan, self._terminal)
        return self.is_open


def _ask(plan: Plan, terminal: TextIO) -> bool:
    click.echo(plan_as_text(plan), file=terminal)
    if not plan.changes:
        return True
    try:
        with _ctrl_c_interrupts():
            return click.confirm("\nDeploy this?", err=True)
    except click.Abort:
        click.echo(file=terminal)  # the line of the question is still open
        raise


@contextmanager
def _ctrl_c_interrupts() -> Iterator[None]:
    """The event loop's own handler only takes note of a Ctrl-C, and a prompt would never hear of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
