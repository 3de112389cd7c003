"""`python -m tests.benchmarks.packer SOURCE FORMAT COMPRESSION`: packs once, in a process of its own, and says how."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

from orchestrator.bundle.digest import tree_digest
from orchestrator.bundle.stream import pack_tree
from orchestrator.bundle.tree import scan
from orchestrator.core.model import BundleFormat, Compression


def main(source: str, bundle_format: str, compression: str) -> None:
    """Prints as JSON: seconds and seconds of CPU of walking and packing to a file, seconds of the digest in between,
    and the size in bytes."""
    kind, how = cast("BundleFormat", bundle_format), cast("Compression", compression)
    began, cpu = time.perf_counter(), time.process_time()
    tree = scan(Path(source))
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    began = time.perf_counter()
    known = tree_digest(tree, kind)
    digest = time.perf_counter() - began
    began, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryFile() as file, pack_tree(tree, kind, compression=how, expected=known) as stream:
        for chunk in stream:
            file.write(chunk)
        seconds, used = seconds + time.perf_counter() - began, used + time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": used, "digest": digest, "bytes": stream.result.size}))


if __name__ == "__main__":
    main(*sys.argv[1:])
