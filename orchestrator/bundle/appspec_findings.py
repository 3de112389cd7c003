"""Findings about an AppSpec, with the codes that `bundle check` prints (docs/appspec.md lists them)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from orchestrator.core.errors import Finding

Stage = Literal["unpack", "parse", "install", "script"]
"""When the agent notices: at DownloadBundle; at BeforeInstall, which reads the AppSpec; at Install; at the script."""


class Located(Protocol):
    """Something that stands in a file. Lines and columns count from 1."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...
    @property
    def place(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Position:
    line: int = 1
    column: int = 1
    place: str = ""


TOP = Position()
"""Of what has no better place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AppSpecFinding(Finding):
    code: str
    """One word for the kind of mistake, such as `script_missing`."""
    stage: Stage = "parse"


class Findings:
    """Collects them for one file, errors in the order in which the agent would meet them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[AppSpecFinding] = []
        self.warnings: list[AppSpecFinding] = []

    def error(self, at: Located, code: str, message: str, hint: str | None = None, *, stage: Stage = "parse") -> None:
        self.errors.append(self._finding(at, code, message, hint, stage))

    def warning(self, at: Located, code: str, message: str, hint: str | None = None) -> None:
        self.warnings.append(self._finding(at, code, message, hint, "parse"))

    def _finding(self, at: Located, code: str, message: str, hint: str | None, stage: Stage) -> AppSpecFinding:
        return AppSpecFinding(
            file=self.file,
            line=at.line,
            column=at.column,
            place=at.place,
            message=message,
            hint=hint,
            code=code,
            stage=stage,
        )


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint with the nearest known word, whatever the case; None when nothing is near."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f"did you mean '{by_lower[near[0]]}'?" if near else None
