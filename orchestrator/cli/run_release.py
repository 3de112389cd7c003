"""What `apply` does between its arguments and its exit code."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import anyio
import click

from orchestrator.app.releases import ApplyOptions, apply, prepare
from orchestrator.app.views import ViewOptions
from orchestrator.cli.release import release_options
from orchestrator.cli.show_plan import plan_as_text
from orchestrator.core.control import OnCancel
from orchestrator.core.errors import ExitCode, NotSupportedYetError, UsageError
from orchestrator.core.plan import Plan
from orchestrator.core.result import exit_code_of, result_of
from orchestrator.core.state import RunState
from orchestrator.sinks.output import Output, choose_output
from orchestrator.sinks.summary import summary


def run_release(
    given: Mapping[str, Any], env: Mapping[str, str], *, stdin: TextIO, stdout: TextIO, stderr: TextIO
) -> int:
    """Returns the exit code. `given`: the options by their names."""
    if given["on_cancel"] == "rollback":
        raise NotSupportedYetError("--on-cancel rollback is not supported yet", hint="take wait, stop or detach")
    check_writable(given["result"], "--result")
    views = view_options_of(given, stderr, env)
    options = ApplyOptions(
        release=release_options(given),
        views=views,
        state=given["state"],
        poll_interval=given["poll_interval"],
        on_cancel=OnCancel(given["on_cancel"]),
    )
    prepared = prepare(options.release, env)
    for warning in prepared.warnings:
        click.echo(str(warning), file=stderr)
    asks = stdin.isatty() and stderr.isatty() and not given["yes"] and not given["sandbox"]
    confirm = partial(_ask, stderr=stderr) if asks else _go_ahead
    run = partial(apply, prepared, options, env, stdout=stdout, stderr=stderr, confirm=confirm)
    state = anyio.run(run)
    if state is None:
        click.echo("nothing was started", file=stderr)
        return ExitCode.OK
    return finish(state, views.output, given["result"], stdout)


def finish(state: RunState, output: Output, result: Path | None, stdout: TextIO) -> int:
    """The summary, the result file and the exit code."""
    if result is not None:
        write_result(result, state)
    if output != "json":
        click.echo("\n".join(summary(state)), file=stdout)
    return int(exit_code_of(state))


def view_options_of(given: Mapping[str, Any], stderr: TextIO, env: Mapping[str, str]) -> ViewOptions:
    return ViewOptions(
        output=choose_output(given["output"], stderr, env),
        events=given["events"],
        metrics_listen=given["metrics_listen"],
        metrics_textfile=given["metrics_textfile"],
        pushgateway=given["pushgateway"],
    )


def check_writable(path: Path | None, option: str) -> None:
    """Before anything is touched: a result that can't be written is found out too late at the end."""
    if path is not None and not (path.parent.is_dir() and os.access(path.parent, os.W_OK) and not path.is_dir()):
        raise UsageError(f"{option}: can't write {path}", hint="name a file in a folder that exists and may be written")


def write_result(path: Path, state: RunState) -> None:
    """Whole or not at all."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w") as out:
            json.dump(result_of(state), out, indent=2)
            out.write("\n")
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _ask(plan: Plan, *, stderr: TextIO) -> bool:
    click.echo(plan_as_text(plan), file=stderr)
    if not plan.changes:
        return True
    return click.confirm("\nDeploy this?", err=True)


def _go_ahead(_plan: Plan) -> bool:
    return True
