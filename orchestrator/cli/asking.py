"""A question on the terminal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click


def ask(text: str, question: str, terminal: TextIO) -> bool:
    """Shows the text, then asks. Raises `click.Abort` for Ctrl-C and for the end of the input."""
    click.echo(text, file=terminal)
    try:
        with _ctrl_c_interrupts():
            return click.confirm(f"\n{question}", err=True)
    except click.Abort:
        click.echo(file=terminal)  # the line of the question is still open
        raise


def ask_for_text(question: str) -> str:
    """May be empty. Raises as `ask`."""
    with _ctrl_c_interrupts():
        return str(click.prompt(question, default="", show_default=False, err=True)).strip()


@contextmanager
def _ctrl_c_interrupts() -> Iterator[None]:
    """The event loop's own handler only takes note of a Ctrl-C, and a prompt would never hear of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
