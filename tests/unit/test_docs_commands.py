"""docs/commands.md says what the commands, the exit codes and the events are."""

from __future__ import annotations

import dataclasses
import json
import re

import click
import pages
import pytest

from orchestrator.cli.main import COMMANDS, cli
from orchestrator.cli.sandbox import SandboxGroup
from orchestrator.core import events as ev
from orchestrator.core.errors import ExitCode
from orchestrator.core.event_classes import event_classes
from orchestrator.core.model import TargetState
from orchestrator.core.result import result_of
from orchestrator.core.state import RunState

TEXT = pages.page("commands")


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def params_of(name: str) -> list[click.Parameter]:
    """Of the command, and of those below it."""
    found = command(name)
    below = [*found.commands.values()] if isinstance(found, click.Group) else []
    below += [found.serve] if isinstance(found, SandboxGroup) else []
    return [param for each in (found, *below) for param in each.params]


def options_of(name: str) -> set[str]:
    """All spellings."""
    options = [param for param in params_of(name) if isinstance(param, click.Option)]
    return {spelling for option in options for spelling in (*option.opts, *option.secondary_opts)}


def test_every_command_has_a_section_and_no_other() -> None:
    named = [found[1] for heading in pages.headings(TEXT) if (found := re.fullmatch(r"`(\w+)`", heading))]
    assert named == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_table_and_no_other(name: str) -> None:
    cells = [row[0] for row in pages.rows(pages.section(TEXT, f"`{name}`"))]
    named = {code.split()[0].split("[")[0] for cell in cells for code in pages.codes(cell)}
    assert named == options_of(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_its_variable(name: str) -> None:
    for param in params_of(name):
        if isinstance(param, click.Option):
            long = next(spelling for spelling in param.opts if spelling.startswith("--"))
            usual = "ORCHESTRATOR_" + long.removeprefix("--").replace("-", "_").upper()
            assert param.envvar == usual or f"`{param.envvar}`" in TEXT


def test_the_exit_codes() -> None:
    codes = [int(row[0]) for row in pages.rows(pages.section(TEXT, "Exit codes"))]
    assert codes == [int(code) for code in ExitCode]


def test_every_event_is_in_the_table_with_its_fields() -> None:
    known = {name: [field.name for field in dataclasses.fields(cls)] for name, cls in event_classes().items()}
    assert {"run_started", "bundle_packed", "gate_passed", "notification_opened"} <= set(known)
    listed = {pages.codes(row[0])[0]: pages.codes(row[1]) for row in pages.rows(pages.section(TEXT, "Events"))}
    assert listed == known


def test_the_result_file_looks_as_it_is_said() -> None:
    (block,) = pages.blocks(pages.section(TEXT, "The result file"), "json")
    shown = json.loads(block)
    state = RunState()
    target = {"id": "a/g", "application": "a", "deployment_group": "g"}
    state.apply(ev.Record(1, 0.0, "r", _started(target)))
    real = result_of(state)
    assert list(shown) == list(real)
    assert list(shown["targets"][0]) == list(real["targets"][0])


def test_every_state_of_a_target_is_named() -> None:
    named = pages.codes(re.sub(r"```.*?```", "", pages.section(TEXT, "The result file"), flags=re.DOTALL))
    assert not {str(state) for state in TargetState} - set(named)


def _started(target: dict[str, str]) -> ev.RunStarted:
    return ev.RunStarted(
        release="r",
        environment="e",
        manifest="m",
        manifest_digest="",
        targets=(target,),
        policy={},
        concurrency={},
        version="0",
        host="h",
        pid=1,
    )
