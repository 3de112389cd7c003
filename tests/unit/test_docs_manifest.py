"""docs/manifest.md says what the manifest's models say; the manifests in all pages are valid."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pages
import pytest
import yaml

from orchestrator.manifest import schema, validate_all

SETTINGS = "Settings of targets"
NOTIFIED = {"type", "environments", "link"}
TEMPLATE = r"\$\{.+\}"
"""What any value may be instead of what it is."""
MEASURED = {"type", "interval", "successes", "failures", "timeout", "limit"}
SECTIONS: Mapping[str, str] = {
    "Alarms": "Alarms",
    "Application": "Applications",
    "ApprovalGate": "Type `approval`",
    "CloudWatchAlarmGate": "Type `cloudwatch_alarm`",
    "CommandGate": "Type `command`",
    "ConcurrencySettings": "Concurrency",
    "Environment": "Environments",
    "Freeze": "Freeze windows",
    "GateUse": "Gates of a target",
    "GitHub": "GitHub",
    "GitHubNotification": "Type `github`",
    "Hook": "Hook command",
    "HookUse": "Hooks of a target",
    "HttpGate": "Type `http`",
    "PolicySettings": "Policy",
    "PrometheusGate": "Type `prometheus`",
    "RetrySettings": "Retry",
    "Revision": "Revision",
    "S3Object": "S3",
    "Settings": SETTINGS,
    "SlackNotification": "Type `slack`",
    "SnsNotification": "Type `sns`",
    "TagFilter": "Tag filter",
    "TargetInstances": "Target instances",
    "WebhookNotification": "Type `webhook`",
}
"""From the models to the sections that describe them."""


@pytest.fixture(scope="module")
def models() -> dict[str, dict[str, Any]]:
    made = schema()
    definitions: dict[str, dict[str, Any]] = made["$defs"]
    return definitions | {"Manifest": made}


@pytest.fixture(scope="module")
def text() -> str:
    return pages.page("manifest")


def described(text: str, heading: str) -> list[str]:
    """The keys in the tables of a section, without those of the sections below it."""
    own = re.split(r"^#", pages.section(text, heading), maxsplit=1, flags=re.MULTILINE)[0]
    return pages.keys(own)


def test_every_model_has_a_section(models: dict[str, dict[str, Any]]) -> None:
    assert set(models) == {*SECTIONS, "Manifest"}


def test_every_key_is_in_the_table_of_its_model_and_no_other(models: dict[str, dict[str, Any]], text: str) -> None:
    assert described(text, "The top level") == list(models["Manifest"]["properties"])
    assert set(described(text, "Gates")) == MEASURED
    assert set(described(text, "Notifications")) == NOTIFIED
    inherited = set(models["Settings"]["properties"])
    for name, heading in SECTIONS.items():
        keys = set(models[name]["properties"])
        if name == "Application":
            keys -= inherited
        if name.endswith("Gate"):
            keys -= MEASURED
        if name.endswith("Notification"):
            keys -= NOTIFIED
        assert set(described(text, heading)) == keys, heading


def test_what_is_required_and_what_holds_by_default_is_said(models: dict[str, dict[str, Any]], text: str) -> None:
    for name, heading in {**SECTIONS, "Manifest": "The top level"}.items():
        tables = pages.section(text, heading)
        rows = {pages.codes(row[0])[0]: row for row in pages.rows(tables) if pages.codes(row[0])}
        for key, details in models[name]["properties"].items():
            if key not in rows:
                continue  # a setting that an application shares, or what all gates have
            default = details.get("default")
            if key in models[name].get("required", ()):
                assert rows[key][2].startswith("required"), f"{heading}: {key}"
            elif isinstance(default, bool):
                assert rows[key][2] == f"`{str(default).lower()}`", f"{heading}: {key}"
            elif isinstance(default, int | str):
                assert rows[key][2] == f"`{default}`", f"{heading}: {key}"


def test_what_a_key_takes_is_what_the_model_takes(models: dict[str, dict[str, Any]], text: str) -> None:
    """The column `type`: the kind of value, every choice, and the limits."""
    wrong, checked = [], 0
    for name, heading in {**SECTIONS, "Manifest": "The top level"}.items():
        own = re.split(r"^#", pages.section(text, heading), maxsplit=1, flags=re.MULTILINE)[0]
        rows = {pages.codes(row[0])[0]: row for row in pages.rows(own) if pages.codes(row[0])}
        for key in models[name]["properties"].keys() & rows.keys():
            cell = " ".join(rows[key][1:4:2])  # the type, and what it is
            for words in wanted_words(models[name]["properties"][key]):
                checked += 1
                if not any(word in cell for word in words):
                    wrong.append(f"{heading}: {key}: {' or '.join(words)} isn't in {cell!r}")
    assert not wrong, "\n".join(sorted(wrong))
    assert checked > 120


def wanted_words(details: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """What the cell of such a value must say: one word of each tuple."""
    variants = details.get("anyOf", details.get("oneOf", [details]))
    for each in variants:
        if each.get("pattern") == TEMPLATE:
            continue
        if len(variants) > 1 and ("anyOf" in each or "oneOf" in each):
            yield from wanted_words(each)
        yield from ((f"`{value}`",) for value in each.get("enum", ()))
        if "const" in each:
            yield (f"`{str(each['const']).lower()}`",)
        if "maxLength" in each:
            yield (str(each["maxLength"]),)
        yield from _kind(each)


def _kind(each: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    if "1h30m" in each.get("examples", ()):
        yield ("duration",)
    elif "$ref" in each or each.get("type") == "object":
        yield ("mapping",)
    elif each.get("type") == "array":
        yield ("list",)
    elif each.get("type") == "boolean" and "const" not in each:
        yield ("boolean",)
    elif each.get("type") == "integer":
        low, high = each.get("minimum"), each.get("maximum")
        yield (f"from {low} to {high}", "number of times") if high is not None else ("count",)


def test_what_is_sent_has_the_names_of_the_api(text: str) -> None:
    """Every parameter of CreateDeployment can be reached by a key."""
    sent = " ".join(row[4] for row in pages.rows(text) if len(row) == 5)
    names = {
        "applicationName",
        "deploymentGroupName",
        "revision",
        "deploymentConfigName",
        "description",
        "ignoreApplicationStopFailures",
        "targetInstances",
        "autoRollbackConfiguration",
        "updateOutdatedInstancesOnly",
        "fileExistsBehavior",
        "overrideAlarmConfiguration",
    }
    assert not {name for name in names if f"`{name}" not in sent}


def whole_manifests() -> list[tuple[str, str]]:
    """Page and block: those that begin as a manifest does, comments aside."""
    found = []
    for path in pages.all_pages():
        for block in pages.blocks(path.read_text(encoding="utf-8"), "yaml"):
            lines = [line for line in block.splitlines() if line and not line.startswith("#")]
            if lines and lines[0].startswith("version:"):
                found.append((str(path.relative_to(pages.ROOT)), block))
    return found


@pytest.mark.parametrize(("where", "block"), whole_manifests())
def test_the_manifests_in_the_pages_are_valid(where: str, block: str, tmp_path: Path) -> None:
    (tmp_path / "release.yaml").write_text(block)
    _write_what_it_names(block, tmp_path)
    env = dict.fromkeys(re.findall(r"\$\{env\.(\w+)\}", block), "x")
    assert validate_all(tmp_path / "release.yaml", env=env, git=lambda _folder: _Git(), default_region="eu-west-1")


def test_there_are_manifests_to_check() -> None:
    assert "docs/manifest.md" in {where for where, _ in whole_manifests()}


def _write_what_it_names(block: str, folder: Path) -> None:
    """Includes and AppSpecs are read when a manifest is loaded."""
    data = yaml.safe_load(block)
    for name in data.get("include", ()):
        (folder / name).write_text("applications: {}\n")
    for application in data["applications"].values():
        if (appspec := application["revision"].get("appspec")) is not None:
            path = folder / appspec
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("version: 0.0\n")


class _Git:
    def sha(self) -> str:
        return "0" * 40

    def branch(self) -> str:
        return "main"
