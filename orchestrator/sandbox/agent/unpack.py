"""DownloadBundle: fetches the bundle, unpacks it where the agent does, and keeps the last five archives."""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from orchestrator.sandbox.agent.accounts import Accounts
from orchestrator.sandbox.agent.faults import AgentError
from orchestrator.sandbox.agent.folders import copy_folder
from orchestrator.sandbox.agent.layout import INSTRUCTIONS, Layout
from orchestrator.sandbox.agent.rooted import Root
from orchestrator.sandbox.agent.untar import Owner, Spend, untar
from orchestrator.sandbox.agent.unzip import unzip

ARCHIVES = 5
_APPSPEC = re.compile("appspec", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unpacker:
    """One download on one instance."""

    root: Root
    layout: Layout
    accounts: Accounts
    may_chown: bool
    spend: Spend

    def unpack(self, kind: str, folder: Path | None) -> None:
        """The bundle that has been downloaded, a `kind` of tar, tgz or zip; or a folder. Raises `AgentError`."""
        try:
            self._unpack(kind, folder)
        except OSError as error:
            raise AgentError(f"{error.strerror or error} - {error.filename or self.layout.archive}") from error

    def _unpack(self, kind: str, folder: Path | None) -> None:
        self._drop_old_archives()
        self.root.rmtree(self.layout.archive)
        self.root.mkdirs(self.layout.archive)
        with self.root.within(self.layout.archive) as archive:
            if folder is not None:
                copy_folder(folder, archive, self.spend)
            else:
                self._extract(kind, archive)
        if folder is None:
            self._strip_top_folder()
        self.root.mkdirs(INSTRUCTIONS)
        self.root.write(self.layout.most_recent, self.layout.home.encode())

    def _extract(self, kind: str, archive: Root) -> None:
        with self.root.open(self.layout.bundle) as file:
            if kind == "zip":
                unzip(file, archive, spend=self.spend)
            else:
                untar(file, archive, gzipped=kind == "tgz", owner=self._owner(), spend=self.spend)

    def _owner(self) -> Owner | None:
        """tar goes by names where the instance knows them."""
        if not self.may_chown:
            return None
        users, groups = self.accounts.users, self.accounts.groups

        def owner(member: tarfile.TarInfo) -> tuple[int, int]:
            return users.get(member.uname, member.uid), groups.get(member.gname, member.gid)

        return owner

    def _strip_top_folder(self) -> None:
        """A single folder at the top that holds something with `appspec` in its name is left out."""
        archive = self.layout.archive
        names = self.root.listdir(archive)
        if len(names) != 1 or not self.root.is_dir(top := f"{archive}/{names[0]}"):
            return
        if any(_APPSPEC.search(name) for name in self.root.listdir(top)):
            aside = f"{archive}-temp"
            self.root.rmtree(aside)
            self.root.rename(archive, aside)
            self.root.rename(f"{aside}/{names[0]}", archive)
            self.root.rmdir(aside)

    def _drop_old_archives(self) -> None:
        """The oldest go first; the one that was installed last never goes."""
        homes = [f"{self.layout.group}/{name}" for name in self.root.listdir(self.layout.group)]
        others = [home for home in homes if home != self.layout.home]
        extra = len(others) - ARCHIVES + 1
        if extra <= 0:
            return
        last = read_pointer(self.root, self.layout.last_successful)
        by_age = sorted((home for home in others if home != last), key=lambda home: self.root.lstat(home).st_mtime_ns)
        for home in by_age[:extra]:
            self.root.rmtree(home)


def read_pointer(root: Root, path: str) -> str | None:
    """The home of a deployment that one of the group's pointers names."""
    if not root.exists(path):
        return None
    return root.read(path).decode(errors="surrogateescape").removesuffix("\n") or None
