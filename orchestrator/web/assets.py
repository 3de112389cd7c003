"""What the pages need beside themselves: files of the package, under names that change with their content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from types import MappingProxyType

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    content_type: str


@cache
def assets() -> Mapping[str, Asset]:
    """By the path of the URL: what stands under one of these never changes."""
    return MappingProxyType({_url(name, asset): asset for name, asset in _files().items()})


@cache
def asset_url(name: str) -> str:
    """`style.css` -> `/assets/style.0123456789abcdef.css`. Raises KeyError for what there isn't."""
    return _url(name, _files()[name])


def sheet(name: str) -> str:
    """The text of a style sheet, for what stands alone."""
    return _files()[name].content.decode()


@cache
def _files() -> Mapping[str, Asset]:
    found: dict[str, Asset] = {}
    for file in files("orchestrator.web").joinpath("assets").iterdir():
        _, dot, suffix = file.name.rpartition(".")
        if dot + suffix in _TYPES:
            found[file.name] = Asset(file.read_bytes(), _TYPES[dot + suffix])
    return found


def _url(name: str, asset: Asset) -> str:
    stem, _, suffix = name.rpartition(".")
    return f"/assets/{stem}.{sha256(asset.content).hexdigest()[:16]}.{suffix}"
