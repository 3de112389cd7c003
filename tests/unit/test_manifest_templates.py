"""`${…}`: where its values come from, and that only what is used is asked for."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core.errors import InvalidInputError, UsageError
from orchestrator.manifest import Release, Repository, load
from orchestrator.manifest.templates import TemplateError, Templates

APPLICATION = "{revision: {s3: {bucket: acme-bundles, key: a.zip}}, deployment_groups: [x], description: %s}"


@dataclass
class ScriptedGit:
    """Counts what it is asked."""

    asked: list[str] = field(default_factory=list)
    fails: bool = False

    def __call__(self, folder: Path) -> "ScriptedGit":
        self.asked.append(f"in {folder.name}")
        return self

    def sha(self) -> str:
        self.asked.append("sha")
        if self.fails:
            raise UsageError("git has no answer: not a git repository", hint="use ${env.GIT_SHA}")
        return "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

    def branch(self) -> str:
        self.asked.append("branch")
        return "main"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(
    description: str,
    *,
    top: str = "",
    env: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    git: ScriptedGit | None = None,
) -> Release:
    Path("release.yaml").write_text(f"{top}\napplications:\n  shop: {APPLICATION % description}\n", encoding="utf-8")
    return load(
        Path("release.yaml"),
        env=env or {},
        variables=variables or {},
        git=git or ScriptedGit(),
        default_region="eu-west-1",
    )


def described(description: str, **options: Mapping[str, str]) -> str:
    top = options.pop("vars", {})
    text = "vars:\n" + "".join(f"  {name}: {value}\n" for name, value in top.items()) if top else ""
    return (
        loaded(f'"{description}"', top=text, env=options.get("env"), variables=options.get("variables"))
        .targets[0]
        .settings.description
    )


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("${env.A}", "a"),
        ("${env.A:-b}", "a"),
        ("${env.EMPTY}", ""),
        ("${env.EMPTY:-b}", "b"),
        ("${env.NONE:-b c/d}", "b c/d"),
        ("${env.NONE:-}", ""),
        ("$${env.A} $$ $ {} ${env.A}$", "${env.A} $$ $ {} a$"),
        ("$${", "${"),
        ("${ env.A }", "a"),
        ("${application}/${deployment_group} in ${environment}: ${release}", "shop/x in default: release"),
        ("${vars.one}-${vars.two}", "a-a!"),
        ("${vars.odd} ${vars.octal} ${vars.flag}", "1e10 010 yes"),
    ],
)
def test_values(folder: Path, template: str, expected: str) -> None:
    variables = {"one": "'${env.A}'", "two": "'${vars.one}!'", "odd": "1e10", "octal": "010", "flag": "yes"}
    assert described(template, env={"A": "a", "EMPTY": ""}, vars=variables) == expected


def test_a_variable_of_the_command_line_replaces_one_that_could_not_be_expanded(folder: Path) -> None:
    top = {"sha": "'${env.NONE}'"}
    assert described("${vars.sha}", vars=top, variables={"sha": "abc"}) == "abc"


def test_a_variable_of_the_command_line_must_be_declared(folder: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        loaded("a", top="vars: {sha: a}", variables={"sah": "abc"})
    assert str(caught.value) == "release.yaml:1:1: vars: --var sah: there is no such variable (did you mean 'sha'?)"


def test_git_is_asked_only_when_it_is_used_and_once(folder: Path) -> None:
    git = ScriptedGit()
    assert loaded("nothing", top="vars: {sha: '${git.sha}'}", git=git).targets
    assert git.asked == []
    release = loaded("'${git.sha} ${git.sha} ${git.branch}'", git=git)
    assert release.targets[0].settings.description == "4b825dc642cb6eb9a060e54bf8d69288fbee4904 " * 2 + "main"
    assert git.asked == [f"in {folder.name}", "sha", "branch"]


def test_no_repository_is_an_error_with_a_hint(folder: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        loaded("'${git.sha}'", git=ScriptedGit(fails=True))
    assert "${git.sha}: git has no answer: not a git repository (use ${env.GIT_SHA})" in str(caught.value)


def test_the_git_command_in_a_folder_that_is_no_repository(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    with pytest.raises(UsageError) as caught:
        Repository(folder).sha()
    assert caught.value.hint == "set a variable from your CI instead, such as ${env.GIT_SHA}"


def test_the_git_command_in_a_repository(folder: Path) -> None:
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "--quiet", "--initial-branch=trunk", "."], check=True)
    subprocess.run(["git", *author, "commit", "--quiet", "--allow-empty", "-m", "x"], check=True)
    assert re.fullmatch("[0-9a-f]{40}", Repository(folder).sha())
    assert Repository(folder).branch() == "trunk"
    subprocess.run(["git", "checkout", "--quiet", "--detach"], check=True)
    with pytest.raises(UsageError) as caught:
        Repository(folder).branch()
    assert caught.value.hint is not None
    assert "${env.GITHUB_REF_NAME}" in caught.value.hint


def test_expanded_values_may_be_numbers_and_booleans(folder: Path) -> None:
    top = "vars: {n: 4, share: 50%, skip: 'false', t: 90s}\n"
    top += "concurrency: {uploads: '${vars.n}', deployments: '${env.N}'}\n"
    top += "policy: {max_failures: '${vars.share}'}\ndefaults: {skip_if_current: '${vars.skip}', timeout: '${vars.t}'}"
    release = loaded("a", top=top, env={"N": "12"})
    assert (release.concurrency.uploads, release.concurrency.deployments) == (4, 12)
    assert release.max_failures_share == 0.5
    assert release.targets[0].timeout == 90
    assert not release.targets[0].skip_if_current


def test_a_number_in_quotes_is_no_number_unless_it_was_expanded(folder: Path) -> None:
    with pytest.raises(InvalidInputError, match="must be a whole number, not '4' "):
        loaded("a", top="concurrency: {uploads: '4'}")


def test_defaults_are_expanded_for_each_target(folder: Path) -> None:
    Path("release.yaml").write_text("""\
