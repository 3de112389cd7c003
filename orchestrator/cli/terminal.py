"""How errors look, and other small things about output."""

from __future__ import annotations

from collections.abc import Iterable

import click

from orchestrator.core.errors import ExitCode, InvalidInputError, OrchestratorError


def explain(error: BaseException) -> ExitCode:
    """Writes what happened and what to do to stderr; returns the exit code that goes with it."""
    cause = unwrap(error)
    if isinstance(cause, InvalidInputError):
        for finding in cause.findings:
            click.echo(str(finding), err=True)
        count = len(cause.findings)
        click.echo(f"{count} {'error' if count == 1 else 'errors'}; nothing was touched", err=True)
        return cause.exit_code
    if isinstance(cause, OrchestratorError):
        click.echo(f"error: {cause}", err=True)
        if cause.hint:
            click.echo(f"hint: {cause.hint}", err=True)
        _show_notes(cause)
        return cause.exit_code
    if isinstance(cause, OSError):
        click.echo(f"error: {cause}", err=True)
        _show_notes(cause)
        return ExitCode.INTERNAL
    raise error


def _show_notes(error: BaseException) -> None:
    for note in getattr(error, "__notes__", ()):
        click.echo(f"note: {note}", err=True)


def unwrap(error: BaseException) -> BaseException:
    """The error that a task group wrapped: the first of ours, else the first."""
    while isinstance(error, BaseExceptionGroup):
        ours = error.subgroup(OrchestratorError)
        error = (ours or error).exceptions[0]
    return error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for mistakes

    close = get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
