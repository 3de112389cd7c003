"""A folder of this machine copied onto an instance."""

from __future__ import annotations

from pathlib import Path

from orchestrator.sandbox.agent.rooted import Root
from orchestrator.sandbox.agent.untar import Spend


def copy_folder(folder: Path, into: Root, spend: Spend, at: str = "") -> None:
    """Into folders that are there already, too. Links stay links; what is neither file, folder nor link is left out."""
    for entry in sorted(folder.iterdir()):
        place = f"{at}/{entry.name}"
        if entry.is_symlink():
            into.symlink(str(entry.readlink()), place)
        elif entry.is_dir():
            if not into.is_dir(place):
                into.mkdir(place)
            copy_folder(entry, into, spend, place)
        elif entry.is_file():
            content = entry.read_bytes()
            spend(len(content))
            with into.create(place, entry.stat().st_mode & 0o777) as file:
                file.write(content)
