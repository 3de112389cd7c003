"""How errors look, and other small things about output."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import click

from orchestrator.cli.process import DEBUG
from orchestrator.core.errors import ExitCode, Finding, InvalidInputError, OrchestratorError
from orchestrator.sinks.dialects import Dialect, dialect_of, placed
from orchestrator.sinks.taming import order, tame

NO_ENV: Mapping[str, str] = MappingProxyType({})


def explain(error: BaseException, *, debug: bool = False, env: Mapping[str, str] = NO_ENV) -> ExitCode:
    """Writes what happened and what to do to stderr; returns the exit code that goes with it.

    `debug`: with the traceback. `env`: where a CI system says which it is.
    """
    cause, notes = unwrap(error)
    if debug:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    code = _explain(cause, debug=debug, env=env)
    for note in notes:
        if str(cause) not in note:  # the last flush fails for the reason that ended the run
            click.echo(f"note: {note}", err=True)
    return code


def _explain(cause: BaseException, *, debug: bool, env: Mapping[str, str]) -> ExitCode:
    match cause:
        case InvalidInputError():
            _list(cause.findings, dialect_of(env))
            count = len(cause.findings)
            click.echo(f"{count} {'error' if count == 1 else 'errors'}; nothing was touched", err=True)
            return cause.exit_code
        case OrchestratorError():
            _error(str(cause), cause.hint)
            return cause.exit_code
        case OSError():
            _error(*_of_system(cause))
            return ExitCode.INTERNAL
        case _:
            what = " ".join(f"{type(cause).__name__}: {cause}".split())
            click.echo(f"internal error: {what}; please report it", err=True)
            if not debug:
                click.echo(f"hint: {DEBUG}=1 shows where it happened", err=True)
            return ExitCode.INTERNAL


def _list(findings: Iterable[Finding], dialect: Dialect | None) -> None:
    """A line for each; GitHub shows it at its line of the file, too."""
    for finding in findings:
        text = tame(str(finding))
        marked = "" if dialect is None else placed(dialect, finding.file, finding.line, finding.column, text)
        if not marked or not order(sys.stderr, marked):
            click.echo(str(finding), err=True)


def _error(message: str, hint: str | None) -> None:
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)


def _of_system(error: OSError) -> tuple[str, str | None]:
    """An error of the system as a message and a hint."""
    if error.errno == errno.ENOENT and error.filename is None and _folder_is_gone():
        return "the current folder is gone", "change to one that exists"
    place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
    return f"{place}{error.strerror or error}", None


def _folder_is_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - Path.cwd() is the same, and nothing of a path is wanted
    except FileNotFoundError:
        return True
    return False


def unwrap(error: BaseException) -> tuple[BaseException, list[str]]:
    """The error that task groups wrapped (the first of ours, else the first), and the notes on the way to it."""
    notes = _notes(error)
    while isinstance(error, BaseExceptionGroup):
        ours = error.subgroup(OrchestratorError)
        error = (ours or error).exceptions[0]
        notes += [note for note in _notes(error) if note not in notes]
    return error, notes


def _notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", ()))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for mistakes

    close = get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
