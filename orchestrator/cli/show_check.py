"""Findings about bundles, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import click

from orchestrator.bundle.appspec import AppSpecReport
from orchestrator.bundle.appspec_findings import AppSpecFinding
from orchestrator.core.errors import Finding
from orchestrator.wording.text import one_line, plural


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    path: str
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        return not self.errors


def verdict(path: str, report: AppSpecReport, *, strict: bool) -> Verdict:
    """`strict`: warnings count as errors."""
    if strict:
        return Verdict(path=path, errors=(*report.errors, *report.warnings), warnings=())
    return Verdict(path=path, errors=report.errors, warnings=report.warnings)


def show_checks(verdicts: Sequence[Verdict], *, as_json: bool) -> None:
    """On stdout."""
    if as_json:
        click.echo(json.dumps([_to_json(one) for one in verdicts], indent=2))
        return
    for one in verdicts:
        show_findings(one, err=False)
        click.echo(f"{one_line(one.path)}: {_summary(one)}")


def show_findings(one: Verdict, *, err: bool) -> None:
    for kind, findings in (("error", one.errors), ("warning", one.warnings)):
        for finding in findings:
            place = f"{finding.place}: " if finding.place else ""
            hint = f" ({finding.hint})" if finding.hint else ""
            at = f"{finding.file}:{finding.line}:{finding.column}"
            click.echo(one_line(f"{at}: {kind}: {place}{finding.message}{hint} [{_code(finding)}]"), err=err)


def _summary(one: Verdict) -> str:
    counts = [plural(len(found), word) for found, word in ((one.errors, "error"), (one.warnings, "warning")) if found]
    return ", ".join(["accept" if one.accepted else "reject", *counts])


def _to_json(one: Verdict) -> dict[str, object]:
    return {
        "path": one.path,
        "verdict": "accept" if one.accepted else "reject",
        "errors": [finding_to_json(finding) for finding in one.errors],
        "warnings": [finding_to_json(finding) for finding in one.warnings],
    }


def finding_to_json(finding: Finding) -> dict[str, object]:
    """The contract's shape."""
    place = f"{finding.place}: " if finding.place else ""
    return {
        "code": _code(finding),
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "message": f"{place}{finding.message}",
        "hint": finding.hint,
    }


def _code(finding: Finding) -> str:
    return finding.code if isinstance(finding, AppSpecFinding) else "invalid"
