"""What can be said of a manifest without a call: `validate` and `graph`. Imports neither anyio nor the SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.app.regions import default_region
from orchestrator.app.sources import Sources, check_sources
from orchestrator.bundle.source import Bundle
from orchestrator.core.errors import Finding, InvalidInputError
from orchestrator.core.model import Target
from orchestrator.manifest import Release, environment_names, load, validate_all

if TYPE_CHECKING:
    from orchestrator.sandbox.fleet import FleetSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    releases: Sequence[Release]
    warnings: Sequence[Finding]
    """What this version reads and can't do yet."""
    bundles: Sequence[Bundle]
    """Each once, whatever environments and buckets it is for."""


def validate_releases(
    manifest: Path,
    *,
    environment: str | None,
    variables: Mapping[str, str],
    env: Mapping[str, str],
    bundles: bool,
    strict: bool,
) -> Checked:
    """Raises `InvalidInputError` with every mistake in the manifest, or else in its bundles."""
    releases = validate_all(
        manifest, environment=environment, variables=variables, env=env, default_region=_region(env)
    )
    sources = Sources()
    errors: list[Finding] = []
    warnings: list[Finding] = []
    if bundles:
        for release in releases:
            try:
                warnings += check_sources(release, release.targets, sources)[1]
            except InvalidInputError as error:
                errors += error.findings
    if strict:
        errors += warnings
    if errors:
        raise InvalidInputError(list(dict.fromkeys(errors)))
    return Checked(
        releases=releases,
        warnings=list(dict.fromkeys(warnings)),
        bundles=sources.opened(),
    )


def _region(env: Mapping[str, str]) -> str:
    """A manifest without environments leaves the region to the machine that applies it; any will do to check it."""
    return default_region(env) or "us-east-1"


def graph_targets(
    manifest: Path, environment: str | None, variables: Mapping[str, str], env: Mapping[str, str]
) -> tuple[Target, ...]:
    """The targets of one environment; where none is named, of the first: the edges are the same in all."""
    names = environment_names(manifest) if environment is None else ()
    chosen = names[0] if names else environment
    return load(manifest, environment=chosen, variables=variables, env=env, default_region=_region(env)).targets


def sandbox_fleet(
    manifest: Path | None,
    environment: str | None,
    variables: Mapping[str, str],
    env: Mapping[str, str],
    *,
    instances: int,
) -> FleetSpec:
    """What a sandbox for this manifest holds: for all of its environments unless one is named. Raises ValueError."""
    from orchestrator.app.rehearsal import fleet_of  # noqa: PLC0415 - `validate` needs no sandbox
    from orchestrator.sandbox.fleet import FleetSpec  # noqa: PLC0415 - as above

    if manifest is None:
        return FleetSpec()
    region = _region(env)
    releases = validate_all(manifest, environment=environment, variables=variables, env=env, default_region=region)
    return fleet_of(releases, instances=instances)
