"""Manifests: YAML with positions in, resolved targets out, and every mistake at once.

    release = load(Path("release.yaml"), environment="staging", env=os.environ)
    release.targets, release.policy, release.concurrency

`load` and `validate_all` raise `InvalidInputError` with all findings, or `UsageError` when the environment isn't clear.
"""

from orchestrator.core.freezing import FreezeWindow
from orchestrator.manifest.git import GitFacts, GitLookup, Repository
from orchestrator.manifest.loader import environment_names, load, validate_all
from orchestrator.manifest.release import EnvironmentSettings, Position, Release
from orchestrator.manifest.schema import schema

__all__ = [
    "EnvironmentSettings",
    "FreezeWindow",
    "GitFacts",
    "GitLookup",
    "Position",
    "Release",
    "Repository",
    "environment_names",
    "load",
    "schema",
    "validate_all",
]
