"""Single values of an AppSpec in a bundle that is right otherwise, with a second opinion on each: `variants.json`.

That opinion is not the agent's. It comes from its rules written down once more, in Ruby, where Psych, `File.join` and
`to_i` are the real ones, and run on Linux; that program agreed with the agent in all 394 strict cases.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.bundle.entries import Entry

VARIANTS = Path(__file__).parent / "variants.json"

SCRIPT = b"#!/bin/sh\nexit 0\n"

FILES: Mapping[str, bytes] = {
    "app/x.txt": b"hi\n",
    "app/a.sh": b"1",
    "app/b.txt": b"1",
    "app/sub/c.sh": b"1",
    "app/sub/deep/d.sh": b"1",
    "app/.hid": b"1",
    "one.txt": b"1",
    "two/x.txt": b"1",
    "two/y": b"1",
    "sp ace/f": b"1",
    "lnk/t": b"1",
    "true.sh": SCRIPT,
    ".h/ok.sh": SCRIPT,
    "s/ok.sh": SCRIPT,
    "s/a b.sh": SCRIPT,
    "s/crlf.sh": b"#!/bin/sh\r\nexit 0\r\n",
    "s/crlf2.sh": b"#!/bin/sh -e\r\nexit 0\r\n",
    "s/nos.sh": b"exit 0\n",
    "s/empty.sh": b"",
    "s/q'.sh": SCRIPT,
    "s/a$b.sh": SCRIPT,
    "s/é.sh": SCRIPT,
    "s/p%.sh": SCRIPT,
    "s/t~.sh": SCRIPT,
    "s/h#.sh": SCRIPT,
    "s/e=1.sh": SCRIPT,
    "s/{a,b}.sh": SCRIPT,
    "s/x!.sh": SCRIPT,
    "s/q?.sh": SCRIPT,
    "s/tab\t.sh": SCRIPT,
}
FOLDERS = ("app/empty", "s/d.sh")
LINKS: Mapping[str, str] = {
    "lnk/rel": "t",
    "lnk/none": "nope",
    "lnk/dir": "../two",
    "lnk/self": ".",
    "cur": "app",
    "curf": "one.txt",
    "dang": "gone",
    "s/l.sh": "ok.sh",
    "s/dl.sh": "gone.sh",
}

_FILES = "files:\n  - source: app\n    destination: /opt/zz\n"
_TEMPLATES: Mapping[str, str] = {
    "version": "version: {}\nos: linux\n",
    "os": "version: 0.0\nos: {}\n",
    "top": "version: 0.0\nos: linux\n{}\n",
    "file_exists_behavior": "version: 0.0\nos: linux\nfile_exists_behavior: {}\n",
    "files": "version: 0.0\nos: linux\nfiles: {}\n",
    "source": "version: 0.0\nos: linux\nfiles:\n  - source: {}\n    destination: /opt/zz\n",
    "destination": "version: 0.0\nos: linux\nfiles:\n  - source: app\n    destination: {}\n",
    "destination of a file": "version: 0.0\nos: linux\nfiles:\n  - source: one.txt\n    destination: {}\n",
    "permissions": f"version: 0.0\nos: linux\n{_FILES}permissions: {{}}\n",
    "object": f'version: 0.0\nos: linux\n{_FILES}permissions:\n  - mode: "644"\n    object: {{}}\n',
    "hooks": "version: 0.0\nos: linux\nhooks: {}\n",
    "event": "version: 0.0\nos: linux\nhooks:\n  {}:\n    - location: s/ok.sh\n",
    "scripts": "version: 0.0\nos: linux\nhooks:\n  AfterInstall: {}\n",
    "location": "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: {}\n",
    "timeout": "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: s/ok.sh\n      timeout: {}\n",
    **{
        key: f"version: 0.0\nos: linux\n{_FILES}permissions:\n  - object: /opt/zz\n    {key}: {{}}\n"
        for key in ("pattern", "except", "type", "owner", "group", "mode")
    },
    **{
        key: f"version: 0.0\nos: linux\n{_FILES}permissions:\n  - object: /elsewhere\n    {key}: {{}}\n"
        for key in ("acls", "context")
    },
}


def document(field: str, value: str) -> str:
    return _TEMPLATES[field].format(value)


def entries() -> list[Entry]:
    files = [
        Entry(path, "file", 0o755 if path.endswith(".sh") else 0o644, len(content)) for path, content in FILES.items()
    ]
    folders = [Entry(path, "dir", 0o755) for path in FOLDERS]
    links = [Entry(path, "symlink", 0o777, target=target) for path, target in LINKS.items()]
    return [Entry("appspec.yml", "file"), *files, *folders, *links]


def load_variants() -> Sequence[tuple[str, str, bool]]:
    """Field, value, and whether the deployment succeeds."""
    by_field: Mapping[str, Mapping[str, bool]] = json.loads(VARIANTS.read_text(encoding="utf-8"))
    return [(field, value, accepted) for field, values in by_field.items() for value, accepted in values.items()]
