"""What `report` does between its arguments and its exit code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import anyio
import click

from orchestrator.app.reporting import read_view, report_of
from orchestrator.cli.files import check_writable, write_whole
from orchestrator.core.errors import ExitCode, UsageError


def run_report(
    run: str | None, out: str, state: str | None, env: Mapping[str, str], *, stdout: TextIO, stderr: TextIO
) -> int:
    """Returns the exit code: 1 for a run that can't be read, of which the report says only that.

    `out`: a path, or `-` for stdout. Raises `UsageError` for what can't be written, and when there is no such run.
    """
    path = None if out == "-" else Path(out)
    check_writable(path, "-o")
    view = anyio.run(read_view, run, state, env)
    document = report_of(view)
    if path is None:
        click.echo(document.encode(), file=stdout, nl=False)  # as it says of itself, whatever the terminal takes
    else:
        _write(path, document)
    if view.problem is not None:
        click.echo(f"warning: the journal of run {view.run} can't be read: {view.problem}", file=stderr)
        return ExitCode.INTERNAL
    if path is not None:
        click.echo(f"report of run {view.run}: {path}", file=stderr)
    return ExitCode.OK


def _write(path: Path, document: str) -> None:
    try:
        write_whole(path, document)
    except OSError as error:
        raise UsageError(f"-o: can't write {path}: {error.strerror or error}") from error
