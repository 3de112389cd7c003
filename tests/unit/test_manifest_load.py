"""From a manifest to targets: what each setting becomes, and which level wins."""

import gc
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core.errors import InvalidInputError, UsageError
from orchestrator.core.model import (
    AppSpecRevision,
    BundleSource,
    Concurrency,
    DeploymentSettings,
    GitHubRevision,
    Location,
    Policy,
    S3Revision,
    Target,
)
from orchestrator.manifest import FreezeWindow, Position, Release, environment_names, load, validate_all

REVISION = "{s3: {bucket: acme-bundles, key: a.zip}}"
SHOP = """\
version: 1
release: shop-${vars.sha}
vars: {sha: "${env.GIT_SHA:-dev}"}
state: s3://acme-releases/state

environments:
  staging: {region: eu-west-1, role_arn: "arn:aws:iam::111111111111:role/deploy"}
  prod:
    region: eu-west-1
    role_arn: arn:aws:iam::222222222222:role/deploy
    promote_from: staging
    soak: 2h
    freeze: [{rrule: "FREQ=WEEKLY;BYDAY=FR", start: 15:00, end: "23:59", tz: Europe/Berlin}]

concurrency: {deployments: 12, uploads: 8, per_region: 6, pools: {database: 1}}
policy:
  on_failure: continue
  max_failures: 25%
  rollback: release
  if_active: stop
gates:
  errors: {type: prometheus, url: "http://prometheus:9090", query: "sum(rate(x[1m])) < 1", interval: 15s, successes: 4}
  latency: {type: cloudwatch_alarm, names: [shop-p99]}
  health: {type: http, url: "https://${application}.example.org/health"}
  smoke: {type: command, command: [make, smoke]}
  cab: {type: approval, timeout: 4h}

defaults:
  bucket: acme-releases
  prefix: /bundles/
  deployment_config: CodeDeployDefault.OneAtATime
  timeout: 45m
  auto_rollback: [DEPLOYMENT_FAILURE]

applications:
  shop-db:
    revision: {source: ./db}
    pool: database
    deployment_groups: [primary]
  shop-api:
    application_name: shop-api-${environment}
    revision: {source: ./api/dist, format: tgz, ignore: ["*.log"], key: "${release}/${application}/${digest}.${format}"}
    needs: [shop-db]
    labels: {tier: backend}
    deployment_groups:
      canary: {bake: 5m, gates: {after: [errors, latency]}}
      fleet: {needs: [shop-api/canary], deployment_config: CodeDeployDefault.HalfAtATime}
      spare:
  shop-web:
    revision: {github: {repository: acme/web, commit: "${vars.sha}"}}
    needs: [shop-api/fleet]
    deployment_groups: {fleet: {gates: {before: [cab]}}}
  shop-jobs:
    revision: {s3: {bucket: acme-releases, key: jobs/1.4.2.tar.gz, version: "abc123", etag: '"d41d8c"'}}
    after: [shop-db]
    deployment_groups: [fleet]
  shop-cart:
    revision: {appspec: ./cart/appspec.yaml}
    deployment_groups: [service]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(
    text: str, *, environment: str | None = None, env: dict[str, str] | None = None, region: str | None = "eu-west-1"
) -> Release:
    path = Path("release.yaml")
    path.write_text(text, encoding="utf-8")
    return load(path, environment=environment, env=env or {}, default_region=region)


def targets(release: Release) -> dict[str, Target]:
    return {target.id: target for target in release.targets}


def one(settings: str, *, top: str = "") -> Target:
    """The target of a manifest with one group, whose application has these settings."""
    text = f"{top}\napplications:\n  a:\n    revision: {REVISION}\n    deployment_groups: [x]\n    {settings}\n"
    return loaded(text).targets[0]


@pytest.fixture
def shop(folder: Path) -> Release:
    (folder / "cart").mkdir()
    (folder / "cart" / "appspec.yaml").write_text("version: 0.0\n")
    return loaded(SHOP, environment="prod", env={"GIT_SHA": "1234567"})


def test_the_contracts_manifest(shop: Release, folder: Path) -> None:
    assert shop.release == "shop-1234567"
    assert shop.environments == ("staging", "prod")
    assert shop.state == "s3://acme-releases/state"
    assert shop.concurrency == Concurrency(deployments=12, uploads=8, per_region=6, pools={"database": 1})
    assert shop.policy == Policy(on_failure="continue", max_failures=2, if_active="stop", rollback="release")
    assert shop.environment.promote_from == "staging"
    assert shop.environment.soak == 7200
    assert shop.environment.freeze == (
        FreezeWindow(rrule="FREQ=WEEKLY;BYDAY=FR", start="15:00", end="23:59", tz="Europe/Berlin"),
    )
    assert list(targets(shop)) == [
        "shop-db/primary",
        "shop-api/canary",
        "shop-api/fleet",
        "shop-api/spare",
        "shop-web/fleet",
        "shop-jobs/fleet",
        "shop-cart/service",
    ]
    fleet = targets(shop)["shop-api/fleet"]
    assert fleet == Target(
        id="shop-api/fleet",
        application="shop-api",
        deployment_group="fleet",
        application_name="shop-api-prod",
        deployment_group_name="fleet",
        location=Location(region="eu-west-1", role_arn="arn:aws:iam::222222222222:role/deploy"),
        source=BundleSource(
            path=folder / "api" / "dist",
            bucket="acme-releases",
            prefix="bundles",
            format="tgz",
            ignore=("*.log",),
            key="shop-1234567/shop-api/${digest}.${format}",
        ),
        settings=DeploymentSettings(
            deployment_config="CodeDeployDefault.HalfAtATime", auto_rollback=("DEPLOYMENT_FAILURE",)
        ),
        needs=("shop-db/primary", "shop-api/canary"),
        labels={"tier": "backend"},
        timeout=2700,
    )


@pytest.mark.usefixtures("folder")
def test_how_a_folder_becomes_an_archive() -> None:
    revision = "{source: ., include_vcs: true, ignore_hidden: true, symlinks: follow, compression: '${vars.how}'}"
    application = f"{{bucket: bbb, revision: {revision}, deployment_groups: [x]}}"
    text = f"vars: {{how: small}}\napplications: {{a: {application}}}"
    found = loaded(text).targets[0].source
    assert isinstance(found, BundleSource)
    assert (found.include_vcs, found.ignore_hidden, found.symlinks, found.compression) == (
        True,
        True,
        "follow",
        "small",
    )


def test_every_kind_of_revision(shop: Release) -> None:
    content = "version: 0.0\n"
    sources = {target.id: target.source for target in shop.targets}
    assert sources["shop-web/fleet"] == GitHubRevision(repository="acme/web", commit_id="1234567")
    assert sources["shop-jobs/fleet"] == S3Revision(
        bucket="acme-releases", key="jobs/1.4.2.tar.gz", bundle_type="tgz", version="abc123", etag="d41d8c"
    )
    assert sources["shop-cart/service"] == AppSpecRevision(
        content=content, sha256=hashlib.sha256(content.encode()).hexdigest()
    )


# --- levels ----------------------------------------------------------------------------------------------------------


def test_labels_needs_and_after_add_up_and_other_settings_replace(folder: Path) -> None:
    found = targets(
        loaded(f"""\
