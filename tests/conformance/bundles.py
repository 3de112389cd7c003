"""Builds the bundles of `appspec-cases.jsonl`, whose verdicts are the real agent's. See README.md beside it."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CASES = Path(__file__).parent / "appspec-cases.jsonl"

Case = Mapping[str, Any]
Member = Mapping[str, Any]

_TAR_TYPES = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE}
_ZIP_TYPES = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "symlink": stat.S_IFLNK}
_ZIP_METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflated": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


def load_cases(path: Path = CASES) -> list[Case]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def is_strict(case: Case) -> bool:
    """Whether bundle and options alone settle the verdict, on every machine."""
    return bool(case["static"]) and not case["environment"]


def build(case: Case, folder: Path) -> Path:
    """The bundle as a directory, or as an archive whose suffix is what the deployment calls it."""
    if case["archive"] == "directory":
        root = folder / str(case["id"])
        root.mkdir()
        for member in case["members"]:
            _write(root, member)
        return root
    path = folder / f"{case['id']}.{case['bundle_type']}"
    path.write_bytes(_archive(case))
    return path


def _archive(case: Case) -> bytes:
    if "archive_base64" in case:
        return base64.b64decode(case["archive_base64"])
    kind = case["archive"]
    if kind == "zip":
        return _zip(case["members"], case.get("compression", "stored"))
    content = _tar(case["members"])
    match kind:
        case "tgz":
            return gzip.compress(content)
        case "tbz2":
            return bz2.compress(content)
        case "txz":
            return lzma.compress(content)
        case _:
            return content


def _name(member: Member) -> str:
    if "path" in member:
        return str(member["path"])
    return base64.b64decode(member["path_base64"]).decode(errors="surrogateescape")


def _content(member: Member) -> bytes:
    if "base64" in member:
        return base64.b64decode(member["base64"])
    return str(member.get("text", "")).encode()


def _write(root: Path, member: Member) -> None:
    path = root / _name(member)
    path.parent.mkdir(parents=True, exist_ok=True)
    match member["type"]:
        case "dir":
            path.mkdir(exist_ok=True)
        case "symlink":
            path.symlink_to(member["target"])
            return
        case _:
            path.write_bytes(_content(member))
    path.chmod(int(member["mode"], 8))


def _zip(members: Sequence[Member], compression: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for member in members:
            is_dir = member["type"] == "dir"
            info = zipfile.ZipInfo()
            info.filename = f"{_name(member).rstrip('/')}/" if is_dir else _name(member)
            info.compress_type = _ZIP_METHODS[compression]
            if member.get("dos"):
                info.create_system, info.external_attr = 0, 0x20
            else:
                info.create_system = 3
                info.external_attr = (_ZIP_TYPES[member["type"]] | int(member["mode"], 8)) << 16
            content = member["target"].encode() if member["type"] == "symlink" else _content(member)
            archive.writestr(info, content)
    return out.getvalue()


def _tar(members: Sequence[Member]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as archive:
        for member in members:
            info = tarfile.TarInfo(_name(member))
            info.type = _TAR_TYPES[member["type"]]
            info.mode = int(member["mode"], 8)
            info.uid = info.gid = member.get("uid", 0)
            info.linkname = member.get("target", "")
            content = _content(member) if member["type"] == "file" else b""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()
