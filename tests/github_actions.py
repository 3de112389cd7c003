"""As much of GitHub Actions as the workflow and the action of this repository need, to run them here."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pages
import yaml
from ci_files import read

OURS = "acme/orchestrator@"
THEIRS = {"actions/checkout", "actions/upload-artifact", "aws-actions/configure-aws-credentials"}
"""Actions that are left out: they bring files and credentials, which a test has already, and take the artifacts."""

Contexts = Mapping[str, Mapping[str, Any]]


def evaluate(expression: str, contexts: Contexts) -> Any:
    """`a == 'b' && c.d || ''`: what the files use of the language, and KeyError or ValueError for anything else."""
    for joint, last in (("||", True), ("&&", False)):
        parts = expression.split(f" {joint} ")
        if len(parts) > 1:
            value = None
            for part in parts:
                value = evaluate(part, contexts)
                if bool(value) is last:
                    break
            return value
    for sign in ("==", "!="):
        left, found, right = expression.partition(f" {sign} ")
        if found:
            return (evaluate(left, contexts) == evaluate(right, contexts)) is (sign == "==")
    word = expression.strip()
    if literal := re.fullmatch(r"'([^']*)'", word):
        return literal[1]
    if word == "always()":
        return True
    return _looked_up(word, contexts)


def _looked_up(name: str, contexts: Contexts) -> Any:
    if not re.fullmatch(r"\w+(\.[\w-]+)+", name):
        raise ValueError(f"not understood: {name!r}")
    value: Any = contexts
    for part in name.split("."):
        value = value.get(part, "") if value is not contexts else value[part]
        if value == "":
            break
    return value


def filled(text: Any, contexts: Contexts) -> str:
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda match: str(evaluate(match[1], contexts)), str(text))


@dataclass
class Runner:
    """A machine with a checkout in `folder`."""

    folder: Path
    temporary: Path
    environment: Mapping[str, str]
    path: list[str] = field(default_factory=list)
    log: str = ""

    def action(self, given: Mapping[str, str], contexts: Contexts) -> tuple[int, dict[str, str]]:
        """Runs action.yml with these inputs: its exit code and its outputs."""
        action = yaml.safe_load((pages.ROOT / "action.yml").read_text(encoding="utf-8"))
        if unknown := given.keys() - action["inputs"].keys():
            raise ValueError(f"action.yml has no inputs {unknown}")
        inputs = {name: filled(given.get(name, each["default"]), contexts) for name, each in action["inputs"].items()}
        code, outputs = self._steps(action["runs"]["steps"], {"inputs": inputs})
        contexts = {"steps": {"run": {"outputs": outputs.get("run", {})}}}
        return code, {name: filled(each["value"], contexts) for name, each in action["outputs"].items()}

    def job(self, name: str, contexts: Contexts) -> int:
        """Runs a job of the sample workflow, whatever its `if` says."""
        data = read("github-actions.yml")
        contexts = {**contexts, "env": data["env"]}
        self.environment = {**self.environment, **data["env"]}
        return self._steps(data["jobs"][name]["steps"], contexts)[0]

    def _steps(self, steps: list[dict[str, Any]], contexts: Contexts) -> tuple[int, dict[str, dict[str, str]]]:
        outputs: dict[str, dict[str, str]] = {}
        for step in steps:
            contexts = {**contexts, "steps": {key: {"outputs": value} for key, value in outputs.items()}}
            if "if" in step and not evaluate(step["if"], contexts):
                continue
            if "run" in step:
                code, found = self._script(step, contexts)
            elif step["uses"].startswith(OURS):
                code, found = self.action(step.get("with", {}), contexts)
            elif step["uses"].split("@")[0] in THEIRS:
                continue
            else:
                raise ValueError(f"what does {step['uses']} do?")
            outputs[step.get("id", "")] = found
            if code:
                return code, outputs
        return 0, outputs

    def _script(self, step: Mapping[str, Any], contexts: Contexts) -> tuple[int, dict[str, str]]:
        """As `shell: bash` does it."""
        files = {name: self.temporary / name for name in ("GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
        for file in (files["GITHUB_OUTPUT"], files["GITHUB_PATH"]):
            file.write_text("")
        given = {key: filled(value, contexts) for key, value in step.get("env", {}).items()}
        ended = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.folder / filled(step.get("working-directory", "."), contexts),
            env={
                **self.environment,
                **given,
                **{name: str(file) for name, file in files.items()},
                "PATH": ":".join([*self.path, self.environment["PATH"]]),
                "RUNNER_TEMP": str(self.temporary),
                "GITHUB_ACTION_PATH": str(pages.ROOT),
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTION_REPOSITORY": "acme/orchestrator",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.log += ended.stdout + ended.stderr
        self.path += files["GITHUB_PATH"].read_text().split()
        lines = files["GITHUB_OUTPUT"].read_text().splitlines()
        return ended.returncode, dict(line.split("=", 1) for line in lines)
