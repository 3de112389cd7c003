"""`make lambda`: the zip of the durable function, for the Python and the processor that Lambda runs it with.

Wheels only, at the versions of constraints/runtime.txt; without what the function never loads; the same bytes from the
same wheels, whoever packs them and when.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import get_args

ROOT = Path(__file__).parent.parent
LARGEST = 50_000_000
"""Lambda takes zips of 50 MB when they are uploaded directly, and of 250 MB unpacked."""
LARGEST_UNPACKED = 250_000_000

NOT_NEEDED = ("anycrc",)
"""Distributions that only the sandbox needs, which isn't packed."""
NOT_OURS = ("sandbox", "testing.py", "testing_blobs.py", "testing_gates.py")
"""Of our own package: what rehearses and what tests."""
MORE_SERVICES = ("lambda",)
"""Whose models botocore must have, besides those that we call: later durable SDKs keep their checkpoints by it."""
LEFT_OUT_FOLDERS = {"__pycache__", "tests", "test", "examples", "bin"}
LEFT_OUT_ENDINGS = {".pyc", ".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ".hash", ".so.debug"}
LEFT_OUT_FILES = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "py.typed"}

_GLIBC = {"3.13": 34, "3.14": 34}
"""The minor version of glibc 2 on Amazon Linux 2023, where these runtimes run."""
_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
_OLDEST_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Target:
    """What Lambda runs it with."""

    python: str
    architecture: str

    def pip_options(self) -> list[str]:
        """So that pip takes wheels for that, and nothing that would have to be compiled."""
        machine, tag = _MACHINES[self.architecture], f"cp{self.python.replace('.', '')}"
        platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(_GLIBC[self.python], 16, -1)]
        named = [each for name in (*platforms, f"manylinux2014_{machine}") for each in ("--platform", name)]
        abis = [each for abi in (tag, "abi3", "none") for each in ("--abi", abi)]
        return ["--only-binary=:all:", "--implementation", "cp", "--python-version", self.python, *named, *abis]

    @property
    def is_this(self) -> bool:
        """Whether this interpreter's bytecode is that of the function."""
        return f"{sys.version_info.major}.{sys.version_info.minor}" == self.python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", choices=sorted(_GLIBC), default="3.13")
    parser.add_argument("--architecture", choices=sorted(_MACHINES), default="arm64")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "orchestrator-lambda.zip")
    given = parser.parse_args()
    target = Target(given.python, given.architecture)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install(target, folder, requirements())
        prune(folder)
        add_ourselves(folder)
        if target.is_this:
            compiled(folder)
        print(report(pack(folder, given.out), given.out, folder))  # noqa: T201 - what make shows


def requirements() -> list[str]:
    """What the function needs, from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project.get("optional-dependencies", {}).get("lambda", ())]


def install(target: Target, folder: Path, wanted: Sequence[str]) -> None:
    """Raises CalledProcessError when a wheel isn't to be had; pip has said which."""
    constraint = ROOT / "constraints" / "runtime.txt"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run(  # noqa: S603 - pip, with requirements of ours
        [*pip, "--target", str(folder), "--constraint", str(constraint), *target.pip_options(), *wanted], check=True
    )
    for name in NOT_NEEDED:
        for path in folder.glob(f"{name}*"):
            shutil.rmtree(path)


def prune(folder: Path) -> None:
    """Takes away what is never loaded. Licences stay: they go wherever the code goes."""
    services = {*_our_services(), *MORE_SERVICES}
    for path in sorted(folder.rglob("*"), reverse=True):
        inside = path.relative_to(folder)
        if path.is_dir():
            if path.name in LEFT_OUT_FOLDERS or _is_other_service(inside, services):
                shutil.rmtree(path)
        elif path.suffix in LEFT_OUT_ENDINGS or path.name in LEFT_OUT_FILES:
            path.unlink()


def _our_services() -> tuple[str, ...]:
    sys.path.insert(0, str(ROOT))
    from orchestrator.aws.session import Service  # noqa: PLC0415 - of the tree that is packed, installed or not

    return get_args(Service)


def _is_other_service(inside: Path, services: set[str]) -> bool:
    """`botocore/data/ec2`, `boto3/data/ec2`: models of services that nobody here calls, two thirds of all bytes."""
    parts = inside.parts
    return len(parts) == 3 and parts[0] in {"botocore", "boto3"} and parts[1] == "data" and parts[2] not in services


def add_ourselves(folder: Path) -> None:
    """Our package as it stands in this checkout."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")

    def left_out(where: str, names: list[str]) -> set[str]:
        top = NOT_OURS if Path(where) == ROOT / "orchestrator" else ()
        return {*ignored(where, names), *(name for name in names if name in top)}

    shutil.copytree(ROOT / "orchestrator", folder / "orchestrator", ignore=left_out)
    shutil.copy(ROOT / "LICENSE", folder / "orchestrator" / "LICENSE")


def compiled(folder: Path) -> None:
    """Lambda's code folder is read-only: without bytecode each cold start would compile a thousand modules."""
    compileall.compile_dir(
        folder,
        quiet=2,
        workers=0,
        stripdir=str(folder),
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )


def pack(folder: Path, out: Path, level: int = 6) -> str:
    """Writes the zip, whole or not at all: sorted, without times and owners. Returns its SHA-256."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for path in _files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _OLDEST_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix: else modes mean nothing
            entry.external_attr = (0o100755 if path.suffix == ".so" else 0o100644) << 16
            archive.writestr(entry, path.read_bytes())
    partial.replace(out)
    return hashlib.sha256(out.read_bytes()).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def report(digest: str, out: Path, folder: Path) -> str:
    """What was made. Raises SystemExit when Lambda wouldn't take it."""
    packed, unpacked = out.stat().st_size, sum(path.stat().st_size for path in _files(folder))
    for size, limit, what in ((packed, LARGEST, "the zip"), (unpacked, LARGEST_UNPACKED, "what is in it")):
        if size > limit:
            raise SystemExit(f"{what} has {size / 1e6:.1f} MB, and Lambda takes {limit / 1e6:.0f}")
    shown = out.relative_to(ROOT) if out.is_relative_to(ROOT) else out
    return f"{shown}: {packed / 1e6:.1f} MB, {unpacked / 1e6:.1f} MB unpacked, sha256 {digest}"


if __name__ == "__main__":
    main()
