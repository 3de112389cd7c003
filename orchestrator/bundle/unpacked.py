"""What the members of an archive become on disk: `tar -xp` and `unzip -o` as the agent runs them, without a disk.

Which clash is fatal was tried out with GNU tar 1.34 and Info-ZIP 6.0 with its fallback, rubyzip.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.bundle.entries import Contents, Entry, Kind
from orchestrator.bundle.members import ArchiveError, Member
from orchestrator.core.model import BundleFormat

_NAME_LIMIT = 255  # bytes; what Linux file systems take
_MOST_LINKS = 40


class UnpackedTree:
    """Takes members in the archive's order. Raises `ArchiveError` where unpacking would fail."""

    def __init__(self, bundle_format: BundleFormat) -> None:
        self._is_tar = bundle_format != "zip"
        self._entries: dict[str, Entry] = {}
        self._used: set[str] = set()
        """Directories with something in them, also those that no member is."""
        self._followed: set[str] = set()
        """Links of a tar that lead to a directory."""
        self._through_links: list[tuple[Entry, str, Member]] = []
        """Of a zip: what goes below a link, the link's path, and the member."""
        self.remarks: list[tuple[str, str]] = []

    def finish(self) -> tuple[Entry, ...]:
        """All entries. What a zip puts below a link lands when everything else is there: unzip makes links last."""
        for entry, link, member in self._through_links:
            found = Contents(self._entries.values()).find(link)
            if found.kind == "outside":
                message = f"member {member.name!r} is written through the link {link}, to somewhere on the machine"
                self._remark("path_traversal", message)
            elif found.kind != "dir":
                raise self._clash(member, link)
            elif entry.path != link:
                path = f"{found.path}/{entry.path.removeprefix(f'{link}/')}".lstrip("/")
                self._entries[path] = replace(entry, path=path)
        self._through_links.clear()
        return tuple(self._entries.values())

    def add(self, member: Member) -> Entry | None:
        """What becomes of it; None when it is the root itself, or goes below a link of a zip."""
        parts = self._parts(member)
        if not parts:
            if member.kind != "dir":
                raise ArchiveError("archive_unreadable", f"a member has no name: {member.name!r}")
            return None
        if not self._is_tar and (link := self._link_at(parts, is_directory=member.kind == "dir")) is not None:
            kind_below: Kind = "dir" if member.kind == "dir" else "file"
            below = Entry("/".join(parts), kind_below, member.mode, member.size if kind_below == "file" else 0)
            self._through_links.append((below, link, member))
            return None
        folder = self._resolve(parts[:-1], member)
        path = f"{folder}/{parts[-1]}" if folder else parts[-1]
        kind: Kind = "file" if member.kind == "hardlink" else member.kind
        entry = Entry(path, kind, member.mode, member.size if kind == "file" else 0, member.target)
        if member.kind == "hardlink":
            entry = self._hard_link(path, member)
        self._place(entry, member)
        return entry

    def _there(self, path: str) -> Entry | None:
        found = self._entries.get(path)
        return Entry(path, "dir", 0o755) if found is None and path in self._used else found

    def _parts(self, member: Member) -> list[str]:
        name = member.name
        if name.startswith("/"):
            self._remark("path_traversal", f"member {name!r} has an absolute name; its leading slash is dropped")
        if ".." in name.split("/"):
            if self._is_tar:
                message = f"member {name!r} climbs out of the archive; tar on the instance refuses it"
                raise ArchiveError("archive_path_traversal", message, hint="make the archive from inside the folder")
            self._remark("path_traversal", f"member {name!r} climbs out of the archive; unzip drops the `..`")
        parts = [part for part in name.split("/") if part not in {"", ".", ".."}]
        for part in parts:
            if len(part.encode(errors="surrogateescape")) > _NAME_LIMIT:
                message = f"member {name[:60]!r}... has a name of over {_NAME_LIMIT} bytes"
                raise ArchiveError("file_name_too_long", message, hint="shorten it")
        return parts

    def _link_at(self, parts: list[str], *, is_directory: bool) -> str | None:
        """The first link on the way to a member, or in the place of a directory."""
        above = ("/".join(parts[:length]) for length in range(1, len(parts) + is_directory))
        return next((path for path in above if (there := self._there(path)) and there.kind == "symlink"), None)

    def _resolve(self, parts: list[str], member: Member) -> str:
        """The directory that a member goes to, made where it isn't there; links in the way are followed."""
        at: list[str] = []
        pending = parts[::-1]
        links = 0
        while pending:
            part = pending.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                at = at[:-1]
                continue
            here = "/".join([*at, part])
            there = self._there(here)
            if there is None or there.kind == "dir":
                self._used.add("/".join(at))
                at.append(part)
                continue
            links += 1
            if there.kind != "symlink" or links > _MOST_LINKS:
                raise self._clash(member, here)
            if there.target.startswith("/") or ".." in there.target.split("/"):
                self._goes_outside(member, there)
            self._require_directory(there, member)
            pending += there.target.split("/")[::-1]
        folder = "/".join(at)
        self._used.add(folder)
        return folder

    def _require_directory(self, link: Entry, member: Member) -> None:
        """Tar makes no directory at the end of a link."""
        if link.path in self._followed:
            return
        if Contents(self._entries.values()).find(link.path).kind != "dir":
            raise self._clash(member, link.path)
        self._followed.add(link.path)

    def _goes_outside(self, member: Member, link: Entry) -> None:
        message = f"member {member.name!r} is written through the link {link.path} -> {link.target}"
        hint = "make the archive from a folder in which this is no link"
        raise ArchiveError("archive_path_traversal", f"{message}; tar on the instance refuses that", hint=hint)

    def _hard_link(self, path: str, member: Member) -> Entry:
        target = member.target.rpartition("../")[2] if ".." in member.target.split("/") else member.target
        name = "/".join(part for part in target.split("/") if part not in {"", ".", ".."})
        there = self._there(name)
        if there is None or there.kind == "dir":
            message = f"member {member.name!r} is a hard link to {member.target!r}, which no earlier file is"
            raise ArchiveError("archive_unreadable", message, hint="make the archive again")
        return Entry(path, there.kind, there.mode, there.size, there.target)

    def _place(self, entry: Entry, member: Member) -> None:
        there = self._there(entry.path)
        if entry.kind == "symlink" and not entry.target and self._is_tar:
            raise ArchiveError("archive_unreadable", f"member {member.name!r} is a link to nothing at all")
        if there is not None and there.kind != entry.kind and "dir" in {there.kind, entry.kind}:
            if not self._gives_way(there, entry):
                raise self._clash(member, entry.path)
        elif there is not None and entry.kind != "dir":
            self._remark("duplicate_member", f"{entry.path} is in the archive twice; the later one counts")
        self._entries.pop(entry.path, None)  # the later one is also later in order
        self._entries[entry.path] = entry

    def _gives_way(self, there: Entry, entry: Entry) -> bool:
        """Whether a file and a directory of one name can follow each other."""
        if self._is_tar:
            return there.kind != "dir" or there.path not in self._used
        return there.kind != "dir" and entry.kind != "dir"

    def _clash(self, member: Member, path: str) -> ArchiveError:
        message = f"{path} is both a file and a folder in the archive; see member {member.name!r}"
        return ArchiveError("archive_name_clash", message, hint="make the archive again, from a clean folder")

    def _remark(self, code: str, message: str) -> None:
        self.remarks.append((code, message))