defaults: {{needs: [base], labels: {{team: core, tier: none}}, timeout: 1m, description: default}}
applications:
  base: {{revision: {REVISION}, deployment_groups: [x]}}
  log: {{revision: {REVISION}, deployment_groups: [x]}}
  db: {{revision: {REVISION}, deployment_groups: [x, y]}}
  a:
    revision: {REVISION}
    needs: [db]
    after: [log]
    labels: {{tier: backend}}
    timeout: 2m
    deployment_groups:
      one: {{needs: [db/x, a/two], timeout: 3m, labels: {{size: small}}}}
      two: {{after: [base, db]}}
""")
    )
    assert found["a/one"].needs == ("base/x", "db/x", "db/y", "a/two")
    assert found["a/one"].after == ("log/x",)
    assert found["a/one"].labels == {"team": "core", "tier": "backend", "size": "small"}
    assert (found["a/one"].timeout, found["a/two"].timeout, found["db/x"].timeout) == (180, 120, 60)
    assert found["a/two"].after == ("log/x",), "what it needs it comes after anyway"
    assert found["base/x"].needs == (), "a default is not about itself"
    assert found["a/one"].settings.description == "default"


def test_a_group_overrides_the_environment_which_overrides_the_defaults(folder: Path) -> None:
    text = """\
