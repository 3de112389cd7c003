"""`python tests/large.py`: packs a file of 4.5 GB in every format, and lets the usual readers judge the archives.

The file is a hole, so that it takes no room; it takes a minute or two all the same, which is too long for the tests.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator.bundle.digest import tree_digest
from orchestrator.bundle.stream import pack_tree
from orchestrator.bundle.tree import scan
from orchestrator.core.model import BundleFormat

SIZE = 4_500_000_000
AFTER = b"what comes after it\n"
MEMORY = 220
"""Megabytes that this process may take."""

COMMANDS: Mapping[BundleFormat, list[list[str]]] = {
    "tar": [["tar", "-tvf"]],
    "tgz": [["gunzip", "-t"], ["tar", "-tzvf"]],
    "zip": [["unzip", "-t"]],
}


def main() -> int:
    failed = 0
    with tempfile.TemporaryDirectory(prefix="orchestrator-large-") as folder:
        source = Path(folder) / "source"
        source.mkdir()
        (source / "huge").touch()
        os.truncate(source / "huge", SIZE)
        (source / "later").write_bytes(AFTER)
        for bundle_format, check in CHECKS.items():
            archive = Path(folder) / f"large.{bundle_format}"
            began = time.monotonic()
            size = pack(source, bundle_format, archive)
            print(f"{bundle_format}: {size:,} bytes in {time.monotonic() - began:.0f} s", flush=True)
            failed += judge(f"Python's {bundle_format} reader", lambda: check(archive))  # noqa: B023 - called at once
            for command in COMMANDS[bundle_format]:
                failed += judge(" ".join(command), lambda: run([*command, str(archive)]))  # noqa: B023 - as above
            archive.unlink()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1000)
    print(f"peak memory {peak:.0f} MB")
    failed += peak > MEMORY
    print("FAILED" if failed else "all readers agree")
    return 1 if failed else 0


def pack(source: Path, bundle_format: BundleFormat, archive: Path) -> int:
    tree = scan(source)
    with (
        archive.open("wb") as out,
        pack_tree(tree, bundle_format, expected=tree_digest(tree, bundle_format)) as stream,
    ):
        for chunk in stream:
            # A hole stays one, so that a tar takes no room either.
            if chunk.count(0) == len(chunk):
                out.seek(len(chunk), os.SEEK_CUR)
            else:
                out.write(chunk)
        out.truncate()
        return stream.result.size


def judge(what: str, look: Callable[[], object]) -> int:
    """1 when it isn't content."""
    try:
        look()
    except (OSError, tarfile.TarError, zipfile.BadZipFile, subprocess.CalledProcessError, ValueError) as error:
        print(f"  {what}: {error!r}", flush=True)
        return 1
    print(f"  {what}: ok", flush=True)
    return 0


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def check_tar(archive: Path) -> None:
    with tarfile.open(archive) as opened:
        sizes = {info.name: info.size for info in opened}
        later = opened.extractfile("later")
        if sizes != {"huge": SIZE, "later": len(AFTER)} or later is None or later.read() != AFTER:
            raise ValueError(sizes)


def check_zip(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        sizes = {info.filename: info.file_size for info in opened.infolist()}
        if sizes != {"huge": SIZE, "later": len(AFTER)} or opened.testzip() or opened.read("later") != AFTER:
            raise ValueError(sizes)


CHECKS: Mapping[BundleFormat, Callable[[Path], None]] = {"tar": check_tar, "tgz": check_tar, "zip": check_zip}


if __name__ == "__main__":
    sys.exit(main())
