"""What `rollback` does between its arguments and its exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, TextIO

import anyio
import click

from orchestrator.app.rollbacks import Preview, RollbackOptions, preview, roll_back
from orchestrator.cli.asking import ask
from orchestrator.cli.endings import endings_of
from orchestrator.cli.run_release import FOLLOW, finish, to_the_end, view_options_of
from orchestrator.core.control import OnCancel
from orchestrator.core.errors import ExitCode
from orchestrator.core.model import describe_revision, revision_to_api
from orchestrator.core.plan import Step
from orchestrator.wording.text import one_line, plural, short_digests


def run_rollback(
    run: str | None, given: Mapping[str, Any], env: Mapping[str, str], *, stdin: TextIO, stdout: TextIO, stderr: TextIO
) -> int:
    """Returns the exit code: that of the run, which is 4 once all that it changed is back."""
    if given["dry_run"]:
        seen = anyio.run(preview, run, given["state"], env)
        click.echo(as_json(seen) if given["output"] == "json" else as_text(seen), file=stdout)
        return ExitCode.OK
    endings = endings_of(given, env, stderr)
    views = view_options_of(given, stderr, env, endings)
    options = RollbackOptions(
        run=run,
        views=views,
        state=given["state"],
        poll_interval=given["poll_interval"],
        on_cancel=OnCancel(given["on_cancel"]),
        leave_after=given["leave_after"],
        lock_wait=given["lock_wait"],
        force=given["force"],
        detach=given["detach"],
    )
    asks = stdin.isatty() and stderr.isatty() and not given["yes"]

    def confirm(seen: Preview) -> bool:
        return not asks or ask(as_text(seen), "Roll this back?", stderr)

    run_it = partial(roll_back, options, env, stdout=stdout, stderr=stderr, confirm=confirm)
    done = to_the_end(run_it, endings)
    if done is None:
        click.echo("nothing was rolled back", file=stderr)
        return ExitCode.BLOCKED
    if done.was_over:
        click.echo(f"run {done.state.run} has changed nothing that could go back", file=stderr)
    return finish(done.state, views.output, endings, stdout=stdout, stderr=stderr, follow=FOLLOW)


# --- what would be done ----------------------------------------------------------------------------------------------


def as_text(seen: Preview) -> str:
    """A line or two for each target, in the order in which they go back."""
    state, plan = seen.state, seen.plan
    title = f"rollback of run {one_line(state.run)}, {one_line(state.release)} to {one_line(state.environment)}"
    lines = [f"{title}: {plural(len(plan.steps), 'target')}", ""]
    width = max((len(step.target.id) for step in plan.steps), default=0)
    for number, step in enumerate(plan.steps, start=1):
        place = step.target.location.region
        lines += [f"{number:>4} < {step.target.id:<{width}}  {place}", *_detail(step)]
    if plan.left_out:
        lines += ["", "left as they are:"]
        lines += [f"     {one_line(name)}: {why}" for name, why in plan.left_out.items()]
    if not plan.steps:
        lines += ["nothing to do: the run has changed nothing that could go back"]
    return "\n".join(lines)


def _detail(step: Step) -> list[str]:
    lines = [f"         {_short(describe_revision(step.current))} -> {_short(step.wanted)}"]
    if step.target.needs:
        lines.append(f"         after {', '.join(step.target.needs)}")
    return lines


def _short(revision: str) -> str:
    return short_digests(one_line(revision))


def as_json(seen: Preview) -> str:
    """`{version, run, targets: [{target, region, current, new, after}], left_out: [{target, reason}]}`."""
    steps = [
        {
            "target": step.target.id,
            "region": step.target.location.region,
            "current": None if step.current is None else revision_to_api(step.current),
            "new": step.wanted,
            "after": list(step.target.needs),
        }
        for step in seen.plan.steps
    ]
    left_out = [{"target": name, "reason": why} for name, why in seen.plan.left_out.items()]
    return json.dumps({"version": 1, "run": seen.state.run, "targets": steps, "left_out": left_out}, indent=2)