environments: {e: {region: eu-west-1}}
defaults: {region: us-east-1, role_arn: "arn:aws:iam::111111111111:role/d"}
applications:
  a:
    revision: %s
    deployment_groups:
      x:
      y: {region: ap-south-1, role_arn: "arn:aws:iam::222222222222:role/g"}
"""
    found = targets(loaded(text % REVISION, region="sa-east-1"))
    assert found["a/x"].location == Location(region="eu-west-1", role_arn="arn:aws:iam::111111111111:role/d")
    assert found["a/y"].location == Location(region="ap-south-1", role_arn="arn:aws:iam::222222222222:role/g")


def test_the_region_of_the_sdk_is_the_last_resort(folder: Path) -> None:
    text = f"applications: {{a: {{revision: {REVISION}, deployment_groups: [x]}}}}"
    assert loaded(text, region="sa-east-1").targets[0].location.region == "sa-east-1"
    with pytest.raises(InvalidInputError, match=r"release\.yaml:1:1: no region is set \(set region: .* AWS_REGION\)"):
        loaded(text, region=None)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("auto_rollback: false", DeploymentSettings(auto_rollback=())),
        ("auto_rollback: []", DeploymentSettings(auto_rollback=())),
        ("description: ''", DeploymentSettings()),
        ("file_exists_behavior: RETAIN", DeploymentSettings(file_exists_behavior="RETAIN")),
        ("ignore_application_stop_failures: true", DeploymentSettings(ignore_application_stop_failures=True)),
        ("update_outdated_instances_only: no", DeploymentSettings(update_outdated_instances_only=False)),
        (
            "alarms: [p99, 5xx]",
            DeploymentSettings(
                alarms={
                    "enabled": True,
                    "ignorePollAlarmFailure": False,
                    "alarms": [{"name": "p99"}, {"name": "5xx"}],
                }
            ),
        ),
        (
            "alarms: false",
            DeploymentSettings(alarms={"enabled": False, "ignorePollAlarmFailure": False, "alarms": []}),
        ),
        (
            "alarms: {names: [p99], ignore_poll_alarm_failure: true}",
            DeploymentSettings(alarms={"enabled": True, "ignorePollAlarmFailure": True, "alarms": [{"name": "p99"}]}),
        ),
        (
            "target_instances: {tag_filters: [{key: a}, {value: b}, {key: a, value: b}], auto_scaling_groups: [asg]}",
            DeploymentSettings(
                target_instances={
                    "tagFilters": [
                        {"Key": "a", "Type": "KEY_ONLY"},
                        {"Value": "b", "Type": "VALUE_ONLY"},
                        {"Key": "a", "Value": "b", "Type": "KEY_AND_VALUE"},
                    ],
                    "autoScalingGroups": ["asg"],
                }
            ),
        ),
        (
            "target_instances: {ec2_tag_set: [[{key: a}], [{key: b}]]}",
            DeploymentSettings(
                target_instances={
                    "ec2TagSet": {
                        "ec2TagSetList": [[{"Key": "a", "Type": "KEY_ONLY"}], [{"Key": "b", "Type": "KEY_ONLY"}]]
                    }
                }
            ),
        ),
    ],
)
def test_what_is_sent_with_a_deployment(folder: Path, settings: str, expected: DeploymentSettings) -> None:
    assert one(settings).settings == expected


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("500ms", 0.5), ("90s", 90), ("45m", 2700), ("2h", 7200), ("1h30m", 5400), ("1m1s1ms", 61.001)],
)
def test_durations(folder: Path, duration: str, seconds: float) -> None:
    assert one(f"timeout: {duration}").timeout == pytest.approx(seconds)


def test_positions_of_settings(shop: Release) -> None:
    lines = SHOP.splitlines()

    def line(setting: str, target: str = "shop-api/canary") -> str:
        return lines[shop.position(target, setting).line - 1].strip()

    assert line("revision.source").startswith("revision: {source: ./api/dist")
    assert line("bake").startswith("canary:")
    assert line("needs") == "needs: [shop-db]"
    assert line("timeout") == "timeout: 45m"
    assert line("description").startswith("canary:"), "what is written nowhere is where the target is"
    assert shop.position("shop-db/primary") == Position(file="release.yaml", line=39, column=25)


# --- the run ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "count", "expected"), [("1%", 3, 1), ("25%", 8, 2), ("25%", 9, 3), ("7%", 100, 7), ("100%", 5, 5)]
)
def test_a_share_of_failures_is_rounded_up(folder: Path, share: str, count: int, expected: int) -> None:
    groups = ", ".join(f"g{number}" for number in range(count))
    application = f"{{revision: {REVISION}, deployment_groups: [{groups}]}}"
    release = loaded(f"policy: {{max_failures: {share}}}\napplications: {{a: {application}}}")
    assert release.policy.max_failures == expected
    assert release.policy_for(release.targets[:1]).max_failures == 1


def test_without_a_share_the_policy_is_the_same_for_any_selection(folder: Path) -> None:
    text = f"policy: {{max_failures: 3}}\napplications: {{a: {{revision: {REVISION}, deployment_groups: [x]}}}}"
    release = loaded(text)
    assert release.policy_for(()) == release.policy == Policy(max_failures=3)


def test_what_is_left_out(folder: Path) -> None:
    release = loaded(f"applications: {{a: {{revision: {REVISION}, deployment_groups: [x]}}}}")
    assert release.release == "release"
    assert release.environment.name == "default"
    assert release.environments == ()
    assert release.state is None
    assert release.concurrency == Concurrency()
    assert release.policy == Policy()
    assert release.targets[0].skip_if_current


def test_a_local_state_is_beside_the_manifest(folder: Path) -> None:
    (folder / "deploy").mkdir()
    path = Path("deploy/release.yaml")
    path.write_text(f"state: ../state\napplications: {{a: {{revision: {REVISION}, deployment_groups: [x]}}}}")
    assert load(path, env={}, default_region="eu-west-1").state == str(folder / "state")


# --- environments ----------------------------------------------------------------------------------------------------

TWO = f"""\
vars: {{size: small}}
environments:
  staging: {{region: eu-west-1}}
  prod: {{region: us-east-1, role_arn: "${{env.PROD_ROLE}}", vars: {{size: large, acct: 1}}}}
