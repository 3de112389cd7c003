"""`python -m tests.benchmarks.trees NAME FOLDER`: trees to pack, of code, binaries, and what is compressed already.

The text is the standard library's, the binaries are its byte code, cut into files at places that a seed decides; what
is compressed already is random bytes, with the suffix of a picture or an archive.
"""

from __future__ import annotations

import random
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

MB = 1_000_000
_POOL = 12 * MB
_TEXT, _BINARY, _DENSE = ("py", "js", "json", "html", "css"), ("so", "bin", "pyc"), ("png", "jpg", "gz", "woff2", "jar")


class _Pools:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - the same tree each time
        library = Path(sysconfig.get_path("stdlib"))
        self.text = b"".join(_contents(sorted(library.glob("*.py")) + sorted(library.glob("*/*.py")), _POOL))
        self.binary = b"".join(_contents(sorted(library.rglob("*.so")) + sorted(library.rglob("*.pyc")), _POOL))
        self.dense = self.random.randbytes(_POOL)

    def content(self, pool: bytes, size: int) -> bytes:
        """Cut from anywhere; what is longer than the pool is several cuts."""
        parts = []
        while size:
            length = min(size, len(pool) // 2)
            start = self.random.randrange(len(pool) - length)
            parts.append(pool[start : start + length])
            size -= length
        return b"".join(parts)

    def name(self, number: int, suffixes: Sequence[str]) -> str:
        return f"part-{number % 40:02}/sub-{number % 7}/file-{number:05}.{self.random.choice(suffixes)}"


def mixed(root: Path) -> None:
    """200 MB in 3,000 files: half text, a quarter binaries, a quarter compressed already; a few files are large."""
    pools = _Pools(1)
    sizes = [pools.random.lognormvariate(9.8, 1.6) for _ in range(3000)]
    scale = 200 * MB / sum(sizes)
    for number, size in enumerate(sizes):
        kind, suffixes = pools.random.choice(
            [(pools.text, _TEXT), (pools.text, _TEXT), (pools.binary, _BINARY), (pools.dense, _DENSE)]
        )
        _write(root / pools.name(number, suffixes), pools.content(kind, int(size * scale)))
    _appspec(root)


def small(root: Path) -> None:
    """20,000 files of 200 to 8,000 bytes, 82 MB; one in ten is compressed already."""
    pools = _Pools(2)
    for number in range(20_000):
        kind, suffixes = (pools.dense, _DENSE) if number % 10 == 0 else (pools.text, _TEXT)
        _write(root / pools.name(number, suffixes), pools.content(kind, pools.random.randrange(200, 8000)))
    _appspec(root)


def dense(root: Path) -> None:
    """1 GB in 250 files that hardly compress: random bytes, with half a kilobyte of text in every sixteen."""
    pools = _Pools(3)
    step, text = 16 << 10, 512
    parts = (
        pools.dense[at : at + step - text] + pools.content(pools.text, text)
        for at in range(0, len(pools.dense) - step, step)
    )
    mixed_pool = b"".join(parts)
    for number in range(250):
        size = pools.random.randrange(1 * MB, 7 * MB)
        _write(root / pools.name(number, _DENSE), pools.content(mixed_pool, size))
    _appspec(root)


def _contents(files: Sequence[Path], size: int) -> Iterator[bytes]:
    for file in files:
        if size <= 0:
            return
        content = file.read_bytes()
        size -= len(content)
        yield content


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _appspec(root: Path) -> None:
    (root / "appspec.yml").write_text("version: 0.0\nos: linux\nfiles:\n  - {source: /, destination: /srv/app}\n")


if __name__ == "__main__":
    {"mixed": mixed, "small": small, "dense": dense}[sys.argv[1]](Path(sys.argv[2]))