defaults: {deployment_group_name: "${application}-${deployment_group}", labels: {name: "${application}"}}
applications:
  a: {revision: &r {s3: {bucket: acme-bundles, key: a.zip}}, deployment_groups: [x, y]}
  b: {revision: *r, description: "of ${deployment_group}", deployment_groups: [x, y]}
""")
    release = load(Path("release.yaml"), env={}, default_region="eu-west-1")
    found = [(one.deployment_group_name, one.labels["name"], one.settings.description) for one in release.targets]
    assert found == [("a-x", "a", ""), ("a-y", "a", ""), ("b-x", "b", "of x"), ("b-y", "b", "of y")]


def test_a_mistake_that_every_target_has_is_found_once(folder: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        loaded("a", top="defaults: {pool: '${application}', bucket: '${deployment_group}!'}")
    assert [finding.place for finding in caught.value.findings] == ["defaults.bucket"]


def test_environments_that_are_not_deployed_to_need_no_values_but_must_make_sense(folder: Path) -> None:
    top = "environments: {a: {region: eu-west-1}, b: {region: '${env.NONE}', vars: {v: x}, role_arn: '${vars.%s}'}}"
    Path("release.yaml").write_text(f"{top % 'v'}\napplications:\n  shop: {APPLICATION % 'x'}\n")
    assert load(Path("release.yaml"), environment="a", env={}).targets
    Path("release.yaml").write_text(f"{top % 'w'}\napplications:\n  shop: {APPLICATION % 'x'}\n")
    with pytest.raises(InvalidInputError, match=r"environments\.b\.role_arn: there is no variable 'w'"):
        load(Path("release.yaml"), environment="a", env={})


@given(st.text(alphabet="${}ab.:-"))
def test_any_text_is_a_template_or_a_mistake(text: str) -> None:
    try:
        pieces = Templates().pieces(text)
    except TemplateError:
        assert "${" in text
    else:
        assert pieces == ((text,) if text else ()) or "${" in text


WORDS = [
    "a",
    "needs",
    "applications",
    "revision",
    "deployment_groups",
    "${vars.a}",
    "&a",
    "*a",
    "<<",
    "!x",
    "~",
    "yes",
    "1:30",
]
MARKS = [": ", "\n", "  ", "- ", "{", "}", "[", "]", ", ", '"', "'", "#", "\t", "? ", "|\n", "---\n"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from(WORDS + MARKS), max_size=30).map("".join))
def test_whatever_stands_in_a_manifest_it_is_read_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "release.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load(path, env={})
    assert str(caught.value)