applications: {{a: {{revision: {REVISION}, deployment_groups: [x], description: "${{vars.size}} ${{environment}}"}}}}
"""
ROLE = "arn:aws:iam::222222222222:role/g"


def test_an_environment_has_its_own_variables(folder: Path) -> None:
    assert loaded(TWO, environment="staging").targets[0].settings.description == "small staging"
    prod = loaded(TWO, environment="prod", env={"PROD_ROLE": ROLE})
    assert prod.targets[0].settings.description == "large prod"
    assert prod.targets[0].location == Location(region="us-east-1", role_arn=ROLE)


def test_variables_of_the_command_line_win(folder: Path) -> None:
    Path("release.yaml").write_text(TWO)
    release = load(
        Path("release.yaml"),
        environment="prod",
        variables={"size": "${x}"},
        env={"PROD_ROLE": ROLE},
        default_region=None,
    )
    assert release.targets[0].settings.description == "${x} prod", "its value is taken as it is"


def test_an_environment_must_be_chosen_among_several(folder: Path) -> None:
    with pytest.raises(UsageError, match="2 environments: staging, prod") as caught:
        loaded(TWO)
    assert caught.value.hint == "choose one with -e/--environment"
    assert environment_names(Path("release.yaml")) == ("staging", "prod")


@pytest.mark.parametrize(("name", "hint"), [("stagin", "did you mean 'staging'?"), ("x", "there are staging, prod")])
def test_an_unknown_environment(folder: Path, name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"there is no environment '{name}' in release.yaml") as caught:
        loaded(TWO, environment=name)
    assert caught.value.hint == hint


def test_no_environment_to_choose(folder: Path) -> None:
    text = f"applications: {{a: {{revision: {REVISION}, deployment_groups: [x]}}}}"
    with pytest.raises(UsageError, match="has no environments, so there is no 'prod'"):
        loaded(text, environment="prod")
    assert loaded(text, environment="default").environment.name == "default"


def test_validate_all_looks_at_every_environment_and_finds_a_mistake_once(folder: Path) -> None:
    Path("release.yaml").write_text(TWO.replace("small}", "small}\npolcy: {}"))
    with pytest.raises(InvalidInputError) as caught:
        validate_all(Path("release.yaml"), env={})
    assert [str(finding) for finding in caught.value.findings] == [
        "release.yaml:2:1: polcy: unknown key 'polcy' (did you mean 'policy'?)",
        "release.yaml:5:39: environments.prod.role_arn: the environment variable PROD_ROLE is not set [in prod] "
        "(set it, or give a default: ${env.PROD_ROLE:-…})",
    ]
    Path("release.yaml").write_text(TWO)
    releases = validate_all(Path("release.yaml"), env={"PROD_ROLE": ROLE})
    assert [release.environment.name for release in releases] == ["staging", "prod"]
    assert len(validate_all(Path("release.yaml"), environment="staging", env={})) == 1


def test_the_collector_runs_again_after_a_load(folder: Path) -> None:
    with pytest.raises(InvalidInputError):
        loaded("applications: {}")
    assert gc.isenabled()


# --- size ------------------------------------------------------------------------------------------------------------


def many(count: int, line: str) -> str:
    lines = ["defaults: {bucket: acme-bundles}", "applications:"]
    for number in range(count):
        lines += [
            f"  app-{number}:",
            f"    application_name: app-{number}-${{environment}}",
            "    revision: {source: ./app, format: tgz}",
            f"    needs: [{'' if number == 0 else f'app-{number // 2}'}]" if number != 1 else "    needs: [app-0]",
            "    deployment_groups:",
            "      canary:",
            f"      fleet: {{needs: [app-{number}/canary]}}",
            f"    {line}",
        ]
    return "\n".join(lines)


def test_a_thousand_applications(folder: Path) -> None:
    text = many(1_000, "labels: {tier: backend}")
    release = loaded(text)
    assert len(release.targets) == 2_000


def test_a_thousand_applications_that_are_all_wrong(folder: Path) -> None:
    text = many(1_000, "timeuot: 5m").replace("needs: [app-", "needs: [application-")
    with pytest.raises(InvalidInputError) as caught:
        loaded(text)
    assert len(caught.value.findings) == 1_000 + 1_999


WORDS = list(re.finditer(r"[^\s,:{}\[\]]+", SHOP))
TOKENS = [
    "a",
    "1",
    "1.5",
    "yes",
    "~",
    "''",
    "[]",
    "{}",
    "[a]",
    "{a: b}",
    "1:30",
    "010",
    "${vars.sha}",
    "${application}",
    "&a",
    "<<",
]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(TOKENS)), min_size=1, max_size=3))
def test_a_manifest_with_anything_in_any_place_is_taken_or_refused(
    folder: Path, changes: list[tuple[re.Match[str], str]]
) -> None:
    text = SHOP
    for word, token in sorted(changes, key=lambda change: change[0].start(), reverse=True):
        text = text[: word.start()] + token + text[word.end() :]
    outcome: object
    try:
        outcome = loaded(text, environment="prod").targets
    except UsageError as error:
        outcome = str(error)
    assert outcome, "neither a target nor a word about what is wrong"


def test_what_it_imports() -> None:
    code = "import orchestrator.manifest, sys; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(answer.stdout.split())
    assert "pydantic" in modules
    assert not modules & {"anyio", "asyncio", "aiohttp", "aioboto3", "botocore", "click", "subprocess"}
