"""Install: takes away what the group's last installation made, plans the new one, and carries the plan out."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from orchestrator.bundle.appspec_model import Permission, ServerAppSpec
from orchestrator.sandbox.agent import rubypath
from orchestrator.sandbox.agent.accounts import Accounts
from orchestrator.sandbox.agent.faults import AgentError
from orchestrator.sandbox.agent.layout import AGENT, INSTRUCTIONS, Layout
from orchestrator.sandbox.agent.plan import Copy, MakeFolder, Plan, SetPermission, Step, plan_installation
from orchestrator.sandbox.agent.rooted import Root
from orchestrator.sandbox.agent.untar import Spend

_SPACE = " \t\n\v\f\r\0"
"""What Ruby's strip takes off a line of the cleanup file."""
_SEMANAGE = "semanage\0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Installer:
    """One installation on one instance."""

    root: Root
    layout: Layout
    accounts: Accounts
    strict_names: bool
    """Whether an owner that the instance doesn't know fails the deployment, as it does for the agent. Where no hook
    runs, the hook that would have made the user hasn't."""
    may_chown: bool
    spend: Spend
    note: Callable[[str], None]
    """Takes what can't be done here and is only recorded: a line of the agent's log."""

    def install(self, appspec: ServerAppSpec, behavior: str) -> None:
        """Raises `AgentError`."""
        try:
            self._remove_last()
            for finding in appspec.at_install:
                if finding.code != "hook_unknown_event":
                    raise AgentError(finding.message)
            plan = plan_installation(appspec, self.layout.archive, behavior, self.root, self._expand)
            self.root.mkdirs(INSTRUCTIONS)
            self.root.write(self.layout.install, _as_json(plan))
            with self.root.create(self.layout.cleanup) as record:
                for step in plan.steps:
                    self._carry_out(step, record)
        except (OSError, ValueError) as error:
            raise AgentError(_reason(error)) from error

    def _expand(self, path: str) -> str:
        return rubypath.expand(path, AGENT, self.accounts.homes)

    def _remove_last(self) -> None:
        """Backwards; folders with something else in them stay."""
        if not self.root.exists(self.layout.cleanup):
            return
        lines = self.root.read(self.layout.cleanup).decode(errors="surrogateescape").split("\n")[:-1]
        for line in reversed(lines):
            if not line.startswith(_SEMANAGE):
                self._remove(line.lstrip(_SPACE[:-1]).rstrip(_SPACE))
        self.root.unlink(self.layout.cleanup)

    def _remove(self, path: str) -> None:
        if self.root.is_link(path):
            self.root.unlink(path)
        elif self.root.is_dir(path):
            try:
                self.root.rmdir(path)
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
        elif self.root.exists(path):
            self.root.unlink(path)

    def _carry_out(self, step: Step, record: BinaryIO) -> None:
        match step:
            case MakeFolder(path):
                self.root.mkdir(path)
                _add_line(record, path)
            case Copy(source, destination):
                _add_line(record, destination)
                self._copy(source, destination)
            case SetPermission(path, permission):
                self._permit(path, permission, record)

    def _copy(self, source: str, destination: str) -> None:
        if self.root.is_link(source):
            target = self.root.readlink(source)
            place = destination
            if self.root.is_dir(destination):
                place = rubypath.join(destination, rubypath.basename(target))
            self.root.symlink(target, place)
            return
        if self.root.is_dir(destination):
            destination = rubypath.join(destination, rubypath.basename(source))
        found = self.root.stat(source)
        self.spend(found.st_size)
        with self.root.open(source) as old, self.root.create(destination) as new:
            shutil.copyfileobj(old, new, 1 << 20)
        self._keep_metadata(found, destination)

    def _keep_metadata(self, found: os.stat_result, destination: str) -> None:
        mode = stat.S_IMODE(found.st_mode)
        if self.may_chown:
            self.root.chown(destination, found.st_uid, found.st_gid)
        self.root.chmod(destination, mode)
        if not self.root.is_link(destination):
            self.root.utime(destination, found.st_atime_ns, found.st_mtime_ns)

    def _permit(self, path: str, permission: Permission, record: BinaryIO) -> None:
        if permission.mode is not None:
            self.root.chmod(path, int(permission.mode or "0", 8))
        if permission.acls is not None:
            self.root.stat(path)
            self.note(f"acls of {path} aren't set here: {','.join(map(str, permission.acls))}")
        if permission.context is not None:
            self.root.stat(path)
            self.note(f"the SELinux context of {path} isn't set here: {permission.context.type}")
            record.write(f"{_SEMANAGE}{path}\n".encode(errors="surrogateescape"))
        if permission.not_names:
            raise AgentError(f"no implicit conversion into String: {' and '.join(permission.not_names)} of {path}")
        if permission.owner is not None or permission.group is not None:
            self._give(path, permission)

    def _give(self, path: str, permission: Permission) -> None:
        uid = self._id("user", permission.owner, self.accounts.users)
        gid = self._id("group", permission.group, self.accounts.groups)
        self.root.stat(path)
        if self.may_chown:
            self.root.chown(path, uid, gid)
        else:
            self.note(f"owner and group of {path} aren't set here: {permission.owner or ''}:{permission.group or ''}")

    def _id(self, what: str, name: str | None, known: dict[str, int]) -> int:
        """-1: as it is."""
        if name is None:
            return -1
        if name not in known:
            if self.strict_names or not name:
                raise AgentError(f"can't find {what} for {name}")
            self.note(f"the {what} {name} isn't known here")
        return known.get(name, -1)


def _add_line(record: BinaryIO, path: str) -> None:
    record.write(path.encode(errors="surrogateescape") + b"\n")


def _as_json(plan: Plan) -> bytes:
    return json.dumps({"instructions": [entry for step in plan.steps for entry in _entries(step)]}).encode()


def _entries(step: Step) -> list[dict[str, object]]:
    match step:
        case MakeFolder(path):
            return [{"type": "mkdir", "directory": path}]
        case Copy(source, destination):
            return [{"type": "copy", "source": source, "destination": destination}]
        case SetPermission(path, permission):
            entries: list[dict[str, object]] = []
            if permission.mode is not None:
                entries.append({"type": "chmod", "mode": permission.mode, "file": path})
            if permission.acls is not None:
                entries.append({"type": "setfacl", "acl": [str(entry) for entry in permission.acls], "file": path})
            if (context := permission.context) is not None:
                selinux = {"user": context.user, "role": None, "type": context.type, "range": context.range}
                entries.append({"type": "semanage", "context": selinux, "file": path})
            if permission.owner is not None or permission.group is not None:
                names = {"owner": permission.owner, "group": permission.group}
                entries.append({"type": "chown", **names, "file": path})
            return entries


def _reason(error: OSError | ValueError) -> str:
    """As Ruby puts it: `No such file or directory @ rb_sysopen - /opt/x` without the function."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} - {error.filename}" if error.filename else error.strerror
    return str(error)
