"""The verdicts of `bundle check` next to the agent's, by topic: `make conformance`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.bundles import Case, build, is_strict, load_cases

from orchestrator.bundle.appspec_findings import AppSpecFinding
from orchestrator.bundle.check import check_bundle, options_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    case: Case
    errors: Sequence[str]
    """Codes."""
    warnings: Sequence[str]

    @property
    def agrees(self) -> bool:
        return bool(self.case["expect"]["verdict"] == ("reject" if self.errors else "accept"))

    @property
    def names_the_reason(self) -> bool:
        """Of a refusal: whether the agent's reason, or one that may come first, is among ours."""
        expected = self.case["expect"]
        return not self.errors or bool({expected.get("category"), *expected.get("also", ())} & set(self.errors))

    @property
    def warns_of_the_hazard(self) -> bool:
        return self.case.get("hazard") is None or self.case["hazard"] in self.warnings


def judge(case: Case, folder: Path) -> Result:
    given = case["options"]
    options = options_of(
        bundle_type=None,
        appspec_name=given.get("appspec_filename", "appspec.yml"),
        behavior=given.get("file_exists_behavior", "DISALLOW"),
    )
    report = check_bundle(build(case, folder), options).report
    return Result(
        case=case,
        errors=[finding.code for finding in report.errors if isinstance(finding, AppSpecFinding)],
        warnings=[finding.code for finding in report.warnings if isinstance(finding, AppSpecFinding)],
    )


def strict_results(folder: Path) -> list[Result]:
    return [judge(case, folder) for case in load_cases() if is_strict(case)]


def table(results: Sequence[Result]) -> str:
    """By topic: cases, and in how many verdict, reason and hazard are as they should be."""
    lines = [f"{'topic':14}{'cases':>6}{'verdict':>9}{'reason':>8}{'hazard':>8}"]
    for topic in [*sorted({result.case["topic"] for result in results}), ""]:
        mine = [result for result in results if topic in {"", result.case["topic"]}]
        hazards = [result for result in mine if result.case.get("hazard")]
        found = sum(result.warns_of_the_hazard for result in hazards)
        lines.append(
            f"{topic or 'all':14}{len(mine):>6}{sum(result.agrees for result in mine):>9}"
            f"{sum(result.names_the_reason for result in mine):>8}{f'{found}/{len(hazards)}':>8}"
        )
    return "\n".join(lines)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = strict_results(Path(folder))
    print(table(results))
    wrong = [result for result in results if not (result.agrees and result.names_the_reason)]
    for result in wrong:
        print(f"{result.case['id']}: {result.case['expect']['verdict']}, and we say {list(result.errors) or 'accept'}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
