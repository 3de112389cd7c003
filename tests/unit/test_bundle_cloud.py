"""AppSpecs for ECS, Lambda and Windows: what the user guide and the agent's sources rule out."""

from __future__ import annotations

import json

import pytest

from orchestrator.bundle.appspec import AppSpecReport, check_appspec
from orchestrator.bundle.appspec_findings import AppSpecFinding
from orchestrator.bundle.cloud import ContentCheck, check_content
from orchestrator.bundle.entries import Contents, Entry
from orchestrator.core.model import BundleFormat

ECS = """\
version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: "arn:aws:ecs:eu-west-1:111111111111:task-definition/cart:7"
        LoadBalancerInfo:
          ContainerName: cart
          ContainerPort: 8080
        PlatformVersion: LATEST
        NetworkConfiguration:
          AwsvpcConfiguration:
            Subnets: [subnet-1, subnet-2]
            SecurityGroups: [sg-1]
            AssignPublicIp: DISABLED
        CapacityProviderStrategy:
          - {CapacityProvider: FARGATE, Base: 1, Weight: 2}
Hooks:
  - BeforeInstall: "check-before"
  - AfterAllowTestTraffic: "arn:aws:lambda:eu-west-1:111111111111:function:smoke"
"""

LAMBDA = """\
version: 0.0
Resources:
  - pay:
      Type: AWS::Lambda::Function
      Properties:
        Name: pay
        Alias: live
        CurrentVersion: "1"
        TargetVersion: 2
Hooks:
  - BeforeAllowTraffic: before
  - AfterAllowTraffic: after
"""


def check(text: str, *, is_json: bool = False) -> ContentCheck:
    return check_content(text.encode(), file="appspec.yaml", is_json=is_json)


def codes(findings: object) -> list[str]:
    assert isinstance(findings, tuple)
    return [finding.code for finding in findings if isinstance(finding, AppSpecFinding)]


@pytest.mark.parametrize(("text", "platform"), [(ECS, "ecs"), (LAMBDA, "lambda")])
def test_a_whole_one(text: str, platform: str) -> None:
    checked = check(text)
    assert (checked.platform, checked.report.errors, checked.report.warnings) == (platform, (), ())


def test_keys_in_small_letters_and_json() -> None:
    properties = {"name": "pay", "alias": "live", "currentversion": "1", "targetversion": "2"}
    resources = [{"pay": {"type": "AWS::Lambda::Function", "properties": properties}}]
    text = json.dumps({"version": 0.0, "resources": resources, "hooks": [{"BeforeAllowTraffic": "f"}]}, indent=2)
    assert (check(text, is_json=True).report.errors, check(text, is_json=True).report.warnings) == ((), ())
    broken = text.replace('"live",', '"live",,')
    (finding,) = check(broken, is_json=True).report.errors
    assert (codes((finding,)), finding.line) == (["json_syntax"], 9)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("version: 0.0", "version: 1.0", "version_invalid"),
        ("version: 0.0", "versions: 0.0", "version_invalid"),
        ("Resources:", "Ressources:", "resources_missing"),
        ("  - TargetService:", "  - &a\n    TargetService:", None),
        ("AWS::ECS::Service", "AWS::ECS::Servise", "resource_kind"),
        ("ContainerName: cart", "", "property_missing"),
        ("ContainerPort: 8080", "ContainerPort: 80800", "property_type"),
        ("ContainerPort: 8080", "ContainerPort: http", "property_type"),
        ("PlatformVersion: LATEST", "PlatformVersion: 1.4", "property_type"),
        ("AssignPublicIp: DISABLED", "AssignPublicIp: no", "property_type"),
        ("            SecurityGroups: [sg-1]\n", "", "property_missing"),
        ("[subnet-1, subnet-2]", "subnet-1", "property_type"),
        ("Base: 1", "Base: one", "property_type"),
        ("BeforeInstall:", "Install:", "hook_unknown_event"),
        ("BeforeInstall:", "BeforeInstal:", "hook_unknown_event"),
        ('"check-before"', "", "hook_function_type"),
        ('"arn:aws:ecs:eu-west-1:111111111111:task-definition/cart:7"', "[a]", "property_type"),
    ],
)
def test_an_ecs_service_that_is_wrong(old: str, new: str, code: str | None) -> None:
    assert old in ECS
    assert codes(check(ECS.replace(old, new)).report.errors) == ([] if code is None else [code])


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("        Alias: live\n", "", "property_missing"),
        ('"1"', "$LATEST", "property_type"),
        ('"1"', "0", "property_type"),
        ('"1"', "1.0", "property_type"),
        ("TargetVersion: 2", "TargetVersion: live", "property_type"),
        ("BeforeAllowTraffic", "BeforeInstall", "hook_unknown_event"),
        ("AWS::Lambda::Function", "Lambda", "resource_kind"),
    ],
)
def test_a_lambda_function_that_is_wrong(old: str, new: str, code: str) -> None:
    assert old in LAMBDA
    assert codes(check(LAMBDA.replace(old, new)).report.errors) == [code]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ECS.replace("version: 0.0", 'version: "0.0"'), "version_quoted"),
        (ECS.replace("8080", '"8080"'), "property_type"),
        (ECS.replace("PlatformVersion", "Platform"), "unknown_key"),
        (ECS.replace("cart\n", "<CONTAINER>\n"), "template_left"),
        (ECS.replace("TaskDefinition:", "TASKDEFINITION:"), "key_case"),
        (LAMBDA.replace('"1"', "2"), "lambda_same_version"),
        ("version: 0.0\nos: linux\n", "appspec_without_bundle"),
    ],
)
def test_what_only_looks_wrong(text: str, code: str) -> None:
    report = check(text).report
    assert report.errors == ()
    assert codes(report.warnings) == [code]


