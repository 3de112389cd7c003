"""What `apply` does between its arguments and its exit code."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
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
from orchestrator.cli.endings import Endings, endings_of
from orchestrator.cli.files import check_writable
from orchestrator.cli.run_plan import undertaking_of
from orchestrator.cli.show_plan import plan_as_text
from orchestrator.cli.terminal import unwrap
from orchestrator.core.control import OnCancel
from orchestrator.core.errors import ExitCode
from orchestrator.core.result import exit_code_of
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
    endings = endings_of(given, env, stderr)
    views = view_options_of(given, stderr, env, endings)
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
        state = to_the_end(run, endings)
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
        state = until_not_asked(state, again, env, stderr, partial(go_on, env, endings, stdout, stderr))
    follow = None if rehearses else FOLLOW
    return finish(state, views.output, endings, stdout=stdout, stderr=stderr, follow=follow)


def go_on(env: Mapping[str, str], endings: Endings, stdout: TextIO, stderr: TextIO, options: ResumeOptions) -> RunState:
    """With a run that somebody has just approved."""
    return to_the_end(partial(resume, options, env, stdout=stdout, stderr=stderr), endings).state


def to_the_end(run: Callable[[], Coroutine[Any, Any, T]], endings: Endings) -> T:
    """What the run gives. One that ends by an error leaves its files, too: as far as was known here."""
    try:
        return anyio.run(run)
    except CutOffError as error:
        endings.write(error.state, problem="the state of the run can't be written any more")
        raise
    except BaseException as error:
        if endings.state is not None:
            endings.write(endings.state, problem=f"this process has ended ({type(unwrap(error)[0]).__name__})")
        raise


def finish(
    state: RunState,
    output: Output,
    endings: Endings,
    *,
    stdout: TextIO,
    stderr: TextIO,
    follow: str | None = FOLLOW,
) -> int:
    """The summary, the files and the exit code: the release's own, whatever becomes of its output.

    `follow`: the command that follows what was left running; None: it's gone, with the sandbox that it ran in.
    """
    code = int(exit_code_of(state))
    if output != "json" and not write_line(stdout, "\n".join(summary(state, follow=follow))):
        silence(stdout)
        again = f"; again with: orchestrator status {state.run}" if state.manifest else ""
        write_line(stderr, f"warning: the summary can't be written to stdout{again}")
    return code if endings.write(state) else code or ExitCode.INTERNAL


def view_options_of(given: Mapping[str, Any], stderr: TextIO, env: Mapping[str, str], endings: Endings) -> ViewOptions:
    """Raises `UsageError` for files that can't be written."""
    for name in ("report", "metrics_textfile"):
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
        sinks=(endings,),
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
