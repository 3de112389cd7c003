"""The conformance cases as the simulated instance meets them: bundles built, deployed event by event, and looked at.

It stands where the agent's local command-line tool stood when the verdicts were made: it picks the events, names the
group LocalFleet, and takes a plain directory for a bundle.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.sandbox.agent.bundles import Bundle
from orchestrator.sandbox.agent.faults import ScriptFailure
from orchestrator.sandbox.agent.fleet import InstanceAgents
from orchestrator.sandbox.agent.instance import EventResult, Instance
from orchestrator.sandbox.agent.layout import Layout
from orchestrator.sandbox.agent.rooted import Root
from orchestrator.sandbox.ports import DeploymentSpec

Case = Mapping[str, Any]

EVENTS = (
    "BeforeBlockTraffic",
    "AfterBlockTraffic",
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
    "BeforeAllowTraffic",
    "AfterAllowTraffic",
)
_GROUP = "bundle"
_OURS = ("/opt/codedeploy-agent", "/var/log/aws", "/tmp", "/var/tmp", "/proc", "/dev", "/usr", "/etc")


class OptionsError(Exception):
    """The local tool refuses before anything runs."""


# --- bundles


def build(case: Case, folder: Path) -> Bundle:
    kind = case["bundle_type"]
    if "archive_base64" in case:
        return _from_bytes(kind, base64.b64decode(case["archive_base64"]))
    match case["archive"]:
        case "directory":
            return Bundle(kind=kind, folder=_directory(case, folder))
        case "zip":
            return _from_bytes(kind, _zip(case))
        case archive:
            mode = {"tar": "w", "tgz": "w:gz", "tbz2": "w:bz2", "txz": "w:xz"}[archive]
            return _from_bytes(kind, _tar(case, mode))


def _from_bytes(kind: str, content: bytes) -> Bundle:
    return Bundle(kind=kind, chunks=lambda: (content,))


def _path(member: Case) -> str:
    if "path_base64" in member:
        return base64.b64decode(member["path_base64"]).decode(errors="surrogateescape")
    path: str = member["path"]
    return path


def _content(member: Case) -> bytes:
    if "base64" in member:
        return base64.b64decode(member["base64"])
    return str(member.get("text", "")).encode()


def _zip(case: Case) -> bytes:
    methods = {
        "stored": zipfile.ZIP_STORED,
        "deflated": zipfile.ZIP_DEFLATED,
        "bzip2": zipfile.ZIP_BZIP2,
        "lzma": zipfile.ZIP_LZMA,
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", methods[case.get("compression", "stored")]) as archive:
        for member in case["members"]:
            info = zipfile.ZipInfo(_path(member).rstrip("/") + ("/" if member["type"] == "dir" else ""))
            info.compress_type = archive.compression
            if member.get("dos"):
                info.create_system, info.external_attr = 0, 0x20
            else:
                kinds = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "symlink": stat.S_IFLNK}
                info.create_system = 3
                info.external_attr = (kinds[member["type"]] | int(member.get("mode", "0644"), 8)) << 16
            content = member["target"].encode() if member["type"] == "symlink" else _content(member)
            archive.writestr(info, content)
    return file.getvalue()


def _tar(case: Case, mode: Any) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=tarfile.GNU_FORMAT) as archive:
        for member in case["members"]:
            info = tarfile.TarInfo(_path(member))
            kinds = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE}
            info.type = kinds[member["type"]]
            info.mode = int(member.get("mode", "0644"), 8)
            info.uid = info.gid = member.get("uid", 0)
            info.linkname = member.get("target", "")
            content = _content(member) if member["type"] == "file" else b""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def _directory(case: Case, folder: Path) -> Path:
    top = folder / "bundle"
    top.mkdir()
    for member in case["members"]:
        path = top / _path(member)
        path.parent.mkdir(parents=True, exist_ok=True)
        if member["type"] == "symlink":
            path.symlink_to(member["target"])
        elif member["type"] == "dir":
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(_content(member))
            path.chmod(int(member.get("mode", "0644"), 8))
    return top


# --- deploying


@dataclass
class Shelf:
    """`Bundles` that hold whatever was put there last."""

    bundle: Bundle | None = None

    async def fetch(self, revision: object) -> Bundle:
        assert self.bundle is not None
        return self.bundle


@dataclass
class Outcome:
    """What a step came to, in the cases' own words."""

    verdict: str = "accept"
    event: str | None = None
    script_error: str | None = None
    scripts: list[dict[str, Any]] = field(default_factory=list)
    message: str = ""


@dataclass
class Play:
    outcomes: list[Outcome]
    created: dict[str, dict[str, Any]]


