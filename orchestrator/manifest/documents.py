"""Files: the manifest and what it includes, as one tree."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.core.errors import InvalidInputError, UsageError
from orchestrator.manifest.nodes import Map, Node, Place, Scalar, Sequence, written
from orchestrator.manifest.problems import Problems
from orchestrator.manifest.reader import compose, grow

MAX_BYTES = 64 * 1024 * 1024
"""A manifest of 10,000 applications has 3 MB; what is larger than this is no manifest."""

UNPRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SHARED = ("applications", "gates")


def may_be_empty(place: Place) -> bool:
    """Where a key may stand without a value: groups and environments without settings of their own."""
    match place:
        case ("applications", _, "deployment_groups", _) | ("environments", _):
            return True
        case _:
            return False


@dataclass(slots=True, eq=False)
class Document:
    """The manifest's root, with the applications and gates of included files in it."""

    path: Path
    root: Map
    files: list[str] = field(default_factory=list)


def read_document(path: Path, problems: Problems) -> Document:
    """Reads a manifest with all its includes.

    Mistakes are recorded; raises `InvalidInputError` when they leave no tree to go on with, and `UsageError` for a
    manifest that can't be read at all.
    """
    file = str(path)
    root = parse_file(path, file, problems)
    problems.raise_if_unusable(root)
    if not isinstance(root, Map):
        message, at = unusable(root)
        problems.add_at(file, *at, "", message, "it begins with keys such as applications:")
        raise InvalidInputError(problems.findings)
    document = Document(path, root)
    Includer(document, problems).run(file)
    return document


def unusable(root: Scalar | Sequence | None) -> tuple[str, tuple[int, int]]:
    """Why this is no manifest, and the line and column."""
    if root is None or root.value is None:
        return "the manifest is empty", (1, 1)
    kind = "a list" if isinstance(root, Sequence) else "one value"
    return f"a manifest is a mapping (key: value), but this is {kind}", (root.line, root.column)


def parse_file(path: Path, file: str, problems: Problems) -> Node | None:
    text = decode(read_bytes(path, file), file, problems)
    return None if text is None else compose(text, file, problems, may_be_empty)


def read_bytes(path: Path, file: str) -> bytes:
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{file}: larger than {MAX_BYTES // 1024 // 1024} MB", hint="this is no manifest")
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{file}: there is no such file", hint="check the path and the current folder") from None
    except IsADirectoryError:
        raise UsageError(f"{file}: this is a folder", hint="name the manifest in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{file}: can't be read: {reason}") from None


def decode(data: bytes, file: str, problems: Problems) -> str | None:
    """The text of a file, without a byte order mark; None when it isn't text, which is recorded."""
    problems.add_file(file)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        problems.add_at(file, 1, 1, "", "the file is UTF-16", "save it as UTF-8")
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n")
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace"))
        shown = f"0x{data[error.start]:02x}"
        problems.add_at(file, line + 1, column + 1, "", f"not UTF-8: the byte {shown}", "save the file as UTF-8")
        return None
    if found := UNPRINTABLE.search(text):
        line = text.count("\n", 0, found.start())
        column = found.start() - (text.rfind("\n", 0, found.start()) + 1)
        message = f"the control character U+{ord(found[0]):04X} can't stand in YAML"
        problems.add_at(file, line + 1, column + 1, "", message, "take it away; in double quotes it is written \\x…")
        return None
    return text


class Includer:
    """Reads included files, depth first, and adds what they hold to the root."""

    def __init__(self, document: Document, problems: Problems) -> None:
        self._document = document
        self._problems = problems
        self._seen: dict[str, str] = {}
        self._chain: list[str] = []
        self._merged: dict[str, Map] = {}

    def run(self, file: str) -> None:
        root = self._document.root
        if "include" not in root.items:
            return
        for name in SHARED:
            known = root.items.get(name)
            if known is None or isinstance(known, Map):
                self._merged[name] = merged = Map(root.file, root.line, root.column, {}, {}, {})
                if known is not None:
                    merged.line, merged.column = known.line, known.column
                    self._add(name, known)
        self._follow(root, file)
        for name, merged in self._merged.items():
            if merged.items:
                root.items[name] = merged
                root.keys.setdefault(name, root.keys["include"])
                root.value[name] = merged.value
                root.dynamic = root.dynamic or merged.dynamic

    def _follow(self, root: Map, file: str) -> None:
        includes = root.items.get("include")
        if not isinstance(includes, Sequence):
            return  # not a list: the manifest's validation says so, and `_included` for the others
        self._chain.append(os.path.realpath(file))
        self._seen[self._chain[-1]] = file
        for index, item in enumerate(includes.items):
            place = f"include[{index}]"
            if isinstance(item, Scalar) and isinstance(item.value, str) and item.value:
                self._include(item, place, os.path.normpath(Path(file).parent / item.value))
            elif root is not self._document.root:
                self._problems.add_at(item.file, item.line, item.column, place, "must be the path of a file")
        self._chain.pop()

    def _include(self, item: Scalar, place: str, file: str) -> None:
        where = (item.file, item.line, item.column, place)
        real = os.path.realpath(file)
        if item.dynamic:
            self._problems.add_at(*where, "${…} isn't expanded in includes", "write the path itself")
        elif real in self._chain:
            chain = [self._seen[one] for one in self._chain[self._chain.index(real) :]]
            self._problems.add_at(*where, f"files include each other: {' → '.join([*chain, file])}")
        elif real in self._seen:
            self._problems.add_at(*where, f"{file} is included twice", "take one of the two away")
        else:
            self._seen[real] = file
            try:
                root = parse_file(Path(file), file, self._problems)
            except UsageError as error:
                self._problems.add_at(*where, error.message, "paths are relative to the file that includes")
                return
            self._included(root, file)

    def _included(self, root: Node | None, file: str) -> None:
        if root is None:
            return  # empty, or its findings are recorded
        if not isinstance(root, Map):
            self._problems.add(root, (), "an included file is a mapping with applications, gates and include")
            return
        for name, node in root.items.items():
            if name in SHARED and isinstance(node, Map):
                if name in self._merged:
                    self._add(name, node)
            elif name in SHARED:
                self._problems.add(node, (name,), "must be a mapping (key: value)")
            elif name == "include":
                if not isinstance(node, Sequence):
                    self._problems.add(node, (name,), "must be a list")
            else:
                self._problems.add(
                    root.keys[name],
                    (name,),
                    f"{name!r} can't stand in an included file",
                    "only applications, gates and include; move it to the manifest",
                )
        self._follow(root, file)

    def _add(self, kind: str, node: Map) -> None:
        merged = self._merged[kind]
        for name, item in node.items.items():
            key = node.keys[name]
            if name in merged.items:
                first = merged.keys[name]
                self._problems.add_at(
                    key.file,
                    key.line,
                    key.column,
                    written((kind, name)),
                    f"{name!r} stands also in {first.file}:{first.line}:{first.column}",
                )
                continue
            merged.items[name], merged.keys[name], merged.value[name] = item, key, item.value
            grow(merged, item)
