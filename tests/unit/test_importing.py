"""`import`: what is read, with how few calls, and that the manifest that is written says the same."""

from __future__ import annotations

import hashlib
import string
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.app.importing import ImportOptions, read_all
from orchestrator.cli.run_import import run_import
from orchestrator.core.codedeploy import CodeDeploy
from orchestrator.core.errors import UsageError
from orchestrator.core.limiter import Budget
from orchestrator.core.model import AppSpecRevision, GitHubRevision, Location, Revision, S3Revision
from orchestrator.manifest import Release, load
from orchestrator.manifest.drafting import Draft, HeldGroup, LeftOut, draft, draft_environments

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]
HERE = Location(region="eu-west-1")
ACCOUNT = "123456789012"
S3 = S3Revision(bucket="releases", key="shop/1.zip", bundle_type="zip", version="v1", etag="e1")
USUAL = "CodeDeployDefault.OneAtATime"


def held(name: str, revision: Revision = S3, location: Location = HERE, **more: Any) -> HeldGroup:
    application, group = name.split("/")
    usual: dict[str, Any] = {"account": ACCOUNT, "deployment_config": USUAL}
    return HeldGroup(
        location=location, application_name=application, name=group, revision=revision, **{**usual, **more}
    )


def loaded(made: Draft, folder: Path, environment: str | None = None) -> Release:
    (folder / "release.yaml").write_text(made.text, encoding="utf-8")
    for name, text in made.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return load(folder / "release.yaml", environment=environment, env={})


def as_held(release: Release) -> set[tuple[Any, ...]]:
    return {
        (
            target.location.region,
            target.location.role_arn,
            target.application_name,
            target.deployment_group_name,
            target.source,
            target.settings.deployment_config,
            tuple(sorted(target.labels.items())),
        )
        for target in release.targets
    }


def facts(groups: Sequence[HeldGroup]) -> set[tuple[Any, ...]]:
    return {
        (
            each.location.region,
            each.location.role_arn,
            each.application_name,
            each.name,
            each.revision,
            each.deployment_config,
            tuple(sorted(each.labels.items())),
        )
        for each in groups
    }


# --- what is written -------------------------------------------------------------------------------------------------


def test_what_most_have_is_said_once(tmp_path: Path) -> None:
    groups = [
        held("api/canary"),
        held("api/fleet", deployment_config="Mine"),
        held("on/1.0"),
        held("on/null"),
        held("web/fleet", GitHubRevision(repository="acme/web", commit_id="8d3f0b6a")),
    ]
    made = draft(groups, [LeftOut(location=HERE, name="old/fleet", why="nothing was\never deployed")])
    assert made.text.partition("\n\n")[0].split("\n", 4)[4] == "\n".join(
        [
            "version: 1",
            "defaults:",
            "  region: eu-west-1",
            f'  account: "{ACCOUNT}"',
            f"  deployment_config: {USUAL}",
            "applications:",
            "  api:",
            "    revision:",
            "      s3: {bucket: releases, key: shop/1.zip, version: v1, etag: e1}",
            "    deployment_groups:",
            "      canary:",
            "      fleet:",
            "        deployment_config: Mine",
            '  "on":',
            "    revision:",
            "      s3: {bucket: releases, key: shop/1.zip, version: v1, etag: e1}",
            '    deployment_groups: ["1.0", "null"]',
            "  web:",
            "    revision:",
            "      github: {repository: acme/web, commit: 8d3f0b6a}".replace("8d3f0b6a", '"8d3f0b6a"'),
            "    deployment_groups: [fleet]",
        ]
    )
    assert made.text.endswith("# Left out:\n#   old/fleet (eu-west-1): nothing was ever deployed\n")
    assert as_held(loaded(made, tmp_path)) == facts(groups)


def test_groups_that_run_another_revision_are_an_application_of_their_own(tmp_path: Path) -> None:
    other = S3Revision(bucket="releases", key="shop/2.zip", bundle_type="zip")
    groups = [held("api/a", other), held("api/b"), held("api/c"), held("api@a/x")]
    made = draft(groups, [])
    release = loaded(made, tmp_path)
    assert as_held(release) == facts(groups)
    assert {target.id for target in release.targets} == {"api/b", "api/c", "api@a/a", "api@a@eu-west-1/x"}