async def play(case: Case, agents: InstanceAgents, shelf: Shelf, folder: Path) -> Play:
    """Deploys all of the case's bundles to one new instance."""
    options = case.get("options", {})
    instance = agents.instance(f"i-{case['id']}")
    before = set(_tree(instance.root))
    for path in options.get("precreate", ()):
        instance.root.mkdirs(path.rpartition("/")[0])
        instance.root.write(path, b"precreated\n")
    outcomes = []
    for number, step in enumerate(case.get("steps", [case])):
        shelf.bundle = build(step, folder)
        outcomes.append(await _deploy(instance, step, {**options, **step.get("options", {})}, number, shelf.bundle))
    after = _tree(instance.root)
    await agents.stop(f"i-{case['id']}")
    return Play(outcomes, {path: _entry(instance.root, path) for path in after if path not in before})


async def _deploy(instance: Instance, step: Case, options: Mapping[str, Any], number: int, bundle: Bundle) -> Outcome:
    try:
        events = _events(options.get("events", ()), bundle)
    except OptionsError as error:
        return Outcome(verdict="reject", message=str(error))
    if "appspec_filename" in options:
        object.__setattr__(instance, "appspec_name", options["appspec_filename"])
    spec = DeploymentSpec(
        deployment_id=f"d-CASE{number:05}-local",
        application="bundle",
        deployment_group="LocalFleet",
        deployment_group_id=_GROUP,
        revision={},
        file_exists_behavior=options.get("file_exists_behavior", "DISALLOW"),
        events=tuple(dict.fromkeys((*EVENTS, *events))),
    )
    outcome = Outcome()
    for event in events:
        result = await instance.run_event(event, spec)
        if result.failure is not None:
            _blame(outcome, event, result)
            break
    outcome.scripts = _logged(instance.root, Layout(_GROUP, spec.deployment_id))
    return outcome


def _events(asked: tuple[str, ...], bundle: Bundle) -> tuple[str, ...]:
    """As the local tool orders them, with its objections."""
    if not asked:
        ordered: tuple[str, ...] = EVENTS
    else:
        missing = tuple(event for event in ("DownloadBundle", "Install") if event not in asked)
        ordered = (*missing, *asked)
    if any(not re.fullmatch("[A-Z][A-Za-z]*", event) for event in ordered):
        raise OptionsError("an event's name begins with a capital letter")
    before = ordered[: ordered.index("DownloadBundle")]
    if any(event not in {"ApplicationStop", "BeforeBlockTraffic", "AfterBlockTraffic"} for event in before):
        raise OptionsError("only events of the previous revision may come before DownloadBundle")
    between = ordered[ordered.index("DownloadBundle") + 1 : ordered.index("Install")]
    if any(event != "BeforeInstall" for event in between):
        raise OptionsError("only BeforeInstall may come between DownloadBundle and Install")
    if bundle.folder is not None and not (bundle.folder / "appspec.yml").exists():
        raise OptionsError("the directory has no appspec.yml")
    return ordered


def _blame(outcome: Outcome, event: str, result: EventResult) -> None:
    outcome.verdict, outcome.event = "reject", event
    if isinstance(result.failure, ScriptFailure):
        outcome.script_error, outcome.message = result.failure.code, result.failure.message
    else:
        outcome.message = str(result.failure)


# --- looking


def _logged(root: Root, layout: Layout) -> list[dict[str, Any]]:
    """The scripts of the deployment and their output, from the log on the instance."""
    if not root.exists(layout.scripts_log):
        return []
    event, scripts = "", list[dict[str, Any]]()
    text = root.read(layout.scripts_log).decode(errors="replace")
    for line in re.split(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", text, flags=re.MULTILINE)[1:]:
        line = line.removesuffix("\n")
        if line.startswith("LifecycleEvent - "):
            event = line.removeprefix("LifecycleEvent - ")
        elif line.startswith("Script - "):
            scripts.append({"event": event, "location": line.removeprefix("Script - ")})
        else:
            stream, _, said = line.removeprefix("[").partition("]")
            scripts[-1].setdefault(stream, []).append(said)
    return scripts


def _tree(root: Root, path: str = "") -> Iterator[str]:
    for name in root.listdir(path or "/"):
        inner = f"{path}/{name}"
        if inner in _OURS:
            continue
        yield inner
        if root.is_dir(inner) and not root.is_link(inner):
            yield from _tree(root, inner)


def _entry(root: Root, path: str) -> dict[str, Any]:
    found = root.lstat(path)
    entry: dict[str, Any] = {"path": path, "uid": found.st_uid, "gid": found.st_gid}
    if stat.S_ISLNK(found.st_mode):
        return {**entry, "type": "symlink", "target": root.readlink(path)}
    entry["mode"] = f"{stat.S_IMODE(found.st_mode):04o}"
    if stat.S_ISDIR(found.st_mode):
        return {**entry, "type": "dir"}
    content = root.read(path)
    return {**entry, "type": "file", "size": len(content), "sha256_16": hashlib.sha256(content).hexdigest()[:16]}
