"""CPU of the commands that must feel instant, beside the AWS CLI's shortest one; and what they import."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from .figures import Figure
from .processes import ORCHESTRATOR, PYTHON, cpu_of, measure

MANIFEST = "configs/shop/release.yaml"
COMMANDS: Sequence[Sequence[str]] = (
    ("--help",),
    ("validate", MANIFEST),
    ("graph", MANIFEST, "-e", "staging"),
)
HEAVY = ("aioboto3", "aiobotocore", "aiohttp", "botocore")
SECONDS = 0.3

IMPORTS = f"""
import contextlib, io, sys
from orchestrator.cli.main import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
print(*sorted({set(HEAVY)!r} & set(sys.modules)))
"""


def figures(_folder: Path) -> Iterator[Figure]:
    baseline = _aws_version()
    heavy: set[str] = set()
    for arguments in COMMANDS:
        cpu = cpu_of([ORCHESTRATOR, *arguments])
        heavy |= set(measure([PYTHON, "-c", IMPORTS, *arguments]).output.split())
        shown = " ".join(Path(each).name if "/" in each else each for each in arguments)
        yield Figure(name=shown, value=cpu, unit="s", at_most=SECONDS, beside=baseline)
    yield Figure(
        name="heavy packages that they import",
        value=float(len(heavy)),
        at_most=0.0,
        beside=", ".join(sorted(heavy)) or f"none of {', '.join(HEAVY)}",
    )


def _aws_version() -> str:
    aws = os.environ.get("ORCHESTRATOR_TEST_AWS") or shutil.which("aws")
    if aws is None:
        return "no aws command to compare with"
    return f"aws --version {cpu_of([aws, '--version']):.2f} s"
