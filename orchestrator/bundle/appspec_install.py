"""What the agent's Install would do with a bundle, worked out without a machine.

As the agent does, everything is planned before anything is copied: what is on the machine is what was there before, of
which only the directories that every Linux has are known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.bundle import appspec_paths as paths
from orchestrator.bundle.appspec_findings import Findings
from orchestrator.bundle.appspec_types import FileExistsBehavior, FileMapping, ServerAppSpec
from orchestrator.bundle.entries import Contents, Entry

_SHOWN = 3  # conflicts per entry of `files`; one misplaced folder would make thousands
_MOST_DEEP = 40  # links to directories above make endless trees: the kernel's limit ends them
_NAME_LIMIT = 255  # bytes
_MOST_COPIES = 100_000  # beyond ten times what the bundle holds: links to directories can multiply a tree


@dataclass(frozen=True, slots=True)
class Copy:
    """A file or link that is installed."""

    origin: str
    """In the bundle, links not followed; empty when it comes from elsewhere."""
    entry: Entry | None
    """None when it comes from outside of the bundle."""


@dataclass(slots=True)
class InstallPlan:
    """By absolute path on the instance, in the order in which they are made."""

    copies: dict[str, Copy] = field(default_factory=dict)
    directories: dict[str, str] = field(default_factory=dict)
    """New ones, and where in the bundle each comes from; empty for what only leads to a destination."""


def plan_files(
    appspec: ServerAppSpec, contents: Contents, findings: Findings, *, behavior: FileExistsBehavior = "DISALLOW"
) -> InstallPlan:
    """Plans `files`. `behavior` is the deployment's; the AppSpec's own beats it."""
    plan = InstallPlan()
    planner = _Planner(plan, contents, findings, appspec.file_exists_behavior or behavior)
    for mapping in appspec.files:
        planner.add(mapping)
    return plan


class _Planner:
    def __init__(self, plan: InstallPlan, contents: Contents, findings: Findings, behavior: FileExistsBehavior) -> None:
        self._plan = plan
        self._contents = contents
        self._findings = findings
        self._behavior = behavior
        self._limit = _MOST_COPIES + 10 * sum(1 for _ in contents.entries())
        self._mapping = FileMapping(source="", destination="")
        self._shown = 0

    def add(self, mapping: FileMapping) -> None:
        self._mapping, self._shown = mapping, 0
        if self._is_unusable(mapping):
            return
        found = self._contents.find(mapping.source)
        if found.kind == "outside" and _link_path(self._contents, mapping.source) is None:
            message = f"source {mapping.source!r} leads out of the bundle, to something of the machine's"
            self._findings.warning(mapping.source_at, "source_outside", message, "put it into the bundle")
        elif found.kind == "dir":
            self._add_directory(mapping, found.path)
        else:
            self._add_file(mapping, is_missing=found.kind == "missing")

    def _is_unusable(self, mapping: FileMapping) -> bool:
        text = mapping.destination
        reason = ""
        if text.startswith("~"):
            reason = "the agent tries to make the home directory, which is there already"
        elif any(len(part.encode(errors="surrogateescape")) > _NAME_LIMIT for part in text.split("/")):
            reason = f"a name in it is longer than {_NAME_LIMIT} bytes"
        if reason:
            message = f"destination {text[:80]!r} can't be made: {reason}"
            self._findings.error(
                mapping.destination_at, "destination_unusable", message, "write an absolute path", stage="install"
            )
            return True
        if text and not text.startswith("/"):
            message = f"destination {text!r} is relative, to a folder of the agent's own"
            self._findings.warning(mapping.destination_at, "destination_relative", message, "write an absolute path")
        return False

    def _add_file(self, mapping: FileMapping, *, is_missing: bool) -> None:
        path = _link_path(self._contents, mapping.source)
        if is_missing and path is None:
            self._not_found(mapping)
            return
        target = paths.join(mapping.destination, mapping.source.rstrip("/").rpartition("/")[2])
        if not mapping.destination:
            message = "destination is empty: the file goes to the root of the file system"
            self._findings.warning(mapping.destination_at, "destination_root", message, "name a folder")
        self._make_ancestors(target)
        self._copy(path or "", target)

    def _add_directory(self, mapping: FileMapping, origin: str) -> None:
        if mapping.is_joined:
            message = "destination must be text, not a list"
            self._findings.error(mapping.destination_at, "files_value_type", message, stage="install")
            return
        if not origin:
            message = "source is the whole bundle, the AppSpec file and hooks included"
            self._findings.warning(mapping.source_at, "appspec_installed", message, "put what is installed in a folder")
        self._make_ancestors(mapping.destination)
        pending: list[tuple[str, str, int]] = [(origin, mapping.destination, 0)]
        while pending:
            folder, destination, links = pending.pop()
            self._make(destination, folder)
            below: list[tuple[str, str, int]] = []
            for name, path, is_link, is_directory in _listing(self._contents, folder):
                target = paths.join(destination, name)
                if is_directory and links + is_link <= _MOST_DEEP:
                    if is_link:
                        self._warn_of_followed(folder, name, path)
                    below.append((path, target, links + is_link))
                elif is_directory:
                    self._copy(f"{folder}/{name}".lstrip("/"), target)  # no link is followed further by the kernel
                else:
                    self._copy(path, target)
            pending += reversed(below)
            if len(self._plan.copies) + len(self._plan.directories) > self._limit:
                message = "links to folders above them multiply what is installed without end"
                self._error("symlink_loop", message, "leave the links out")
                return

    def _warn_of_followed(self, folder: str, name: str, path: str) -> None:
        link = f"{folder}/{name}".lstrip("/")
        message = (
            f"{link} is a link to a folder; the agent installs a copy of {path or 'the whole bundle'} in its place"
        )
        self._findings.warning(self._mapping.source_at, "symlink_followed", message, "make the link in a script")

    def _not_found(self, mapping: FileMapping) -> None:
        text = mapping.source
        hint = "use / between folders, not a backslash" if "\\" in text else None
        if any(character in text for character in "*?["):
            hint = "the agent knows no patterns here: name the folder"
        message = f"source {text!r} is not in the bundle"
        self._findings.error(mapping.source_at, "source_not_found", message, hint, stage="install")

    def _make_ancestors(self, target: str) -> None:
        missing: list[str] = []
        folder = paths.dirname(target)
        while not paths.is_directory(folder) and folder not in {".", "/"}:
            missing.append(folder)
            folder = paths.dirname(folder)
        for path in reversed(missing):
            self._make(path, "", is_known_missing=True)

    def _make(self, destination: str, origin: str, *, is_known_missing: bool = False) -> None:
        if not is_known_missing and paths.is_directory(destination):
            return
        target = paths.expand(destination)
        if target in self._plan.copies:
            other = self._plan.copies[target].origin
            self._conflict(f"the directory {origin or destination} goes to {target}, where the file {other} goes")
        elif target not in self._plan.directories:
            if paths.is_directory(target) or _respelt(target) in self._plan.directories:
                self._unusable(destination, target)
            self._plan.directories[target] = origin

    def _unusable(self, destination: str, target: str) -> None:
        what = f"destination {destination!r} makes the agent make {target}, which is there already"
        if not destination:
            what = "destination is empty"
        self._error("destination_unusable", what, "write an absolute path, without `..`", at_destination=True)

    def _copy(self, origin: str, destination: str) -> None:
        target = paths.expand(destination)
        if paths.is_directory(destination) and not self._goes_on(target):
            return
        entry = self._contents.get(origin)
        if target in self._plan.copies:
            self._conflict(f"{origin} and {self._plan.copies[target].origin} both go to {target}")
        elif target in self._plan.directories:
            self._conflict(f"{origin} goes to {target}, which is a directory already")
        elif any("\udc80" <= character <= "\udcff" for character in target):
            self._error("file_name_not_utf8", f"the name of {origin!a} is not UTF-8", "rename the file")
        elif entry is not None and entry.kind == "special":
            self._error("special_file", f"{origin} is no ordinary file, and can't be copied", "leave it out")
        self._plan.copies.setdefault(target, Copy(origin, entry))

    def _goes_on(self, target: str) -> bool:
        """Whether a file is installed although a directory of the machine has its place."""
        if self._behavior == "DISALLOW":
            message = f"{target} is there already, on every machine"
            self._error("file_exists", message, "choose another destination")
        return self._behavior == "OVERWRITE"

    def _conflict(self, message: str) -> None:
        self._error("destination_conflict", message, "each place takes one file only")

    def _error(self, code: str, message: str, hint: str, *, at_destination: bool = False) -> None:
        self._shown += 1
        if self._shown <= _SHOWN:
            at = self._mapping.destination_at if at_destination else self._mapping.at
            self._findings.error(at, code, message, hint, stage="install")


def _respelt(target: str) -> str:
    """The same directory in its other spelling: Ruby keeps doubled slashes in front."""
    return target[1:] if target.startswith("//") else f"/{target}"


def _link_path(contents: Contents, source: str) -> str | None:
    """The path of what is copied, a link itself not followed; None when nothing is there."""
    text = source.rstrip("/")
    folder, _, name = text.rpartition("/")
    parent = contents.find(folder)
    if source.endswith("/") or parent.kind != "dir" or name in {"", ".", ".."}:
        return None
    path = f"{parent.path}/{name}".lstrip("/")
    return path if contents.get(path) is not None else None


def _listing(contents: Contents, folder: str) -> Iterator[tuple[str, str, bool, bool]]:
    """Of a directory: name, path, whether it is a link, and whether it is or leads to a directory.

    The path of a link to a directory is that of the directory.
    """
    for name in contents.names_in(folder):
        path = f"{folder}/{name}".lstrip("/")
        entry = contents.get(path)
        is_link = entry is not None and entry.kind == "symlink"
        found = contents.find(path)
        is_directory = found.kind == "dir"
        yield name, found.path if is_directory else path, is_link, is_directory
