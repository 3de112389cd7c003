"""What happens to the bundles of a release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core.events import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadStarted(Event):
    """The bundle of these targets is being made ready: digested, packed, uploaded."""

    application: str
    region: str
    targets: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BundlePacked(Event):
    application: str
    digest: str
    bytes: int
    entries: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleUploaded(Event):
    application: str
    region: str
    bucket: str
    key: str
    digest: str
    bytes: int
    seconds: float
    skipped: bool = False
    """The bucket had it already."""
    copied_from: str | None = None
    """The object that S3 copied it from: nothing was sent from here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RevisionPinned(Event):
    """The exact revision of these targets is known, and registered."""

    application: str
    region: str
    targets: tuple[str, ...]
    revision: Mapping[str, Any]
    """As CodeDeploy's RevisionLocation."""
    digest: str | None = None