def test_accounts_and_regions_beside_each_other(tmp_path: Path) -> None:
    role = "arn:aws:iam::222222222222:role/deploy"
    there = Location(region="us-east-1", role_arn=role)
    groups = [held("api/a"), held("api/a", location=there, account="222222222222")]
    release = loaded(draft(groups, []), tmp_path)
    assert as_held(release) == facts(groups)
    assert [(target.id, target.location.account) for target in release.targets] == [
        ("api/a", ACCOUNT),
        ("api@us-east-1/a", "222222222222"),
    ]


def test_appspecs_become_files_that_say_the_same(tmp_path: Path) -> None:
    text = "version: 0.0\nResources:\n  - x: '${not.ours}'\n"
    revision = AppSpecRevision(content=text, sha256=hashlib.sha256(text.encode()).hexdigest())
    groups = [held("cart/service", revision)]
    made = draft(groups, [])
    assert list(made.files) == ["appspecs/cart.yaml"]
    assert as_held(loaded(made, tmp_path)) == facts(groups)


def test_environments_differ_by_their_variables(tmp_path: Path) -> None:
    there = Location(region="us-east-1", role_arn="arn:aws:iam::222222222222:role/deploy")

    def appspec(text: str) -> AppSpecRevision:
        return AppSpecRevision(content=text, sha256=hashlib.sha256(text.encode()).hexdigest())

    here = [
        held("api/a", GitHubRevision(repository="acme/api", commit_id="new")),
        held("api/b", GitHubRevision(repository="acme/api", commit_id="new")),
        held("cart/g", appspec("here: ${x}")),
        held("only/here"),
        held("web/a", S3Revision(bucket="here", key="web/${2}.zip", bundle_type="zip", version="v"), labels={"a": "1"}),
        held("web/b", S3),
    ]
    other: dict[str, Any] = {"location": there, "account": "222222222222"}
    beyond = [
        held("api/a", GitHubRevision(repository="acme/api", commit_id="old"), **other),
        held("api/b", GitHubRevision(repository="acme/api", commit_id="older"), **other),
        held("cart/g", appspec("there: 1"), **other),
        held("web/a", S3Revision(bucket="there", key="web/1.tar", bundle_type="tar"), deployment_config="Own", **other),
        held("web/b", S3, **other),
    ]
    made = draft_environments({"staging": here, "prod": beyond}, [])
    assert isinstance(made, Draft)
    assert [(each.name, each.why) for each in made.left_out] == [
        ("only/here", "it isn't in every environment: not in prod")
    ]
    staging, prod = loaded(made, tmp_path, "staging"), loaded(made, tmp_path, "prod")
    assert as_held(prod) == facts(beyond)
    assert {each for each in as_held(staging) if each[2] != "web"} == {
        each for each in facts(here) if each[2] not in {"web", "only"}
    }
    (web,) = (target for target in staging.targets if target.id == "web/a")
    assert web.source == S3Revision(bucket="here", key="web/${2}.zip", bundle_type="zip")  # prod's has no version
    assert staging.environment.account == ACCOUNT
    assert "      api-commit: new" in made.text


def test_what_is_nowhere_the_same_is_nothing_to_release() -> None:
    there = Location(region="us-east-1")
    made = draft_environments({"a": [held("x/g")], "b": [held("y/g", location=there)]}, [])
    assert not isinstance(made, Draft)
    assert {each.name for each in made} == {"x/g", "y/g"}


def test_a_group_without_a_configuration_gets_none(tmp_path: Path) -> None:
    groups = [held("api/a", deployment_config=None), held("api/b")]
    assert as_held(loaded(draft(groups, []), tmp_path)) == facts(groups)


def test_a_hundred_groups_fill_lines_and_not_a_page() -> None:
    made = draft([held(f"api/group-{number:03}") for number in range(100)], [])
    assert made.text.count("\n") < 30
    assert max(len(line) for line in made.text.splitlines()) <= 120


def test_the_same_account_gives_the_same_text() -> None:
    groups = [
        held(f"a{number}/g", deployment_config=f"c{number % 3}", labels={"b": "1", "a": "2"}) for number in range(9)
    ]
    assert draft(groups, []).text == draft([*groups], []).text