@pytest.mark.parametrize("text", ["", "[]", "a", "Resources: 5", "Resources: [5]", "Resources: [{a: 5}]", "{", "\x00"])
def test_no_content_makes_it_raise(text: str) -> None:
    assert check(f"{text}\n").report.errors


# --- Windows ---------------------------------------------------------------------------------------------------------

BUNDLE = Contents([Entry("appspec.yml", "file"), Entry("Site/Index.htm", "file"), Entry("Scripts/go.ps1", "file")])

WINDOWS = """\
version: 0.0
os: windows
files:
  - source: site\\
    destination: C:\\inetpub\\wwwroot
hooks:
  AfterInstall:
    - location: \\scripts\\GO.ps1
"""


def windows(old: str = "", new: str = "", bundle_format: BundleFormat | None = None) -> AppSpecReport:
    assert old in WINDOWS
    return check_appspec(WINDOWS.replace(old, new).encode(), BUNDLE, file="f", bundle_format=bundle_format)


def test_windows_knows_no_case_and_both_slashes() -> None:
    assert (windows().os, windows().errors, windows().warnings) == ("windows", (), ())


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("site\\", "sites", "source_not_found"),
        ("GO.ps1", "stop.ps1", "script_missing"),
        ("\\scripts\\GO.ps1", "scripts", "location_is_directory"),
        ("AfterInstall", "AfterInstal", "hook_unknown_event"),
        ("hooks:", "permissions: [{object: a}]\nhooks:", "permissions_on_windows"),
        ("hooks:", "  - source: SITE/index.htm\n    destination: c:/INETPUB/wwwroot\nhooks:", "destination_conflict"),
    ],
)
def test_windows_refuses(old: str, new: str, code: str) -> None:
    assert codes(windows(old, new).errors) == [code]


def test_windows_takes_only_zip_and_scripts_of_its_own() -> None:
    assert codes(windows(bundle_format="tgz").errors) == ["windows_needs_zip"]
    assert windows(bundle_format="zip").ok
    assert codes(windows("GO.ps1", "GO.ps1\n      runas: web").warnings) == ["runas_on_windows"]
    assert codes(windows("C:\\inetpub\\wwwroot", "\\www").warnings) == ["destination_relative"]
