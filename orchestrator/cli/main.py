"""The entry point: finds the command, and turns every error into output, hint and exit code."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from keyword import iskeyword
from pathlib import Path

import click

from orchestrator import __version__
from orchestrator.cli.logs import LEVELS, OURS, Format, LogOptions, configure_logging, start_log
from orchestrator.cli.options import option
from orchestrator.cli.process import open_streams, tame_streams, wants_debug
from orchestrator.cli.terminal import explain
from orchestrator.core.errors import ExitCode
from orchestrator.sinks.dialects import dialect_of, takes_orders

COMMANDS: Mapping[str, tuple[str, str]] = {
    "validate": ("validate", "Check a manifest and its bundles, offline."),
    "plan": ("plan", "Show what a run would do; nothing is touched."),
    "apply": ("apply", "Run a release: upload, deploy in dependency order, watch to the end."),
    "launch": ("launch", "Have a Lambda durable function carry a release out."),
    "promote": ("promote", "Deploy to one environment what has succeeded in another."),
    "resume": ("resume", "Go on with a run that died, was left running or was interrupted."),
    "rollback": ("rollback", "Put back what stood before a run, in reverse dependency order."),
    "status": ("status", "Show a run, live or ended, from its journal."),
    "runs": ("status", "List the runs, newest first."),
    "serve": ("serve", "Serve the page over the runs of a state, to look at in a browser."),
    "report": ("report", "Write a run as one HTML file, for CI artifacts and for print."),
    "cancel": ("cancel", "Ask the process that carries a run on to end it."),
    "approve": ("approve", "Approve or reject a gate that a run waits at."),
    "unlock": ("unlock", "Take away the locks of a run that nobody carries on any more."),
    "graph": ("graph", "Draw what depends on what, as mermaid, dot or SVG."),
    "bundle": ("bundle", "Check bundles as the agent would, and show what an instance would get."),
    "import": ("importing", "Make a manifest of the applications and groups of an account."),
    "push": ("push", "Bundle a directory, upload and register it, as `aws deploy push` does."),
    "wait": ("wait", "Wait for deployments; fail when one of them fails."),
    "sandbox": ("sandbox", "S3 and CodeDeploy on this machine, for any AWS SDK or CLI."),
    "schema": ("schema", "Print the manifest's JSON Schema, for editors."),
    "completion": ("completion", "Print the completion script of a shell."),
    "version": ("version", "Print the version."),
}
"""Name -> (module, summary): the group's help needs no command to be imported."""


VERSION = f"orchestrator {__version__} (Python {'.'.join(map(str, sys.version_info[:3]))})"
LOG_OPTIONS = ("--log-file", "--log-format", "--log-level")

LOG = logging.getLogger(OURS)


class LazyGroup(click.Group):
    """Imports a command when it's asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"orchestrator.cli.{COMMANDS[cmd_name][0]}")
        # `import` is a word of Python's own.
        command: click.Command = getattr(module, f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[-1] in LOG_OPTIONS:
            raise click.BadOptionUsage(args[-1], f"Option {args[-1]!r} requires an argument.", ctx)
        return super().parse_args(ctx, _to_the_front(args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from orchestrator.cli.terminal import did_you_mean  # noqa: PLC0415 - difflib is only for mistakes

            raise click.UsageError(f"{error.message}{did_you_mean(args[0], COMMANDS)}", ctx) from None


def _to_the_front(args: list[str]) -> list[str]:
    """Options for the log may stand anywhere, also behind the command that they have nothing to do with."""
    logs, others = [], list(args)
    end = others.index("--") if "--" in others else len(others)
    place = 0
    while place < end:
        name, equals, _ = others[place].partition("=")
        taken = 0 if name not in LOG_OPTIONS else 1 if equals else 2
        logs += others[place : place + taken]
        del others[place : place + taken]
        end -= taken
        place += not taken
    return [*logs, *others]


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", message=VERSION, help="Print the version.")
@option("--log-file", type=click.Path(path_type=Path), help="Append a log to this file.  [default: to stderr]")
@option("--log-format", type=click.Choice(["text", "json"]), help="Of the log.  [default: text]")
@option("--log-level", type=click.Choice(LEVELS), help="From which on there is a log.  [default: info]")
def cli(log_file: Path | None, log_format: Format | None, log_level: str | None) -> None:
    """Release many services on AWS CodeDeploy from one manifest.

    \b
    Try it without an AWS account:
      orchestrator apply configs/shop/release.yaml -e staging --sandbox
    On AWS, in this order:
      orchestrator validate release.yaml
      orchestrator plan release.yaml -e staging
      orchestrator apply release.yaml -e staging

    \b
    Credentials, regions and endpoints come from the AWS SDK's own chain: AWS_* variables, profiles, roles.
    Every option can be given as a variable, too: --poll-interval as ORCHESTRATOR_POLL_INTERVAL, and so on.
    ORCHESTRATOR_DEBUG=1 shows the traceback of an error, and what libraries log.
    There is a log when one of the options for it is given, before the command or after it.

    \b
    Exit codes: 0 all succeeded or unchanged, 1 internal error, 2 bad input, 3 failed, 4 failed and
    rolled back, 5 rollback failed, 6 blocked, 7 plan has changes, 8 still running, 130/143 interrupted.
    """
    start_log(LogOptions(file=log_file, format=log_format, level=log_level), os.environ)
    LOG.info("orchestrator %s: %s", __version__, click.get_current_context().invoked_subcommand)


def main() -> None:
    """Never returns."""
    # No plugin of pydantic's is ours, and looking for some costs 20 ms at each start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    open_streams()
    if takes_orders(dialect_of(os.environ)):
        tame_streams()
    debug = wants_debug(os.environ)
    configure_logging(debug=debug)
    try:
        code = cli.main(prog_name="orchestrator", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = ExitCode.USAGE
    except (KeyboardInterrupt, click.exceptions.Abort):  # click makes the second of the first
        click.echo("interrupted", err=True)
        code = ExitCode.SIGINT
    except BrokenPipeError:
        # Whoever read our output has gone, `head` for one; stdout can't be flushed any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.INTERNAL
    except (Exception, BaseExceptionGroup) as error:
        LOG.info("ended by an error", exc_info=error)
        code = explain(error, debug=debug, env=os.environ)
    LOG.info("exit code %d", int(code or 0))
    sys.exit(int(code or 0))
