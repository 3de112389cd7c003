"""What an AppSpec for servers says, in the values that the agent works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.bundle.appspec_findings import TOP, AppSpecFinding, Located

Os = Literal["linux", "windows"]
FileExistsBehavior = Literal["DISALLOW", "OVERWRITE", "RETAIN"]
ObjectType = Literal["file", "directory"]

BEHAVIORS: tuple[FileExistsBehavior, ...] = ("DISALLOW", "OVERWRITE", "RETAIN")

DEFAULT_TIMEOUT = 3600
"""Seconds that a script has unless it says otherwise; the service ends the whole event after as many."""

ALL = "**"
"""The pattern of a permission that says none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileMapping:
    source: str
    """From the root of the bundle, with or without a leading slash; a directory means what is in it."""
    destination: str
    """A directory on the instance."""
    is_joined: bool = False
    """The destination was a list of names, which the agent takes for a file's, and not for a directory's."""
    at: Located = field(default=TOP, compare=False, repr=False)
    source_at: Located = field(default=TOP, compare=False, repr=False)
    destination_at: Located = field(default=TOP, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    location: str
    """From the root of the bundle, stripped."""
    timeout: int = DEFAULT_TIMEOUT
    """Seconds."""
    runas: str | None = None
    """Stripped; an empty one means root, as `su` reads it."""
    sudo: bool = False
    """The undocumented key."""
    at: Located = field(default=TOP, compare=False, repr=False)
    """Of its location."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AclEntry:
    default: bool
    kind: Literal["user", "group", "mask", "other"]
    name: str
    """Empty for the owner, the owning group, the mask and everybody else."""
    permission: str
    """`rwx` with dashes, as setfacl is told."""

    @property
    def whom(self) -> tuple[bool, str, str]:
        return self.default, self.kind, self.name

    def __str__(self) -> str:
        return f"{'default:' if self.default else ''}{self.kind}:{self.name}:{self.permission}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """For SELinux."""

    type: str
    user: str | None = None
    """From the key `name`."""
    range: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Permission:
    object: str
    """Stripped; a directory whose contents are meant, or a file that the deployment copies."""
    pattern: str | None = ALL
    """None: no text, which fails as soon as a name is compared with it."""
    excepted: tuple[str | None, ...] = ()
    """Patterns of `except`; None as above."""
    types: frozenset[ObjectType] = frozenset({"file", "directory"})
    owner: str | None = None
    group: str | None = None
    mode: str | None = None
    """Three or four octal digits."""
    acls: tuple[AclEntry, ...] | None = None
    context: Context | None = None
    not_names: tuple[str, ...] = ()
    """`owner`, `group`: whichever is no text, which fails once the permission is applied."""
    at: Located = field(default=TOP, compare=False, repr=False)

    @property
    def sets_something(self) -> bool:
        settings = (self.owner, self.group, self.mode, self.acls, self.context)
        return any(setting is not None for setting in settings) or bool(self.not_names)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerAppSpec:
    """What an AppSpec for EC2 and on-premises says."""

    os: Os | None
    """None only where it isn't said validly, which the agent refuses."""
    version: float = 0.0
    files: tuple[FileMapping, ...] = ()
    file_exists_behavior: FileExistsBehavior | None = None
    """None: what the deployment says."""
    permissions: tuple[Permission, ...] = ()
    hooks: Mapping[str, tuple[Script, ...]] = field(default_factory=dict)
    """By lifecycle event, scripts in their order; unknown events, too."""
    at_install: tuple[AppSpecFinding, ...] = field(default=(), compare=False)
    """Why Install will fail whatever the bundle holds, in the order in which the agent finds out."""
