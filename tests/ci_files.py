"""The samples for CI systems, taken apart: the shell lines that each would run, in its order, with its variables.

Each reader fails loudly on what it doesn't know, so that a line can't get lost by being written in another way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pages
import yaml

FOLDER = pages.ROOT / "configs" / "ci"


@dataclass(frozen=True)
class Job:
    """Scripts that run one after the other in one folder, until one fails."""

    name: str
    scripts: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def read(name: str, temporary: str = "/tmp") -> Any:
    """A YAML file of the samples. `temporary`: what is to stand for /tmp, which a job has for itself."""
    text = (FOLDER / name).read_text(encoding="utf-8").replace("/tmp/", f"{temporary}/")
    return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader with one more tag


class _Loader(yaml.SafeLoader):
    """Knows GitLab's `!reference`, as a tuple, and leaves `on` a word, as GitHub does."""


def _reference(loader: yaml.SafeLoader, node: yaml.nodes.SequenceNode) -> tuple[str, ...]:
    return tuple(loader.construct_sequence(node))


_Loader.add_constructor("!reference", _reference)
_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), list("tf"))


def gitlab(temporary: str, given: Mapping[str, str]) -> dict[str, Job]:
    """Jobs by name; `given`: the variables that GitLab sets, for those that refer to them."""
    data = read("gitlab-ci.yml", temporary)
    found = {}
    for name in data.keys() - {"stages", "variables"}:
        job = _extended(data, name)
        lines = [*_lines(data, job.get("before_script", [])), *_lines(data, job.get("script", []))]
        variables = {
            **data["variables"],
            **job.get("variables", {}),
            **dict.fromkeys(job.get("id_tokens", ()), "token"),
        }
        expanded = {key: re.sub(r"\$(\w+)", lambda match: given[match[1]], value) for key, value in variables.items()}
        found[name] = Job(name, ("\n".join(lines),), expanded)
    return found


def _extended(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    job = dict(data[name])
    parent = _extended(data, job.pop("extends")) if "extends" in job else {}
    merged = {**parent, **job}
    if "variables" in parent and "variables" in job:
        merged["variables"] = {**parent["variables"], **job["variables"]}
    return merged


def _lines(data: Mapping[str, Any], lines: list[Any]) -> Iterator[str]:
    for line in lines:
        if isinstance(line, tuple):
            job, key = line
            yield from _lines(data, data[job][key])
        else:
            yield line


def jenkins() -> dict[str, Job]:
    """Stages by name. Raises ValueError where a step is written in a way that isn't looked for."""
    text = re.sub(r"^\s*//.*$", "", (FOLDER / "Jenkinsfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    environment = dict(re.findall(r"^ +([A-Z_]+) += '([^']*)'$", text, flags=re.MULTILINE))
    stages = [(found.start(), found[1]) for found in re.finditer(r"\bstage\('([^']+)'\)", text)]
    scripts: dict[str, list[str]] = {name: [] for _, name in stages}
    steps = list(re.finditer(r"\bsh '''\n(.*?)'''", text, flags=re.DOTALL))
    for step in steps:
        name = [stage for start, stage in stages if start < step.start()][-1]
        scripts[name].append(step[1].replace("\\\\", "\\"))  # as Groovy reads it
    if len(steps) != len(re.findall(r"\b(?:sh|bat|pwsh)\b", text)) or not all(scripts.values()):
        raise ValueError("Jenkinsfile: there are steps, or stages, whose shell lines aren't written as sh '''…'''")
    return {name: Job(name, tuple(found), environment) for name, found in scripts.items()}


def codebuild() -> Job:
    data = read("buildspec.yml")
    order = ("install", "pre_build", "build", "post_build")
    if unknown := data["phases"].keys() - set(order):
        raise ValueError(f"buildspec.yml: no such phases: {unknown}")
    lines = [line for phase in order for line in data["phases"].get(phase, {}).get("commands", ())]
    return Job("build", tuple(lines), data["env"]["variables"])


def circleci(temporary: str) -> dict[str, Job]:
    """The workflow's jobs by name, without approvals."""
    data = read("circleci.yml", temporary)
    found = {}
    for entry in data["workflows"]["release"]["jobs"]:
        (kind, use), *_ = entry.items() if isinstance(entry, dict) else {entry: {}}.items()
        if use.get("type") == "approval":
            continue
        job = data["jobs"][kind]
        parameters = {key: use[key] for key in job.get("parameters", ())}
        environment = {key: _filled(value, parameters) for key, value in job.get("environment", {}).items()}
        steps = [step["run"] for step in job["steps"] if isinstance(step, dict) and "run" in step]
        scripts = tuple(step if isinstance(step, str) else step["command"] for step in steps)
        if "<<" in "".join(scripts):
            raise ValueError("circleci.yml: parameters in shell lines are run as part of them")
        found[use.get("name", kind)] = Job(use.get("name", kind), scripts, environment)
    return found


def _filled(text: str, parameters: Mapping[str, str]) -> str:
    return re.sub(r"<< parameters\.(\w+) >>", lambda match: parameters[match[1]], text)
