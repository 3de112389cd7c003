"""What `apply` does between its arguments and its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TextIO, TypeVar

import anyio
import click

from orchestrator.app.applying import ApplyOptions, apply
from orchestrator.app.resuming import ResumeOptions, resume
from orchestrator.app.running import CutOffError
from orchestrator.app.undertakings import Planned, Undertaking
from orchestrator.app.views import ViewOptions
from orchestrator.cli.ask_people import until_not_asked
from orchestrator.cli.asking import ask
from orchestrator.cli.files import check_writable, write_whole
from orchestrator.cli.run_plan import undertaking_of
from orchestrator.cli.show_plan import plan_as_text
from orchestrator.core.control import OnCancel
from orchestrator.core.errors import ExitCode
from orchestrator.core.result import exit_code_of, result_of, result_of_cut_off
from orchestrator.core.state import RunState
from orchestrator.sinks.output import Output, choose_output
from orchestrator.sinks.summary import summary
from orchestrator.wording.text import silence, write_line

FOLLOW = "orchestrator wait"

T = TypeVar("T")


def run_release(
    given: Mapping[str, Any], env: Mapping[str, str], *, stdin: TextIO, stdout: TextIO, stderr: TextIO
) -> int:
    """Returns the exit code. `given`: the options by their names."""
    undertaking = undertaking_of(given, env, stderr)
    return run_undertaking(undertaking, given, env, stdin=stdin, stdout=stdout, stderr=stderr)


def run_undertaking(
    undertaking: Undertaking,
    given: Mapping[str, Any],
    env: Mapping[str, str],
    *,
    stdin: TextIO,
    stdout: TextIO,
    stderr: TextIO,
) -> int:
    """Returns the exit code."""
    views = view_options_of(given, stderr, env)
    options = ApplyOptions(
        views=views,
        state=given["state"],
        poll_interval=given["poll_interval"],
        on_cancel=OnCancel(given["on_cancel"]),
        leave_after=given["leave_after"],
        lock_wait=given["lock_wait"],
        detach=given["detach"],
        override_freeze=given["override_freeze"],
        notify=given["notify"],
    )
    rehearses = undertaking.is_rehearsal
    asks = stdin.isatty() and stderr.isatty() and not given["yes"] and not rehearses
    gate = Gate(stderr if asks else None)
    run = partial(apply, undertaking, options, env, stdout=stdout, stderr=stderr, confirm=gate)
    try:
        state = to_the_end(run, given["result"], stderr)
    except (KeyboardInterrupt, click.Abort):
        if not gate.is_open:
            click.echo("nothing was started", file=stderr)
        raise
    if state is None:
        click.echo("nothing was started", file=stderr)
        return ExitCode.BLOCKED
    if asks:
        again = ResumeOptions(
            run=state.run,
            views=views,
            state=options.state or undertaking.state,
            poll_interval=options.poll_interval,
            on_cancel=options.on_cancel,
            lock_wait=options.lock_wait,
            override_freeze=options.override_freeze,
        )
        state = until_not_asked(state, again, env, stderr, partial(go_on, env, given["result"], stdout, stderr))
    follow = None if rehearses else FOLLOW
    return finish(state, views.output, given["result"], stdout=stdout, stderr=stderr, follow=follow)


def go_on(
    env: Mapping[str, str], result: Path | None, stdout: TextIO, stderr: TextIO, options: ResumeOptions
) -> RunState:
    """With a run that somebody has just approved."""
    return to_the_end(partial(resume, options, env, stdout=stdout, stderr=stderr), result, stderr).state


def to_the_end(run: Callable[[], Coroutine[Any, Any, T]], result: Path | None, stderr: TextIO) -> T:
    """What the run gives. One that is cut off from its state leaves its result file, too: as far as was known here."""
    try:
        return anyio.run(run)
    except CutOffError as error:
        if result is not None:
            _write_result(result, result_of_cut_off(error.state), stderr)
        raise


def _write_result(path: Path, result: Mapping[str, Any], stderr: TextIO) -> bool:
    try:
        write_whole(path, json.dumps(result, indent=2) + "\n")
    except OSError as error:
        write_line(stderr, f"error: --result: can't write {path}: {error.strerror or error}")
        return False
    return True


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
    if result is not None and not _write_result(result, result_of(state), stderr):
        return code or ExitCode.INTERNAL
    return code


def view_options_of(given: Mapping[str, Any], stderr: TextIO, env: Mapping[str, str]) -> ViewOptions:
    """Raises `UsageError` for files that can't be written."""
    for name in ("result", "report", "metrics_textfile"):
        check_writable(given[name], f"--{name.replace('_', '-')}")
    return ViewOptions(
        output=choose_output(given["output"], stderr, env),
        events=given["events"],
        report=given["report"],
        metrics_listen=given["metrics_listen"],
        metrics_textfile=given["metrics_textfile"],
        pushgateway=given["pushgateway"],
        pushgateway_cleanup=given["pushgateway_cleanup"],
        metrics_detail=given["metrics_detail"],
        env=env,
        serve=given["serve"],
    )


class Gate:
    """Stands between the plan and the run; asks where somebody can answer."""

    def __init__(self, terminal: TextIO | None) -> None:
        """`terminal`: where to ask; None: the plan is as good as confirmed."""
        self._terminal = terminal
        self.is_open = False
        """Whether the run may have begun."""

    def __call__(self, planned: Planned) -> bool:
        self.is_open = self._terminal is None or self._ask(planned, self._terminal)
        return self.is_open

    @staticmethod
    def _ask(planned: Planned, terminal: TextIO) -> bool:
        text = plan_as_text(planned)
        if not planned.plan.changes:
            click.echo(text, file=terminal)
            return True
        return ask(text, "Deploy this?", terminal)
