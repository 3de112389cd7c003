"""What an installation will do, worked out before anything of the new revision is written.

The order of steps and the reasons to refuse are the agent's: files in the order of the AppSpec, then permissions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from orchestrator.bundle.appspec_model import FileMapping, Permission, ServerAppSpec
from orchestrator.sandbox.agent import rubypath
from orchestrator.sandbox.agent.faults import AgentError
from orchestrator.sandbox.agent.rooted import Root

_MOST_STEPS = 500_000
"""A link in the bundle that leads to its own folder would otherwise be followed, and copied, without end."""


@dataclass(frozen=True, slots=True)
class Copy:
    source: str
    destination: str


@dataclass(frozen=True, slots=True)
class MakeFolder:
    path: str


@dataclass(frozen=True, slots=True)
class SetPermission:
    path: str
    permission: Permission


Step = Copy | MakeFolder | SetPermission


@dataclass(slots=True)
class Plan:
    """The steps so far, and what they are about, by expanded path."""

    expand: Callable[[str], str]
    steps: list[Step] = field(default_factory=list)
    copies: dict[str, str] = field(default_factory=dict)
    """Destination -> source."""
    folders: dict[str, None] = field(default_factory=dict)
    permitted: set[str] = field(default_factory=set)

    def copy(self, source: str, destination: str) -> None:
        path = self.expand(destination)
        if (other := self.copies.get(path)) is not None:
            raise AgentError(
                "The deployment failed because the application specification file specifies two source files named "
                f"{source} and {other} for the same destination ({path})."
            )
        if path in self.folders:
            raise AgentError(
                f"The deployment failed because the application specification file calls for installing the file "
                f"{source}, but a folder of that name is made at the location ({path})."
            )
        self._add(Copy(source, path))
        self.copies[path] = source

    def make_folder(self, folder: str) -> None:
        path = self.expand(folder)
        if path in self.copies:
            raise AgentError(
                "The deployment failed because the application specification file asks for a folder where it also "
                f"installs a file ({path}, from {self.copies[path]})."
            )
        if path not in self.folders:
            self._add(MakeFolder(path))
            self.folders[path] = None

    def permit(self, name: str, permission: Permission) -> None:
        path = self.expand(name)
        if path in self.permitted:
            raise AgentError(
                f"The deployment failed because the permissions setting for ({path}) is specified more than once in "
                "the application specification file."
            )
        self.permitted.add(path)
        self._add(SetPermission(path, permission))

    def _add(self, step: Step) -> None:
        if len(self.steps) >= _MOST_STEPS:
            raise AgentError(
                f"The installation takes more than {_MOST_STEPS} steps; does a link lead to its own folder?"
            )
        self.steps.append(step)


def plan_installation(
    appspec: ServerAppSpec, archive: str, behavior: str, root: Root, expand: Callable[[str], str]
) -> Plan:
    """`behavior`: what to do with files that are there, as AppSpec or deployment say. Raises `AgentError`."""
    plan = Plan(expand)
    planner = _Planner(plan, root, behavior)
    for mapping in appspec.files:
        planner.add_files(mapping, archive)
    for permission in appspec.permissions:
        planner.add_permission(permission)
    return plan


@dataclass(frozen=True, slots=True)
class _Planner:
    plan: Plan
    root: Root
    behavior: str

    def add_files(self, mapping: FileMapping, archive: str) -> None:
        source = rubypath.join(archive, mapping.source)
        if self.root.is_dir(source):
            if mapping.is_joined:  # the agent joins a list for a file, and has no folder of a list
                raise AgentError("no implicit conversion of Array into String")
            self._add_ancestors(mapping.destination)
            self._add_tree(source, mapping.destination)
        else:
            destination = rubypath.join(mapping.destination, rubypath.basename(source))
            self._add_ancestors(destination)
            self._add_file(source, destination)

    def add_permission(self, permission: Permission) -> None:
        path = self.plan.expand(permission.object)
        if path in self.plan.copies:
            if "file" in permission.types:
                _check_file_permission(permission)
                self.plan.permit(path, permission)
        elif path in self.plan.folders or self.root.is_dir(permission.object):
            for match in tuple(self._matches(permission, path)):
                self.plan.permit(match, permission)

    def _add_ancestors(self, destination: str) -> None:
        """The folders above it that are missing."""
        missing: list[str] = []
        parent = rubypath.dirname(destination)
        while parent not in {".", "/"} and not self.root.exists(parent):
            missing.append(parent)
            parent = rubypath.dirname(parent)
        for folder in reversed(missing):
            self.plan.make_folder(folder)

    def _add_tree(self, source: str, destination: str) -> None:
        """Linked folders are followed, as the agent does."""
        if not self.root.is_dir(destination):
            self.plan.make_folder(destination)
        for name in sorted(self.root.listdir(source)):
            _require_utf8(name)
            inner, target = f"{source.rstrip('/')}/{name}", rubypath.join(destination, name)
            if self.root.is_dir(inner):
                self._add_tree(inner, target)
            else:
                self._add_file(inner, target)

    def _add_file(self, source: str, destination: str) -> None:
        if not self.root.exists(destination):
            self.plan.copy(source, destination)
            return
        match self.behavior:
            case "OVERWRITE":
                self.plan.copy(source, destination)
            case "RETAIN":
                pass
            case "DISALLOW":
                raise AgentError(
                    "The deployment failed because a specified file already exists at this location: "
                    f"{self.plan.expand(destination)}"
                )
            case other:
                raise AgentError(
                    f"The deployment failed because an invalid option was specified for fileExistsBehavior: {other}. "
                    "Valid options include OVERWRITE, RETAIN, and DISALLOW."
                )

    def _matches(self, permission: Permission, base: str) -> Iterator[str]:
        """What the deployment makes strictly below the object."""
        inside = base if base.endswith("/") else f"{base}/"
        if "file" in permission.types:
            for path in self.plan.copies:
                if _is_meant(permission, inside, path):
                    _check_acls(permission)
                    yield path
        if "directory" in permission.types:
            yield from (path for path in self.plan.folders if _is_meant(permission, inside, path))


def _is_meant(permission: Permission, inside: str, path: str) -> bool:
    if not path.startswith(inside):
        return False
    name = path[len(inside) :]
    if permission.pattern != "**" and not _glob(name, permission.pattern):
        return False
    return not any(_glob(name, pattern) for pattern in permission.excepted)


def _glob(name: str, pattern: str | None) -> bool:
    """One level; `*` is all that is special. None: what the AppSpec has there is no text."""
    if "/" in name:
        return False
    if pattern is None:
        raise AgentError("undefined method `chars': a pattern of a permission is no text")
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None


def _check_file_permission(permission: Permission) -> None:
    if permission.pattern != "**":
        raise AgentError(
            "The deployment failed because the application specification file includes an object "
            f"({permission.object}) with an invalid pattern ({permission.pattern}), such as a pattern for a file "
            "applied to a directory."
        )
    if permission.excepted:
        raise AgentError(
            "The deployment failed because the except parameter for a pattern in the permissions section "
            f"({', '.join(map(str, permission.excepted))}) for the object named {permission.object} contains an "
            "invalid format."
        )
    _check_acls(permission)


def _check_acls(permission: Permission) -> None:
    if any(entry.default for entry in permission.acls or ()):
        raise AgentError(
            "The deployment failed because the -d parameter has been specified to apply an acl setting to a file. "
            "This parameter is supported for directories only."
        )


def _require_utf8(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise AgentError(f"source sequence is illegal/malformed utf-8: {name!r}") from None
