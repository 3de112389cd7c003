"""All commands: their help, their options' variables, and what starting them imports."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from orchestrator.cli.main import COMMANDS, cli

SHOP = Path(__file__).parents[2] / "configs" / "shop" / "release.yaml"
HEAVY = ("aioboto3", "aiobotocore", "botocore", "aiohttp", "anyio", "prometheus_client")


def load(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


def options_of(name: str) -> list[click.Option]:
    return [each for each in load(name).params if isinstance(each, click.Option)]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_has_an_example_and_fits_80_columns(name: str) -> None:
    context = click.Context(load(name), info_name=name, parent=click.Context(cli, info_name="orchestrator"))
    lines = load(name).get_help(context).splitlines()
    assert any(f"orchestrator {name}" in line for line in lines[3:])
    examples = [line for line in lines if line.startswith("    ")]
    assert max(len(line) for line in lines if line not in examples) <= 80
    assert max(len(line) for line in lines) <= 100


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_an_option_too(option: str) -> None:
    said, asked = (CliRunner().invoke(cli, [words]) for words in ("version", option))
    assert (asked.exit_code, asked.output) == (0, said.output)
    assert said.output.startswith("orchestrator ")


def test_every_command_has_a_summary_that_fits() -> None:
    lines = cli.get_help(click.Context(cli, info_name="orchestrator")).splitlines()
    assert all(any(line.startswith(f"  {name} ") for line in lines) for name in COMMANDS)
    assert max(len(line) for line in lines) <= 105
    assert "ORCHESTRATOR_DEBUG" in "\n".join(lines)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_its_variable_and_a_word_about_it(name: str) -> None:
    for option in options_of(name):
        long = option.opts[-1].removeprefix("--").replace("-", "_").upper()
        assert option.envvar in {f"ORCHESTRATOR_{long}", f"ORCHESTRATOR_{name.upper()}_{long}"}
        assert option.help


def test_a_variable_means_one_thing_everywhere() -> None:
    """Else one that is set for a command keeps another from starting."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for name in COMMANDS:
        for option in options_of(name):
            flag = "flag" if option.is_flag else str(option.type.name)
            kinds[str(option.envvar)].add(f"{flag} {option.multiple}")
    assert {variable for variable, found in kinds.items() if len(found) > 1} == set()


@pytest.mark.parametrize("name", ["plan", "status", "runs"])
@pytest.mark.parametrize("given", ["auto", "live", "plain", "json"])
def test_the_output_that_apply_is_set_to_keeps_no_command_from_working(name: str, given: str) -> None:
    option = next(each for each in options_of(name) if each.name == "output")
    assert option.type.convert(given, option, None) == ("json" if given == "json" else "plain")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["apply", "--help"], ["version"], ["validate", str(SHOP)], ["graph", str(SHOP)], ["schema"]],
    ids=lambda each: each[0],
)
def test_what_needs_no_network_imports_nothing_for_it(arguments: list[str]) -> None:
    """An import costs time at every start; aioboto3's alone half a second."""
    program = (
        "import sys; from orchestrator.cli.main import cli; cli.main(sys.argv[1:], standalone_mode=False); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines()[-1] == "[]"
