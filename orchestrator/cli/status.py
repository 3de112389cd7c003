"""`orchestrator status` and `orchestrator runs`."""

from __future__ import annotations

import json
import time

import click

from orchestrator.cli.options import environment_variables, option, output_option, state_option


@click.command()
@click.argument("run", required=False)
@state_option
@output_option
def status(run: str | None, state: str | None, output: str) -> None:
    """Show RUN, live or ended, from its journal; the newest run without RUN.

    RUN is a run's id, or an unambiguous beginning of it. With --output json it is the result file.

    \b
      orchestrator status
      orchestrator status 20261124-0901
      orchestrator status --output json | jq -r .outcome
    """
    import anyio  # noqa: PLC0415 - not for --help

    from orchestrator.app.looking import look_at_run  # noqa: PLC0415 - as above
    from orchestrator.core.result import result_of  # noqa: PLC0415 - as above
    from orchestrator.sinks.summary import summary  # noqa: PLC0415 - as above

    shown, alive = anyio.run(look_at_run, run, state, environment_variables())
    if output == "json":
        click.echo(json.dumps(result_of(shown), indent=2))
    else:
        click.echo("\n".join(summary(shown, alive=alive)))


@click.command()
@option("--stats", is_flag=True, help="How releases go, instead: how often, how long, how many fail.")
@state_option
@output_option
def runs(*, stats: bool, state: str | None, output: str) -> None:
    """List the runs, newest first.

    A run that says "died" has no process any more, and nobody has ended it; what it had started may still be running.

    \b
      orchestrator runs
      orchestrator runs --output json | jq -r '.[0].state'
      orchestrator runs --stats
    """
    import anyio  # noqa: PLC0415 - not for --help

    if stats:
        from orchestrator.app.history import read_releases  # noqa: PLC0415 - as above
        from orchestrator.cli.show_stats import stats_as_json, stats_as_text  # noqa: PLC0415 - as above

        releases, now = anyio.run(read_releases, state, environment_variables()), time.time()
        click.echo(stats_as_json(releases, now) if output == "json" else stats_as_text(releases, now))
        return

    from orchestrator.app.looking import list_runs  # noqa: PLC0415 - as above
    from orchestrator.cli.show_runs import runs_as_json, runs_as_text  # noqa: PLC0415 - as above

    found = anyio.run(list_runs, state, environment_variables())
    click.echo(runs_as_json(found) if output == "json" else runs_as_text(found))
