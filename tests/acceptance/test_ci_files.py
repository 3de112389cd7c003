"""The samples for CI systems and the action, run as those would run them, against a sandbox.

First a release that fails, then one that succeeds. Only pip is stood in for, since it would fetch packages; what it is
asked for is looked at.
"""

from __future__ import annotations

import html
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

import ci_files
import pages
import pytest
from awscli import open_client
from ci_files import Job
from github_actions import Runner
from rig import Ended, MakeRig, Programs, Rig, fleet_of

from orchestrator.sandbox.options import Failure, Faults

SCRATCH = pages.ROOT / "tests" / "docs_scratch"
BROKEN = Faults(failures=(Failure(target="shop-api-*/fleet", event="ValidateService"),))
STAGING = {"shop-db-staging", "shop-api-staging"}
PROD = {"shop-db-prod", "shop-api-prod"}

_PYTHON = r"""#!/usr/bin/env bash
case "$*" in
"-m venv "*) mkdir -p "$3/bin" ;;
"-m pip "*)
  printf '%s\n' "$*" >>"$PIP_CALLS"
  if [ "$3" = --python ]; then ln -sf {orchestrator} "$(dirname "$4")/orchestrator"; fi
  ;;
*) exec {python} "$@" ;;
esac
"""


@dataclass
class Machine:
    """A CI system's machine: a checkout, and what a job finds there."""

    rig: Rig
    folder: Path
    temporary: Path
    environment: Mapping[str, str]
    shell: Sequence[str] = ("bash", "-eo", "pipefail", "-c")
    log: list[Ended] = field(default_factory=list)

    def run(self, job: Job, **given: str) -> int:
        """The exit code of the first script that fails, or 0."""
        for script in job.scripts:
            found = subprocess.run(
                [*self.shell, script],
                cwd=self.folder,
                env={**self.environment, **job.environment, **given},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            self.log.append(Ended(found.returncode, found.stdout, found.stderr))
            if found.returncode:
                return found.returncode
        return 0

    def deployed(self) -> set[str]:
        """The applications with a deployment that has succeeded."""
        return {each.application for each in self.rig.deployments() if each.status == "Succeeded"}

    def outcome(self, name: str = "result.json") -> str:
        return str(json.loads((self.folder / name).read_text())["outcome"])

    def failures(self, name: str = "junit.xml") -> list[str]:
        """The test cases that failed, by the report."""
        cases = ET.parse(self.folder / name).iter("testcase")  # noqa: S314 - a file of ours
        return [f"{each.get('classname')}/{each.get('name')}" for each in cases if each.find("failure") is not None]

    def pip_calls(self) -> list[str]:
        return Path(self.environment["PIP_CALLS"]).read_text().splitlines()

    def said(self) -> str:
        return "".join(each.out + each.err for each in self.log)[-3000:]


@pytest.fixture
def machine(make_rig: MakeRig, programs: Programs, tmp_path: Path) -> Machine:
    folder, temporary = tmp_path / "checkout", tmp_path / "temporary"
    shutil.copytree(SCRATCH, folder)
    temporary.mkdir()
    rig = make_rig([], fleet=fleet_of(folder / "release.yaml"), time_scale=0)
    first = tmp_path / "bin"
    first.mkdir()
    python = first / "python3"
    python.write_text(_PYTHON.replace("{orchestrator}", str(programs.orchestrator)).replace("{python}", sys.executable))
    python.chmod(0o755)
    environment = {
        "PATH": f"{first}:{programs.folder}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "CI": "true",
        "PIP_CALLS": str(tmp_path / "pip-calls"),
        "ORCHESTRATOR_PACKAGE": "git+https://example.com/orchestrator@v0.1.0",
        "ORCHESTRATOR_POLL_INTERVAL": "50ms",
        "AWS_EC2_METADATA_DISABLED": "true",
        **rig.command.environment,
    }
    return Machine(rig, folder, temporary, environment)


def test_gitlab(machine: Machine) -> None:
    given = {"CI_PROJECT_ID": "7", "CI_PIPELINE_ID": "9"}
    jobs = ci_files.gitlab(str(machine.temporary), given)
    machine.rig.set_faults(BROKEN)
    assert machine.run(jobs["check"]) == 0, machine.said()
    assert machine.run(jobs["staging"]) == 3, machine.said()
    assert machine.outcome() == "failed"
    assert machine.failures() == ["shop-api/fleet"]
    assert "shop-api" in (machine.folder / "report.html").read_text()
    assert machine.run(jobs["prod"]) == 6, machine.said()
    assert not machine.deployed() & PROD
    machine.rig.set_faults(Faults())
    assert [machine.run(jobs[name]) for name in ("staging", "prod", "resume")] == [0, 0, 0], machine.said()
    assert machine.outcome() == "succeeded"
    assert machine.deployed() == STAGING | PROD
    token = machine.temporary / "aws-token"
    assert (token.read_text(), token.stat().st_mode & 0o777) == ("token", 0o600)
    assert jobs["prod"].environment["AWS_ROLE_SESSION_NAME"] == "gitlab-7-9"


def test_jenkins(machine: Machine) -> None:
    stages = ci_files.jenkins()
    machine.shell = ("sh", "-xec")
    apply, again = {"COMMAND": "apply", "ENVIRONMENT": "staging"}, {"COMMAND": "resume", "ENVIRONMENT": "staging"}
    machine.rig.set_faults(BROKEN)
    codes = [machine.run(stages[name], **apply) for name in ("Install", "Check", "Release")]
    assert codes == [0, 0, 3], machine.said()
    assert machine.outcome() == "failed"
    assert machine.failures() == ["shop-api/fleet"]
    machine.rig.set_faults(Faults())
    assert machine.run(stages["Release"], **apply) == 0, machine.said()
    assert machine.run(stages["Go on, or go back"], **again) == 0, machine.said()
    assert machine.deployed() == STAGING


def test_codebuild(machine: Machine) -> None:
    job = ci_files.codebuild()
    machine.rig.set_faults(BROKEN)
    assert machine.run(job) == 3, machine.said()
    assert machine.outcome() == "failed"
    assert machine.failures() == ["shop-api/fleet"]
    machine.rig.set_faults(Faults())
    assert machine.run(Job(job.name, job.scripts[-1:], job.environment)) == 0, machine.said()
    assert machine.deployed() == STAGING


def test_circleci(machine: Machine) -> None:
    jobs = ci_files.circleci(str(machine.temporary))
    given = {"CIRCLE_OIDC_TOKEN_V2": "token"}
    assert list(jobs) == ["check", "staging", "prod"]
    machine.rig.set_faults(BROKEN)
    assert machine.run(jobs["check"]) == 0, machine.said()
    assert machine.run(jobs["staging"], **given) == 3, machine.said()
    assert machine.failures("release/junit.xml") == ["shop-api/fleet"]
    machine.rig.set_faults(Faults())
    assert [machine.run(jobs[name], **given) for name in ("staging", "prod")] == [0, 0], machine.said()
    assert machine.deployed() == STAGING | PROD
    assert machine.outcome("release/result.json") == "succeeded"
    assert (machine.temporary / "aws-token").read_text() == "token"


def test_whatever_installs_names_a_package_that_is_pinned(machine: Machine) -> None:
    jobs = [
        ci_files.gitlab(str(machine.temporary), {"CI_PROJECT_ID": "7", "CI_PIPELINE_ID": "9"})["check"],
        ci_files.jenkins()["Install"],
        ci_files.codebuild(),
        ci_files.circleci(str(machine.temporary))["check"],
    ]
    for job in jobs:
        install = Job(job.name, job.scripts[:1], job.environment)
        assert machine.run(install) == 0, machine.said()
    calls = machine.pip_calls()
    assert len(calls) == len(jobs)
    for call in calls:
        assert " install --quiet --disable-pip-version-check " in call
        assert call.endswith(" git+https://example.com/orchestrator@v0.1.0")


# --- GitHub ---------------------------------------------------------------------------------------------------------


def runner(machine: Machine) -> Runner:
    return Runner(machine.folder, machine.temporary, machine.environment)


def test_github_jobs_fail_and_succeed_as_the_release_does(machine: Machine) -> None:
    push = {"github": {"event_name": "push"}, "vars": {"AWS_ROLE_ARN": "arn", "AWS_REGION": "eu-west-1"}}
    machine.rig.set_faults(BROKEN)
    failing = runner(machine)
    assert failing.job("staging", push) == 3, failing.log
    assert machine.failures("release.xml") == ["shop-api/fleet"]
    assert "shop-api/fleet" in html.unescape((machine.temporary / "GITHUB_STEP_SUMMARY").read_text())
    assert "::error" in failing.log
    assert failing.job("prod", push) == 6, failing.log
    machine.rig.set_faults(Faults())
    fresh = runner(machine)
    assert [fresh.job(name, push) for name in ("staging", "prod")] == [0, 0], fresh.log
    assert machine.deployed() == STAGING | PROD
    for call in machine.pip_calls():
        constraint, source = call.split()[-2:]
        assert (Path(constraint).is_file(), Path(source, "pyproject.toml").is_file()) == (True, True)


def test_a_pull_request_shows_its_plan(machine: Machine) -> None:
    found = runner(machine)
    assert found.job("plan", {"vars": {}}) == 0, found.log
    summary = (machine.temporary / "GITHUB_STEP_SUMMARY").read_text()
    assert "shop-api/fleet" in summary
    assert machine.rig.deployments() == []


def test_by_hand_goes_on_and_goes_back(machine: Machine) -> None:
    given = {"vars": {}, "inputs": {"command": "apply", "environment": "prod"}}
    found = runner(machine)
    assert found.job("by-hand", given) == 0, found.log
    (machine.folder / "api" / "index.html").write_text("new")
    assert found.job("by-hand", given) == 0, found.log
    assert found.job("by-hand", {**given, "inputs": {"command": "rollback", "environment": "prod"}}) == 4, found.log
    assert found.job("by-hand", {**given, "inputs": {"command": "resume", "environment": "prod"}}) == 4, found.log


def test_the_action_says_how_it_ended(machine: Machine) -> None:
    machine.rig.set_faults(BROKEN)
    given = {"manifest": "release.yaml", "environment": "staging", "vars": "version=2.0\n", "result": "out.json"}
    code, outputs = runner(machine).action(given, {})
    assert (code, outputs["exit-code"], outputs["outcome"]) == (3, "3", "failed")
    assert outputs["result"] == str(machine.folder / "out.json")
    found = json.loads(Path(outputs["result"]).read_text())
    assert (found["run"], found["release"]) == (outputs["run"], "shop-2.0")
    code, outputs = runner(machine).action(
        {"command": "validate", "manifest": "nowhere.yaml", "result": "out.json"}, {}
    )
    assert (code, outputs) == (2, {"run": "", "outcome": "", "result": "", "exit-code": "2"})


def test_an_old_python_is_told(machine: Machine) -> None:
    old = machine.temporary / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    found = runner(machine)
    code, _ = found.action({"python": str(old), "command": ""}, {})
    assert code == 2
    assert f"::error::{old} isn't Python 3.11" in found.log


EVIL = "x'\"; touch pwned; $(touch pwned) `touch pwned` #"


@pytest.mark.parametrize("names", [["command"], ["manifest", "environment", "args", "vars", "state", "result"]])
def test_no_input_of_the_action_is_run(machine: Machine, names: list[str]) -> None:
    given = {"command": "validate", "manifest": "release.yaml"} | dict.fromkeys(names, EVIL)
    code, outputs = runner(machine).action(given, {})
    assert not list(machine.folder.rglob("pwned")) + list(machine.temporary.rglob("pwned"))
    assert (code, outputs["exit-code"]) == (2, "2")


def test_no_expression_stands_in_a_script() -> None:
    """GitHub puts the text of an expression into the script, and the shell runs it."""
    for text in ((pages.ROOT / "action.yml").read_text(), (ci_files.FOLDER / "github-actions.yml").read_text()):
        scripts = [line for line in text.splitlines() if "${{" in line and "run:" in line]
        assert not scripts
    action = ci_files.read("../../action.yml")
    workflow = ci_files.read("github-actions.yml")
    steps = [*action["runs"]["steps"], *(step for job in workflow["jobs"].values() for step in job["steps"])]
    found = [step["run"] for step in steps if "run" in step]
    assert len(found) == 3
    assert not [script for script in found if "${{" in script]


# --- after_success --------------------------------------------------------------------------------------------------


def after_success(machine: Machine, **given: str) -> int:
    script = pages.ROOT / "configs" / "ci" / "after_success.sh"
    job = Job("after_success", (f"bash {script}",), {"CD_COMMIT": "c0ffee", "CD_BRANCH": "main"})
    group = {"CD_APP_NAME": "shop-api-staging", "CD_DEPLOYMENT_GROUP": "fleet", "CD_SOURCE": "api"}
    return machine.run(job, **{key: value for key, value in {**group, **given}.items() if value})


def test_after_success_deploys_by_commit_and_by_branch(machine: Machine) -> None:
    client = open_client("s3", machine.environment)
    client.put_bucket_versioning(Bucket="acme-releases", VersioningConfiguration={"Status": "Enabled"})
    client.close()
    assert after_success(machine, CD_BUCKET="acme-releases") == 0, machine.said()
    key = "${application}/${env.CD_BRANCH}.zip"
    assert after_success(machine, CD_BUCKET="acme-releases", CD_KEY=key, CD_BRANCH="x/y") == 0, machine.said()
    found = [each.revision["s3Location"] for each in machine.rig.deployments()]
    assert [each["key"] for each in found] == ["shop-api-staging/c0ffee.zip", "shop-api-staging/x/y.zip"]
    assert all(each["version"] and each["eTag"] for each in found)
    assert [each.description for each in machine.rig.deployments()] == ["main c0ffee", "x/y c0ffee"]
    assert machine.outcome() == "succeeded"


def test_after_success_deploys_a_commit_from_github(machine: Machine) -> None:
    assert after_success(machine, CD_REPOSITORY="acme/shop-api", CD_COMMIT="c" * 40) == 0, machine.said()
    assert machine.rig.deployments()[0].revision["gitHubLocation"]["commitId"] == "c" * 40


def test_after_success_fails_when_the_deployment_does(machine: Machine) -> None:
    machine.rig.set_faults(BROKEN)
    assert after_success(machine, CD_BUCKET="acme-releases") == 3
    assert machine.outcome() == "failed"
    assert "ValidateService" in machine.said()


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        ({"CD_APP_NAME": ""}, 1, "CD_APP_NAME: is not set"),
        ({}, 1, "CD_REPOSITORY: is not set, nor is CD_BUCKET"),
        ({"CD_BUCKET": "acme-releases", "TRAVIS_PULL_REQUEST": "12"}, 0, "a pull request"),
        ({"CD_BUCKET": "acme-releases", "CD_ONLY_BRANCH": "release"}, 0, "the branch is main, not release"),
        ({"CD_BUCKET": "acme-releases", "CD_SOURCE": "before"}, 2, "appspec.yml"),
        ({"CD_BUCKET": "nowhere"}, 3, "NoSuchBucket"),
    ],
)
def test_after_success_deploys_nothing_unless_it_should(
    machine: Machine, given: dict[str, str], code: int, says: str
) -> None:
    assert after_success(machine, **given) == code
    assert says in machine.said()
    assert machine.rig.deployments() == []
