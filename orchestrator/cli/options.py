"""Options that several commands share; each has its environment variable."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_UNITS: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(click.ParamType[float]):
    """`500ms`, `90s`, `45m`, `2h`, `1h30m`; gives seconds."""

    name = "duration"

    def __init__(self, *, zero: bool = False) -> None:
        """`zero`: whether 0 is one, too, with or without a unit."""
        self._zero = zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        if self._zero and value == "0":
            return 0.0
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", value)
        if not parts or "".join(number + unit for number, unit in parts) != value:
            self.fail(f"{value!r} is no duration; write 500ms, 90s, 45m, 2h or 1h30m", param, ctx)
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
        if seconds <= 0 and not self._zero:
            self.fail("must be more than nothing", param, ctx)
        return seconds


class Variable(click.ParamType[tuple[str, str]]):
    """`name=value`."""

    name = "k=v"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name:
            self.fail(f"{value!r} isn't of the form name=value", param, ctx)
        return name, text


class PlainOrJson(click.Choice[str]):
    """The output of commands that have no live view.

    ORCHESTRATOR_OUTPUT may be set for `apply`, and must not keep `status` from working: `auto` and `live` are plain.
    """

    def __init__(self) -> None:
        super().__init__(["plain", "json"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return "plain" if value in {"auto", "live"} else super().convert(value, param, ctx)


class PlanOutput(PlainOrJson):
    """Plain, JSON, or Markdown for a pull request."""

    def __init__(self) -> None:
        click.Choice.__init__(self, ["plain", "json", "markdown"])


def option(*names: str, of: str = "", **attributes: Any) -> Callable[[F], F]:
    """As `click.option`, with its variable ORCHESTRATOR_<NAME>.

    `of`: the command's name, where another command means something else by the same option: it goes into the variable,
    and the help shows it.
    """
    long = next(name for name in names if name.startswith("--"))
    words = [of, *long.split("/")[0].removeprefix("--").split("-")]
    variable = "_".join(["ORCHESTRATOR", *(word.upper() for word in words if word)])
    decorate: Callable[[F], F] = click.option(*names, envvar=variable, show_envvar=bool(of), **attributes)
    return decorate


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, shown in this order."""

    def decorate(command: F) -> F:
        for each in reversed(options):
            command = each(command)
        return command

    return decorate


manifest_argument = click.argument("manifest", type=click.Path(path_type=Path))

environment_option = option("-e", "--environment", metavar="NAME", help="The environment to release to.")

output_option = option(
    "--output", type=PlainOrJson(), default="plain", show_default=True, help="For people or for programs."
)

variable_option = option(
    "--var", "variables", type=Variable(), multiple=True, help="Set a variable of the manifest. Repeatable."
)

selection_options: Callable[[Any], Any] = together(
    option(
        "--select",
        multiple=True,
        metavar="EXPR",
        help="Only these targets: a name, a glob (shop-*, */canary) or label=value. Repeatable: any of them; "
        "with commas: all of them.",
    ),
    option("--exclude", multiple=True, metavar="EXPR", help="Not these targets; stronger than all that selects."),
    option("--include-needs", is_flag=True, help="Also what the selected targets need."),
    option("--include-dependents", is_flag=True, help="Also what depends on the selected targets."),
)

state_option = option(
    "--state",
    metavar="URL",
    help="Where runs are kept: a folder or s3://bucket/prefix. Default: .orchestrator/ (apply: as the manifest says).",
)

run_options: Callable[[Any], Any] = together(
    option(
        "--on-cancel",
        type=click.Choice(["wait", "stop", "rollback", "detach"]),
        default="wait",
        show_default=True,
        help="What the first Ctrl-C or SIGTERM does with what runs; nothing new starts in any case.",
    ),
    option(
        "--poll-interval", type=Duration(), help="Between two looks at one deployment. [default: 5s; sandbox: 500ms]"
    ),
    option("--for", "leave_after", type=Duration(), help="Leave after that, with exit code 8 if something still runs."),
    option(
        "--detach",
        is_flag=True,
        help="Leave once all that can start has started, with exit code 8; `resume` goes on with the rest.",
    ),
    option(
        "--lock-wait",
        type=Duration(zero=True),
        default="0",
        show_default=True,
        help="How long to wait when another run has a lock on one of the targets.",
    ),
)


notify_option = option(
    "--notify/--no-notify",
    default=None,
    help="Send the manifest's notifications, or send none. [default: send them; --sandbox: none]",
)

override_option = option(
    "--override-freeze", metavar="REASON", help="Deploy although it is frozen; the journal keeps the reason."
)


def environment_variables() -> Mapping[str, str]:
    return os.environ


fleet_option = option(
    "--fleet",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What the sandbox plays: instances with tags and zones, speeds, faults. docs/sandbox.md shows such a file.",
)
instance_options = together(
    option(
        "--hooks",
        type=click.Choice(["none", "skip", "run"]),
        default="none",
        show_default=True,
        help="run: instances really deploy, scripts too, in bubblewrap. skip: scripts are only looked at.",
    ),
    option(
        "--instances-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Keep the instances' files in this folder, to look at. Alone it means --hooks skip.",
    ),
    option(
        "--instance-image",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="A folder that every new instance starts with: settings, stand-ins for its programs.",
    ),
)
"""What the sandbox's instances are."""
