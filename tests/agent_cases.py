"""The conformance cases as the simulated instance meets them: bundles built, deployed event by event, and looked at.

It stands where the agent's local command-line tool stood when the verdicts were made: it picks the events, names the
group LocalFleet, and takes a plain directory for a bundle.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.bundles import Case, build

from orchestrator.sandbox.agent.bundles import Bundle
from orchestrator.sandbox.agent.faults import ScriptFailure
from orchestrator.sandbox.agent.fleet import InstanceAgents
from orchestrator.sandbox.agent.instance import HOOKABLE as EVENTS
from orchestrator.sandbox.agent.instance import EventResult, Instance
from orchestrator.sandbox.agent.layout import Layout
from orchestrator.sandbox.agent.rooted import Root
from orchestrator.sandbox.ports import DeploymentSpec

_GROUP = "bundle"
_OURS = ("/opt/codedeploy-agent", "/var/log/aws", "/tmp", "/var/tmp", "/proc", "/dev", "/usr", "/etc")


class OptionsError(Exception):
    """The local tool refuses before anything runs."""


def bundle_of(step: Case, folder: Path) -> Bundle:
    folder.mkdir()
    path = build(step, folder)
    if path.is_dir():
        return Bundle(kind=step["bundle_type"], folder=path)
    return Bundle(kind=step["bundle_type"], chunks=lambda: (path.read_bytes(),))


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
        shelf.bundle = bundle_of({"id": case["id"], **step}, folder / f"bundle-{number}")
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
    for entry in re.split(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", text, flags=re.MULTILINE)[1:]:
        line = entry.removesuffix("\n")
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
