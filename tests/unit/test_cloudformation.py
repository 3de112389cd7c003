"""The templates: what cfn-lint finds, what their policies allow, and that the demo's names are configs/shop's."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import doc_commands
import pages
import pytest
from cloudformation import ACCOUNT, FOLDER, Template, function_template, statements, template

from orchestrator.manifest import Release, load

TEMPLATES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
PRINCIPAL = "arn:aws:iam::111111111111:role/orchestrator"
TOPIC = "arn:aws:sns:eu-west-1:111111111111:deploys"
KEY = "arn:aws:kms:eu-west-1:111111111111:key/1"
NO_RESOURCES = {
    "cloudwatch:DescribeAlarms",
    "codedeploy:BatchGetDeploymentTargets",
    "codedeploy:ListDeploymentTargets",
}
"""What docs/aws.md says of them: they know no resources, or are needed for any."""


def deploy_role(**given: str) -> Template:
    return template("deploy-role", **{"BundleBucket": "acme-releases", "PrincipalArn": PRINCIPAL, **given})


def actions(found: Any) -> set[str]:
    return {action for each in statements(found) if each["Effect"] == "Allow" for action in each["Action"]}


def policies_of_the_page() -> tuple[set[str], set[str]]:
    """The actions of the policies in docs/aws.md: what a deploy role needs, and what whoever runs it needs.

    The last two are for durable functions, and for `import`, which no template is about.
    """
    deploys, *runs, _durable, _import = [json.loads(block) for block in _policies()]
    return actions(deploys), actions(runs)


def durable_policies_of_the_page() -> tuple[set[str], set[str]]:
    """The actions of the function's own role on durable executions, and those of whoever launches runs."""
    found = {each["Sid"]: set(each["Action"]) for each in statements([json.loads(block) for block in _policies()])}
    return found["Durable"], found["Launch"]


def _policies() -> list[str]:
    return list(pages.blocks(pages.page("aws"), "json"))


# --- as CloudFormation has it ---------------------------------------------------------------------------------------


def lint(path: Path) -> list[str]:
    from cfnlint.api import lint_file  # noqa: PLC0415 - a second that other tests of this worker needn't wait for

    return [str(match) for match in lint_file(path)]


@pytest.mark.parametrize("name", TEMPLATES)
def test_cfn_lint_finds_nothing(name: str) -> None:
    assert lint(FOLDER / f"{name}.yaml") == []


