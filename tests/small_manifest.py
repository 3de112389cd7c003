"""The smallest manifest that is right, to be broken in one place."""

from pathlib import Path

import pytest

from orchestrator.core.errors import InvalidInputError
from orchestrator.manifest import load

GOOD = """\
applications:
  a:
    revision: {s3: {bucket: acme-bundles, key: a.zip}}
    deployment_groups: [x]
"""


def app(line: str) -> str:
    """The good manifest with one more line in its application: line 5, unless something stands before it."""
    return f"{GOOD}    {line}\n"


def top(line: str) -> str:
    """The good manifest below another line."""
    return f"{line}\n{GOOD}"


def mistakes_in(text: str) -> list[str]:
    """What is said of `release.yaml` with this text, in the current folder; without the file's name."""
    Path("release.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError) as caught:
        load(Path("release.yaml"), env={}, default_region="eu-west-1")
    return [str(finding).removeprefix("release.yaml:") for finding in caught.value.findings]
