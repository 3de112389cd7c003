"""Manifests of any size, the same for the same arguments."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

HEAD = """\
version: 1
release: bench
environments: {staging: {region: eu-west-1}}
defaults: {bucket: bench-releases, prefix: bundles, deployment_config: CodeDeployDefault.AllAtOnce}
policy: {on_failure: continue}
applications:
"""

APPSPEC = """\
version: 0.0
os: linux
files: [{source: /scripts, destination: /srv/app}]
hooks:
  AfterInstall: [{location: scripts/install.sh, timeout: 60}]
"""

COMMIT = "8d3f0b6a4c1e97526b0d2fe8a5c79314e6f0b2d8"
FROM_FOLDER = "{source: ./bundle}"
FROM_GITHUB = f"{{github: {{repository: acme/web, commit: {COMMIT}}}}}"

REACH = 50
"""In a random graph a target needs some of so many before it: deep enough that waiting for needs matters."""


def write(path: Path, applications: Iterable[str]) -> Path:
    """Also puts the bundle folder there that they share."""
    scripts = path.parent / "bundle" / "scripts"
    scripts.mkdir(parents=True, exist_ok=True)
    (scripts.parent / "appspec.yml").write_text(APPSPEC)
    script = scripts / "install.sh"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    path.write_text(HEAD + "".join(applications))
    return path


def rich(count: int) -> Iterator[str]:
    """Applications as people write them: two groups each, needs, labels, templates, settings on three levels."""
    for number in range(count):
        needs = f"\n    needs: [{name(number - 1)}]" if number % 10 else ""
        yield f"""\
  {name(number)}:
    application_name: {name(number)}-${{environment}}
    revision: {{source: ./services/{name(number)}, format: tgz, ignore: ["*.log"]}}{needs}
    labels: {{tier: backend, team: team-{number % 7}}}
    timeout: 30m
    deployment_groups:
      canary: {{deployment_config: CodeDeployDefault.AllAtOnce, timeout: 15m}}
      fleet:
        needs: [{name(number)}/canary]
        deployment_config: CodeDeployDefault.HalfAtATime
"""


def independent(count: int, revision: str) -> Iterator[str]:
    """One group each, and no needs."""
    for number in range(count):
        yield f"  {name(number)}: {{revision: {revision}, deployment_groups: [fleet]}}\n"


def random_graph(count: int, seed: int) -> Iterator[str]:
    """Each application needs up to three of the fifty before it; half of them deploy instance after instance."""
    dice = random.Random(seed)  # noqa: S311 - the same graph for the same seed, no secrets
    for number in range(count):
        before = range(max(0, number - REACH), number)
        needs = sorted(dice.sample(before, k=min(len(before), dice.randint(0, 3))))
        config = dice.choice(["AllAtOnce", "OneAtATime"])
        yield (
            f"  {name(number)}: {{revision: {FROM_FOLDER}, deployment_groups: [fleet], "
            f"needs: [{', '.join(map(name, needs))}], deployment_config: CodeDeployDefault.{config}}}\n"
        )


def name(number: int) -> str:
    return f"service-{number:05d}"