def test_cfn_lint_would_find_something(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    text = (FOLDER / "orchestrator-lambda.yaml").read_text()
    path.write_text(text.replace("RetentionPeriodInDays: !Ref HistoryDays", "RetentionPeriodInDays: 91"))
    assert "91" in " ".join(lint(path))


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_parameter_is_explained_limited_used_and_grouped(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text()
    data = template_data(name)
    below = text[text.index("\nParameters:") :]
    groups = data["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(key for group in groups for key in group["Parameters"]) == sorted(data["Parameters"])
    for key, each in data["Parameters"].items():
        assert len(each["Description"]) > 10, key
        used = re.findall(rf"(?:!Ref {key}\b|\$\{{{key}\}})", below)
        assert used, f"{name}: {key} is used nowhere"
        limits = each.keys() & {"AllowedPattern", "AllowedValues", "MinLength", "MinValue"}
        assert limits or each["Type"] != "String", f"{name}: {key} takes anything"
        if (pattern := each.get("AllowedPattern")) and "Default" in each:
            assert re.fullmatch(pattern, str(each["Default"])), key


def template_data(name: str) -> Mapping[str, Any]:
    given: dict[str, Mapping[str, str]] = {
        "deploy-role": {"BundleBucket": "b"},
        "orchestrator-lambda": {"CodeBucket": "c", "CodeKey": "a.zip", "CodeVersion": "1", "DeployRoleArns": "a"},
    }
    return template(name, **given.get(name, {})).data


def test_the_pages_give_the_templates_what_they_take() -> None:
    """Parameters by name, all that have no default, and values that they allow."""
    seen = 0
    for path in doc_commands.command_pages():
        for command in (each for block in doc_commands.blocks_of(path) for each in block.commands):
            if not (name := re.search(r"configs/cloudformation/([\w-]+)\.yaml", command.text)):
                continue
            seen += 1
            given = dict(re.findall(r"\b([A-Z]\w+)=([^\s']+)", command.text.partition("--parameter-overrides")[2]))
            parameters = template_data(name[1])["Parameters"]
            assert given.keys() <= parameters.keys(), command.where
            assert {key for key, each in parameters.items() if "Default" not in each} <= given.keys(), command.where
            for key, value in given.items():
                pattern = parameters[key].get("AllowedPattern")
                assert "$" in value or not pattern or re.fullmatch(pattern, value), f"{command.where}: {key}={value}"
    assert seen >= 5


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("PrincipalArn", ["", PRINCIPAL], ["arn:aws:iam::111111111111:root", "*", "111111111111"]),
        (
            "CiSubject",
            ["repo:acme/shop:environment:prod", "project_path:a/b/c:ref:x"],
            ["repo:*", "repo:acme/*:x", "*"],
        ),
        ("BundleBucket", ["acme-releases"], ["s3://acme", "Acme", "a"]),
        ("BundleKeyArn", ["", KEY], ["alias/x", "arn:aws:kms:eu-west-1:111111111111:alias/x"]),
    ],
)
def test_what_a_parameter_takes(key: str, good: list[str], bad: list[str]) -> None:
    pattern = deploy_role().data["Parameters"][key]["AllowedPattern"]
    assert [re.fullmatch(pattern, text) is not None for text in [*good, *bad]] == [True] * len(good) + [False] * len(
        bad
    )


# --- what is allowed ------------------------------------------------------------------------------------------------


def test_a_deploy_role_may_do_what_the_page_says_and_no_more() -> None:
    deploys, runs = policies_of_the_page()
    assert actions(deploy_role().resources()["Role"]["Policies"]) == deploys
    own = deploy_role(StateBucket="acme-state", RoleArns=PRINCIPAL, NotificationTopicArns=TOPIC).resources()
    assert actions([own["State"], own["Roles"], own["Notifications"]]) == runs
    with_key = actions(deploy_role(BundleKeyArn=KEY).resources()["Role"]["Policies"]) - deploys
    assert with_key == {"kms:Decrypt", "kms:GenerateDataKey"}
    assert all(f"`{action}`" in pages.page("aws") for action in with_key)


def test_the_function_may_do_with_its_own_role_what_the_page_says_and_keep_its_place() -> None:
    _, runs = policies_of_the_page()
    own, launches = durable_policies_of_the_page()
    launcher = function_template().resources()["LauncherPolicy"]
    assert {action for action in actions(launcher) if action.startswith("lambda:")} == launches
    logs = {"logs:CreateLogStream", "logs:PutLogEvents"}
    made = function_template(NotificationTopicArns=TOPIC).resources()["FunctionRole"]["Policies"]
    assert actions(made) == runs | own | logs
    assert runs - actions(function_template().resources()["FunctionRole"]["Policies"]) == {"sns:Publish"}
    (roles,) = [
        each
        for each in statements(function_template().resources()["FunctionRole"]["Policies"])
        if each["Sid"] == "Roles"
    ]
    assert roles["Resource"] == [PRINCIPAL]


def every_statement() -> Iterator[tuple[str, dict[str, Any]]]:
    for found in (
        deploy_role(StateBucket="acme-state", RoleArns=PRINCIPAL, BundleKeyArn=KEY),
        function_template(KeyArn=KEY),
    ):
        for name, each in found.resources().items():
            yield from ((name, statement) for statement in statements(each))
    for name, each in template("demo-fleet").resources().items():
        yield from ((name, statement) for statement in statements(each))


def test_nothing_is_allowed_on_everything_that_could_be_allowed_on_less() -> None:
    seen = 0
    for name, each in every_statement():
        if each["Effect"] != "Allow":
            continue
        seen += 1
        assert not [action for action in each["Action"] if "*" in action], name
        if "*" in each.get("Resource", ()):
            assert set(each["Action"]) <= NO_RESOURCES, name
        assert each.get("Principal") != "*", name
    assert seen > 20


def test_a_role_for_plans_may_only_look() -> None:
    deploys, _ = policies_of_the_page()
    looks = actions(deploy_role(Access="plan").resources()["Role"]["Policies"])
    changing = re.compile(r":(Abort|Continue|Create|Delete|Generate|Put|Register|Stop)")
    assert looks == {action for action in deploys if not changing.search(action)} - {"s3:ListMultipartUploadParts"}


def test_who_launches_has_the_policy_of_the_functions_stack() -> None:
    policy = "arn:aws:iam::111111111111:policy/launcher"
    assert deploy_role(LauncherPolicyArn=policy).resources()["Role"]["ManagedPolicyArns"] == [policy]
    assert "ManagedPolicyArns" not in deploy_role().resources()["Role"]


def test_who_may_take_on_the_role() -> None:
    trusted = {
        name: next(iter(statements(deploy_role(**given).resources()["Role"]["AssumeRolePolicyDocument"])))
        for name, given in {
            "principal": {},
            "github": {"PrincipalArn": "", "Ci": "github", "CiProviderArn": "provider", "CiSubject": "repo:a/b:c"},
            "gitlab": {
                "PrincipalArn": "",
                "Ci": "gitlab",
                "CiProviderArn": "provider",
                "CiSubject": "project_path:a/b:c",
            },
        }.items()
    }
    assert trusted["principal"]["Principal"] == {"AWS": PRINCIPAL}
    for name in ("github", "gitlab"):
        tests = trusted[name]["Condition"]
        assert len(tests["StringEquals"]) == 1  # the audience
        assert [*tests["StringLike"].values()] == [{"github": "repo:a/b:c", "gitlab": "project_path:a/b:c"}[name]]


def test_buckets_keep_versions_are_encrypted_and_closed() -> None:
    for found in (function_template(), function_template(KeyArn=KEY), template("demo-fleet")):
        for name, bucket in found.resources("AWS::S3::Bucket").items():
            if "VersioningConfiguration" not in bucket:
                continue  # a policy
            assert bucket["VersioningConfiguration"]["Status"] == "Enabled"
            assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
            assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            (policy,) = [each for each in found.resources("AWS::S3::BucketPolicy").values() if each["Bucket"] == name]
            denied = [each for each in statements(policy) if each["Effect"] == "Deny" and each["Principal"] == "*"]
            assert any("aws:SecureTransport" in str(each["Condition"]) for each in denied)


def test_state_that_may_still_be_needed_does_not_expire() -> None:
    """Locks and signs of life never; journals together with the list of runs."""
    rules = function_template().resources()["StateBucket"]["LifecycleConfiguration"]["Rules"]
    expiring = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule}
    assert expiring == {"state/runs/": 400, "state/index/": 400}


