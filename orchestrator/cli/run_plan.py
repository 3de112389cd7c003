"""What `plan` does between its arguments and its exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import anyio
import click

from orchestrator.app.applying import frozen_now
from orchestrator.app.proving import not_verified
from orchestrator.app.releases import ManifestRelease, prepare
from orchestrator.app.saved import SavedRelease, read_saved, save
from orchestrator.app.stores import open_state
from orchestrator.app.undertakings import Planned, Undertaking
from orchestrator.cli.files import check_writable, write_whole
from orchestrator.cli.release import refuse_choices, release_options
from orchestrator.cli.show_markdown import plan_as_markdown
from orchestrator.cli.show_plan import plan_as_json, plan_as_text
from orchestrator.core.errors import ExitCode, UsageError
from orchestrator.core.planfile import to_text

SHOWN: Mapping[str, Callable[[Planned], str]] = {
    "plain": plan_as_text,
    "json": plan_as_json,
    "markdown": plan_as_markdown,
}


def run_plan(given: Mapping[str, Any], env: Mapping[str, str], *, stdout: TextIO, stderr: TextIO) -> int:
    """Returns the exit code."""
    out: Path | None = given["out"]
    check_writable(out, "--out")
    undertaking = undertaking_of(given, env, stderr)
    if out is not None and not isinstance(undertaking, ManifestRelease):
        raise UsageError(f"{given['manifest']} is a saved plan already", hint="copy the file, or plan its manifest")
    if out is not None and undertaking.is_rehearsal:
        raise UsageError("-o: a plan of the embedded sandbox can't be carried out: it is gone by then")

    async def make() -> Planned:
        async with AsyncExitStack() as stack:
            state = await stack.enter_async_context(open_state(given["state"], undertaking.state, env))
            opening = undertaking.open(env, state, preflight=given["preflight"])
            planned = await stack.enter_async_context(opening)
            frozen = frozen_now(planned.plan)
            remarks = [*planned.remarks, *(f"not verified: {each}" for each in planned.unverified)]
            return replace(planned, remarks=remarks if frozen is None else [*remarks, str(frozen)])

    planned = anyio.run(make)
    click.echo(SHOWN[given["output"]](planned), file=stdout)
    if given["output"] != "plain":  # there they are part of it
        for remark in planned.remarks:
            click.echo(remark, file=stderr)
    if out is not None and planned.unverified:
        raise not_verified(planned.unverified)
    if out is not None and isinstance(undertaking, ManifestRelease):
        write_whole(out, to_text(save(planned, undertaking, ttl=given["ttl"])))
        click.echo(f"saved in {out}; carry it out with: orchestrator apply {out}", file=stderr)
    return ExitCode.CHANGES if given["detailed_exitcode"] and planned.plan.changes else ExitCode.OK


def undertaking_of(given: Mapping[str, Any], env: Mapping[str, str], stderr: TextIO) -> Undertaking:
    """Of the argument MANIFEST: a manifest's release or a saved plan, told apart by their content."""
    saved = read_saved(given["manifest"])
    if saved is not None:
        refuse_choices(given)
        return SavedRelease(saved=saved, file=given["manifest"])
    options = release_options(given)
    prepared = prepare(options, env)
    for warning in prepared.warnings:
        click.echo(str(warning), file=stderr)
    return ManifestRelease(prepared=prepared, options=options)
