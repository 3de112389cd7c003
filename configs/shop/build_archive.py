"""Builds pages.zip from pages/: the demo's ready archive, as a build job of its own would hand it over.

    python3 configs/shop/build_archive.py

The same files give the same bytes on every machine: sorted names, one fixed time, two modes, and stored instead of
deflated, since the output of deflate differs between versions of zlib.
"""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


def add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    # Git keeps only the executable bit, so only that is taken from the file system.
    mode = 0o755 if os.access(path, os.X_OK) else 0o644
    entry = zipfile.ZipInfo(name, LONG_AGO)
    entry.create_system = 3  # Unix: unzip then honours the mode
    entry.external_attr = (stat.S_IFREG | mode) << 16
    archive.writestr(entry, path.read_bytes(), zipfile.ZIP_STORED)


def build(source: Path, destination: Path) -> None:
    """Writes `destination`, over what is there."""
    files = {path.relative_to(source).as_posix(): path for path in source.rglob("*") if path.is_file()}
    with zipfile.ZipFile(destination, "w") as archive:
        for name in sorted(files):
            add(archive, files[name], name)


if __name__ == "__main__":
    build(HERE / "pages", HERE / "pages.zip")
