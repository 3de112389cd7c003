"""The commands that need no network must not pay for one: what they import is what they cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.cli.main import COMMANDS

MANIFEST = str(Path(__file__).parents[2] / "configs" / "shop" / "release.yaml")

SLOW = ("aioboto3", "aiobotocore", "aiohttp", "anyio", "asyncio", "boto3", "botocore", "prometheus_client")
PARSERS = ("pydantic", "yaml")
"""Half of what `validate` takes; a help text needs neither."""

PROBE = """
import json, sys
from orchestrator.cli.main import main
for arguments in json.loads(sys.argv.pop()):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
print()
print(json.dumps(sorted(sys.modules)))
"""


def imported(*commands: Sequence[str]) -> set[str]:
    """The modules that a process holds after these commands, one after the other."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ORCHESTRATOR_"))}
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(commands)], env=env, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("command", "module"),
    [
        (["validate", MANIFEST], "orchestrator.bundle.source"),
        (["graph", MANIFEST, "-e", "staging"], "orchestrator.cli.show_graph"),
        (["schema"], "orchestrator.manifest.schema"),
        (["version"], "orchestrator.cli.version"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_offline_commands_import_no_network(command: list[str], module: str) -> None:
    modules = imported(command)
    assert module in modules  # it did its work
    assert modules.isdisjoint(SLOW)


def test_validate_knows_nothing_of_runs() -> None:
    """Forty classes of events are a fifth of what it takes."""
    modules = imported(["validate", "--verbose", MANIFEST])
    assert "orchestrator.cli.show_notifications" in modules
    assert modules.isdisjoint({*SLOW, "orchestrator.core.events"})


def test_the_first_help_imports_no_command() -> None:
    modules = imported(["--help"])
    assert modules.isdisjoint(SLOW + PARSERS)
    assert modules.isdisjoint({f"orchestrator.cli.{module}" for module, _ in COMMANDS.values()})


def test_help_of_every_command_imports_only_the_options() -> None:
    modules = imported(*([name, "--help"] for name in COMMANDS))
    assert "orchestrator.cli.apply" in modules
    assert modules.isdisjoint(SLOW + PARSERS)
