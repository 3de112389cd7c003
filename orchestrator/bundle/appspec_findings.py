"""Findings about an AppSpec, with the codes that `bundle check` prints."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.bundle.appspec_yaml import Value
from orchestrator.core.errors import Finding


@dataclass(frozen=True, kw_only=True, slots=True)
class AppSpecFinding(Finding):
    code: str
    """One word for the kind of mistake, such as `script_missing`."""


class Findings:
    """Collects them for one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[AppSpecFinding] = []
        self.warnings: list[AppSpecFinding] = []

    def error(self, at: Value, code: str, message: str, hint: str | None = None) -> None:
        self.errors.append(self._finding(at, code, message, hint))

    def warning(self, at: Value, code: str, message: str, hint: str | None = None) -> None:
        self.warnings.append(self._finding(at, code, message, hint))

    def _finding(self, at: Value, code: str, message: str, hint: str | None) -> AppSpecFinding:
        return AppSpecFinding(
            file=self.file, line=at.line, column=at.column, place=at.place, message=message, hint=hint, code=code
        )


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint with the nearest known word, whatever the case; None when nothing is near."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f"did you mean '{by_lower[near[0]]}'?" if near else None
