"""`orchestrator completion SHELL`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash, in ~/.bashrc; zsh, in ~/.zshrc:
      eval "$(orchestrator completion bash)"
      eval "$(orchestrator completion zsh)"
    fish, once:
      orchestrator completion fish > ~/.config/fish/completions/orchestrator.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choice above holds only what click knows
    root = ctx.find_root()
    click.echo(kind(root.command, {}, "orchestrator", "_ORCHESTRATOR_COMPLETE").source())
