"""`python -m tests.benchmarks.packer SOURCE FORMAT COMPRESSION`: packs once, in a process of its own, and says how."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

from orchestrator.bundle.packing import materialise
from orchestrator.bundle.source import digest, open_source
from orchestrator.core.model import BundleFormat, BundleSource, Compression


def main(source: str, bundle_format: str, compression: str) -> None:
    """Prints seconds of walking and packing, of the digest in between, and the size in bytes, as JSON."""
    wanted = BundleSource(
        path=Path(source),
        bucket="",
        prefix="",
        format=cast("BundleFormat", bundle_format),
        compression=cast("Compression", compression),
    )
    began = time.perf_counter()
    bundle = open_source(wanted)
    opened = time.perf_counter()
    known = digest(bundle)
    digested = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=Path(source).parent) as folder:
        packed = materialise(bundle, Path(folder), expected=known)
        ended = time.perf_counter()
    seconds = ended - digested + opened - began
    print(json.dumps({"seconds": seconds, "digest": digested - opened, "bytes": packed.size}))


if __name__ == "__main__":
    main(*sys.argv[1:])
