"""The samples for CI systems are what their systems take: by the schemas of those, as check-jsonschema ships them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ci_files
import jsonschema
import pages
import pytest
import regress
from check_jsonschema.builtin_schemas import get_builtin_schema

FILES: Mapping[str, str] = {
    "github-actions.yml": "github-workflows",
    "../../action.yml": "github-actions",
    "gitlab-ci.yml": "gitlab-ci",
    "circleci.yml": "circle-ci",
}


def validator(schema: Mapping[str, Any]) -> Any:
    """Patterns are JavaScript's, and so is the engine."""

    def pattern(_validator: Any, wanted: str, value: Any, _schema: Any) -> Any:
        if isinstance(value, str) and not regress.Regex(wanted).find(value):
            yield jsonschema.ValidationError(f"{value!r} doesn't match {wanted!r}")

    kind = jsonschema.validators.validator_for(schema)
    return jsonschema.validators.extend(kind, {"pattern": pattern})(schema)


def checked(name: str) -> Any:
    """What a schema looks at: YAML's tuples are lists to it."""
    return _plain(ci_files.read(name))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(("name", "schema"), FILES.items())
def test_the_file_is_what_its_system_takes(name: str, schema: str) -> None:
    data = checked(name)
    found = validator(get_builtin_schema(f"vendor.{schema}"))
    assert [error.message for error in found.iter_errors(data)] == []
    (job, *_) = [key for key in data if key in {"jobs", "runs", "staging"}]
    broken = {**data, job: {"script": 7, "steps": 7, "using": "nothing"}}
    assert list(found.iter_errors(broken))


def test_the_buildspec_has_the_keys_that_codebuild_knows() -> None:
    """No schema of it is at hand: these are the keys of the user guide's reference that are used."""
    data = ci_files.read("buildspec.yml")
    assert data.keys() <= {"version", "run-as", "env", "proxy", "batch", "phases", "reports", "artifacts", "cache"}
    assert data["version"] == 0.2
    assert data["env"].keys() <= {"shell", "variables", "parameter-store", "secrets-manager", "exported-variables"}
    for name, phase in data["phases"].items():
        assert name in {"install", "pre_build", "build", "post_build"}
        assert phase.keys() <= {"run-as", "on-failure", "on-success", "runtime-versions", "commands", "finally"}
        assert phase.get("on-failure", "ABORT") in {"ABORT", "CONTINUE"}


def test_every_sample_is_in_the_list_of_samples() -> None:
    text = (ci_files.FOLDER / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in ci_files.FOLDER.iterdir()} - {"README.md"}
    assert files <= set(pages.keys(text))


def test_releases_of_one_environment_wait_for_each_other() -> None:
    """Two at once would only meet at the lock; who waits there pays for a machine."""
    github = ci_files.read("github-actions.yml")["jobs"]
    assert all(github[job]["concurrency"]["cancel-in-progress"] is False for job in ("staging", "prod", "by-hand"))
    gitlab = ci_files.read("gitlab-ci.yml")
    assert {gitlab[job]["resource_group"] for job in ("prod", "resume")} == {"release-prod"}
    assert gitlab["staging"]["resource_group"] == "release-staging"
    jobs = [
        entry["release"]
        for entry in ci_files.read("circleci.yml")["workflows"]["release"]["jobs"]
        if "release" in entry
    ]
    assert [job["serial-group"].rpartition("/")[2] for job in jobs] == ["release-staging", "release-prod"]
    assert "disableConcurrentBuilds()" in (ci_files.FOLDER / "Jenkinsfile").read_text()


def test_tokens_of_github_can_do_no_more_than_they_must() -> None:
    workflow = ci_files.read("github-actions.yml")
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read", "id-token": "write"}
        assert job["timeout-minutes"] <= 130


def test_no_one_else_can_run_something_by_the_workflow_or_the_action(tmp_path: Path) -> None:
    """By zizmor. Left: actions are pinned by tag, to be read; and the action adds its own folder to PATH."""
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    shutil.copy(ci_files.FOLDER / "github-actions.yml", workflows / "release.yml")
    shutil.copy(pages.ROOT / "action.yml", tmp_path)
    assert zizmor(tmp_path) == {("unpinned-uses", "release.yml"), ("github-env", "action.yml")}
    text = (workflows / "release.yml").read_text()
    (workflows / "release.yml").write_text(
        text.replace('"$MANIFEST" --strict', "${{ github.event.pull_request.title }}")
    )
    assert ("template-injection", "release.yml") in zizmor(tmp_path)


def zizmor(folder: Path) -> set[tuple[str, str]]:
    """What it finds: the kind, and the file."""
    program = Path(sys.executable).with_name("zizmor")
    ended = subprocess.run(
        [program, "--offline", "--no-progress", "--format", "json", folder], capture_output=True, text=True, check=False
    )
    found = json.loads(ended.stdout)
    places = {(each["ident"], json.dumps(each["locations"][0]["symbolic"]["key"])) for each in found}
    return {(kind, "action.yml" if "action.yml" in where else "release.yml") for kind, where in places}


def test_the_page_has_the_inputs_and_outputs_of_the_action() -> None:
    action = ci_files.read("../../action.yml")
    text = pages.section((ci_files.FOLDER / "README.md").read_text(encoding="utf-8"), "The action")
    assert pages.keys(text) == [*action["inputs"], *action["outputs"]]