def test_every_change_of_the_function_is_another_version() -> None:
    """The alias leads to a version, which keeps code and settings as they were when it was made."""
    made = function_template().data["Resources"]
    settings = set(re.findall(r"'Ref': '(\w+)'", str(made["Function"]["Properties"])))
    refs = settings & function_template().data["Parameters"].keys() - {"FunctionName", "ConcurrentInvocations"}
    named = re.findall(r"\$\{(\w+)\}", made["Version"]["Properties"]["Description"]["Fn::Sub"])
    assert refs <= set(named)
    alias, starts = (made[name]["Properties"] for name in ("Alias", "AsynchronousStarts"))
    assert starts["Qualifier"] == alias["Name"]


def test_every_alarm_tells_somebody() -> None:
    for found in (function_template(), template("demo-fleet")):
        alarms = found.resources("AWS::CloudWatch::Alarm")
        assert alarms
        assert all(alarm["AlarmActions"] == ["Alarms"] for alarm in alarms.values())
    names = {alarm["MetricName"] for alarm in function_template().resources("AWS::CloudWatch::Alarm").values()}
    assert {"Errors", "Throttles", "AsyncEventAge", "DurableExecutionFailed", "DurableExecutionTimedOut"} == names


# --- the demo fleet -------------------------------------------------------------------------------------------------