name = st.text(string.ascii_letters + string.digits + "._+=,@-", min_size=1, max_size=100)
text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
templates = st.sampled_from(
    ["${env.HOME}", "$${x}", "$$${", "${", "on", "1e3", "~", "a: b", "- x", "#", '"', "'", "\n", "\u2028"]
)
anything = st.one_of(text, templates, st.builds("".join, st.lists(st.one_of(text, templates), min_size=1, max_size=4)))
revisions = st.one_of(
    st.builds(
        S3Revision,
        bucket=st.just("releases"),
        key=anything,
        bundle_type=st.sampled_from(["zip", "tgz", "tar"]),
        version=st.none() | anything,
        etag=st.none() | st.text("0123456789abcdef-", min_size=1),
    ),
    st.builds(GitHubRevision, repository=st.just("acme/web"), commit_id=st.text("0123456789abcdef", min_size=1)),
)
groups_held = st.lists(
    st.builds(
        lambda application, group, revision, config, labels: held(
            f"{application}/{group}", revision, deployment_config=config, labels=labels
        ),
        name,
        name,
        revisions,
        name,
        st.dictionaries(anything, anything, max_size=3),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda each: (each.application_name, each.name),
)


@given(groups_held)
def test_whatever_names_and_texts_there_are_the_manifest_says_the_same(groups: list[HeldGroup]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert as_held(loaded(draft(groups, []), Path(folder))) == facts(groups)


# --- what is read ----------------------------------------------------------------------------------------------------


class Account:
    """A `Transport` over groups, as CodeDeploy answers: 100 names a page."""

    def __init__(self, groups: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        self._groups = groups
        self.calls: Counter[str] = Counter()

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        self.calls[operation] += 1
        await anyio.lowlevel.checkpoint()
        match operation:
            case "ListApplications":
                return self._page("applications", list(self._groups), parameters)
            case "ListDeploymentGroups":
                return self._page("deploymentGroups", list(self._groups[parameters["applicationName"]]), parameters)
            case "BatchGetDeploymentGroups":
                application = parameters["applicationName"]
                assert len(parameters["deploymentGroupNames"]) <= 100
                found = [
                    {"applicationName": application, "deploymentGroupName": each, **self._groups[application][each]}
                    for each in parameters["deploymentGroupNames"]
                    if each != "gone"
                ]
                return {"deploymentGroupsInfo": found}
            case "BatchGetDeployments":
                assert len(parameters["deploymentIds"]) <= 25
                return {
                    "deploymentsInfo": [
                        {"deploymentId": each, "status": "Succeeded", "revision": github("before")}
                        for each in parameters["deploymentIds"]
                    ]
                }
            case "ListTagsForResource":
                return {"Tags": [{"Key": "team", "Value": parameters["ResourceArn"].rsplit(":", 1)[1]}]}
            case _:
                raise AssertionError(operation)

    @staticmethod
    def _page(key: str, names: list[str], parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        start = int(parameters.get("nextToken", "0"))
        more = {"nextToken": str(start + 100)} if start + 100 < len(names) else {}
        return {key: names[start : start + 100], **more}


def github(commit: str) -> dict[str, Any]:
    return {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/web", "commitId": commit}}


def standing(attempted: str = "d-1", successful: str | None = "d-1", status: str = "Succeeded") -> dict[str, Any]:
    found: dict[str, Any] = {"targetRevision": github("now"), "deploymentConfigName": USUAL}
    found["lastAttemptedDeployment"] = {"deploymentId": attempted, "status": status}
    return found if successful is None else {**found, "lastSuccessfulDeployment": {"deploymentId": successful}}


async def read(account: Account, **more: Any) -> tuple[list[HeldGroup], list[LeftOut]]:
    codedeploy = CodeDeploy(account, Budget(), random=Random(1))  # noqa: S311 - jitter
    options = ImportOptions(regions=[HERE.region], **more)
    prefix = f"arn:aws:codedeploy:{HERE.region}:{ACCOUNT}"
    return await read_all(options, {HERE: codedeploy}, {HERE: ACCOUNT}, {HERE: prefix})


def test_a_thousand_groups_take_twenty_one_calls(virtual: Virtual) -> None:
    account = Account({f"app-{n}": {f"g{m}": standing() for m in range(100)} for n in range(10)})
    groups, left_out = virtual(read(account))
    assert (len(groups), left_out) == (1000, [])
    assert account.calls == {"ListApplications": 1, "ListDeploymentGroups": 10, "BatchGetDeploymentGroups": 10}


def test_a_thousand_groups_whose_last_deployments_failed_take_sixty_one(virtual: Virtual) -> None:
    """Forty batches more say what each of them runs."""
    account = Account(
        {f"app-{n}": {f"g{m}": standing(f"d-{n}-{m}", f"e-{n}-{m}", "Failed") for m in range(100)} for n in range(10)}
    )
    groups, _ = virtual(read(account))
    assert account.calls["BatchGetDeployments"] == 40
    assert {each.revision for each in groups} == {GitHubRevision(repository="acme/web", commit_id="before")}
    assert groups[0].remark == "its last deployment, d-0-0: Failed; this is the one before"


def test_more_than_a_page_of_applications_and_of_groups(virtual: Virtual) -> None:
    account = Account(
        {f"app-{n:03}": {"g": standing()} for n in range(250)} | {"big": {f"g{m}": standing() for m in range(201)}}
    )
    groups, _ = virtual(read(account))
    assert len(groups) == 451
    assert account.calls["ListApplications"] == 3
    assert account.calls["ListDeploymentGroups"] == 250 + 3


def test_what_cannot_be_carried_over_is_named_with_its_reason(virtual: Virtual) -> None:
    bucket = {"revisionType": "S3", "s3Location": {"bucket": "My_Bucket", "key": "k", "bundleType": "zip"}}
    appspec = {"revisionType": "AppSpecContent", "appSpecContent": {"content": "version: 0.0", "sha256": "5" * 64}}
    account = Account(
        {
            "empty": {},
            "a name": {"g": standing()},
            "web": {
                "never": standing("d-1", None, "Failed"),
                "gone": standing(),
                "odd/name": standing(),
                "bucket": {**standing(), "targetRevision": bucket},
                "lambda": {**standing(), "targetRevision": appspec},
                "fine": standing(),
            },
        }
    )
    groups, left_out = virtual(read(account, appspecs=False))
    assert [each.name for each in groups] == ["fine"]
    assert {each.name: each.why for each in left_out} == {
        "a name": "its name can't stand in a manifest",
        "empty": "it has no deployment groups",
        "web/gone": "it was listed, and then it wasn't there",
        "web/odd/name": "its name can't stand in a manifest",
        "web/never": "no deployment to it has ever succeeded, as far as CodeDeploy still knows",
        "web/bucket": "the name of its bucket, 'My_Bucket', can't stand in a manifest",
        "web/lambda": "its AppSpec needs a file: give -o",
    }


def test_only_what_is_asked_for_is_read(virtual: Virtual) -> None:
    account = Account({name: {"g": standing()} for name in ("shop-api", "shop-web", "other")})
    groups, _ = virtual(read(account, applications=["shop-*"]))
    assert [each.application_name for each in groups] == ["shop-api", "shop-web"]
    assert account.calls["BatchGetDeploymentGroups"] == 2


@pytest.mark.parametrize("tags", [True, False])
def test_tags_are_labels_and_cost_a_call_each(virtual: Virtual, tags: bool) -> None:
    account = Account({"web": {"a": standing(), "b": standing()}})
    groups, _ = virtual(read(account, tags=tags))
    assert account.calls["ListTagsForResource"] == (3 if tags else 0)
    assert [dict(each.labels) for each in groups] == ([{"team": "web/a"}, {"team": "web/b"}] if tags else [{}, {}])


GIVEN: Mapping[str, Any] = {
    "regions": (), "role_arns": (), "environments": (), "applications": (), "tags": False, "out": None, "force": False
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"regions": ("nowhere",)}, "--region: 'nowhere' is not a region"),
        ({"role_arns": ("deploy",)}, "--role-arn: 'deploy' is not the ARN of a role"),
        ({"environments": ("eu-west-1",)}, "--from: 'eu-west-1' isn't of the form NAME=[ROLE_ARN@]REGION"),
        ({"environments": ("..=eu-west-1",)}, "--from: '..=eu-west-1' isn't of the form NAME=[ROLE_ARN@]REGION"),
        ({"environments": ("a=nowhere",)}, "--from: 'nowhere' is not a region"),
        ({"environments": ("a=x@eu-west-1",)}, "--from: 'x' is not the ARN of a role"),
        (
            {"environments": ("a=eu-west-1", "b=eu-west-1")},
            "--from: each environment has a name and a place of its own",
        ),
        ({"environments": ("a=eu-west-1",), "regions": ("eu-west-1",)}, "--from says region and role itself"),
        ({"out": Path("nowhere/release.yaml")}, "--out: can't write nowhere/release.yaml: there is no folder"),
        ({"out": Path(__file__)}, f"{__file__} is there already"),
    ],
)
def test_mistakes_are_said_before_any_call(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        run_import({**GIVEN, **given}, {"AWS_REGION": "eu-west-1"})
    assert str(caught.value).startswith(said)
    assert caught.value.hint


def test_the_text_is_yaml_for_others_too() -> None:
    made = draft([held("api/a", labels={"on": "${x}"})], [])
    data = yaml.safe_load(made.text)
    assert data["applications"]["api"]["labels"] == {"on": "$${x}"}