@cache
def shop(environment: str) -> Release:
    env = {"SHOP_STAGING_ACCOUNT": ACCOUNT, "SHOP_PROD_ACCOUNT": ACCOUNT, "SHOP_BUCKET": "my-shop"}
    return load(pages.ROOT / "configs" / "shop" / "release.yaml", environment=environment, env=env)


def fleet(environment: str) -> Template:
    return template("demo-fleet", Environment=environment, BucketPrefix="my-shop")


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_the_shop_finds_its_groups_and_its_bucket(environment: str) -> None:
    made = fleet(environment)
    groups = made.resources("AWS::CodeDeploy::DeploymentGroup").values()
    targets = shop(environment).targets
    wanted = {(each.application_name, each.deployment_group_name): each for each in targets}
    assert {(group["ApplicationName"], group["DeploymentGroupName"]) for group in groups} == set(wanted)
    configs = {
        (group["ApplicationName"], group["DeploymentGroupName"]): group["DeploymentConfigName"] for group in groups
    }
    assert configs == {key: each.settings.deployment_config for key, each in wanted.items()}
    buckets = {each.source.bucket for each in targets if hasattr(each.source, "bucket")}
    assert buckets == {made.resources()["Bundles"]["BucketName"]}


def test_each_group_has_instances_enough_and_none_has_two_groups_of_one_application() -> None:
    made = fleet("staging").resources()
    instances = {
        name: {(tag["Key"], tag["Value"]) for tag in each["Tags"]}
        for name, each in fleet("staging").resources("AWS::EC2::Instance").items()
    }
    taken: set[tuple[str, str]] = set()
    for group in (each for each in made.values() if "DeploymentGroupName" in each):
        parts = [part["Ec2TagGroup"] for part in group["Ec2TagSet"]["Ec2TagSetList"]]
        on_premises = [part["OnPremisesTagGroup"] for part in group["OnPremisesTagSet"]["OnPremisesTagSetList"]]
        assert parts == on_premises
        found = [name for name, tags in instances.items() if all((p["Key"], p["Value"]) in tags for (p,) in parts)]
        assert len(found) >= (2 if group["DeploymentConfigName"].endswith("HalfAtATime") else 1), group
        places = {(group["ApplicationName"], name) for name in found}
        assert not places & taken
        taken |= places


def test_instances_are_closed_and_speak_only_the_new_metadata_protocol() -> None:
    made = fleet("staging").resources()
    assert "SecurityGroupIngress" not in made["OnlyOut"]
    assert [rule["ToPort"] for rule in made["OnlyOut"]["SecurityGroupEgress"]] == [443]
    data = made["Instances"]["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert "KeyName" not in data
    assert made["InstanceRole"]["ManagedPolicyArns"] == []
    for name, each in fleet("staging").resources("AWS::EC2::Instance").items():
        assert {"Key": "resource", "Value": name} in each["Tags"]  # by which it says that it is ready


def test_the_user_data_is_bash() -> None:
    text = fleet("staging").resources()["Instances"]["LaunchTemplateData"]["UserData"]
    assert text.startswith("#!/usr/bin/env bash\nset -euo pipefail\n")
    assert "https://aws-codedeploy-eu-west-1.s3.eu-west-1.amazonaws.com/latest/install" in text
    checked = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
