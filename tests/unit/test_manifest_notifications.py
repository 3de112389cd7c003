"""Notifications: from the manifest to who is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.core.errors import InvalidInputError
from orchestrator.core.notification_specs import (
    MOMENTS,
    NotificationSpec,
    missing_variables,
    specs_from_list,
    specs_to_list,
)
from orchestrator.manifest import load

HEAD = """version: 1
release: shop-${vars.x}
vars: {x: "1"}
environments: {staging: {region: eu-west-1}, prod: {region: eu-west-1}}
applications: {web: {revision: {github: {repository: a/b, commit: abc1234}}, deployment_groups: [g]}}
notifications:
"""
TOPIC = "arn:aws:sns:eu-west-1:123456789012:deploys"


class Git:
    def sha(self) -> str:
        return "d" * 40

    def branch(self) -> str:
        return "main"


def specs(
    folder: Path, *lines: str, environment: str = "prod", env: Mapping[str, str] | None = None
) -> dict[str, NotificationSpec]:
    (folder / "release.yaml").write_text(HEAD + "".join(f"  {line}\n" for line in lines))
    release = load(folder / "release.yaml", environment=environment, env=env or {}, git=lambda _folder: Git())
    return {spec.name: spec for spec in release.notifications}


def findings(folder: Path, *lines: str) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        specs(folder, *lines)
    return [str(each).removeprefix(f"{folder}/release.yaml:") for each in caught.value.findings]


def test_each_kind_with_what_holds_by_default(tmp_path: Path) -> None:
    found = specs(
        tmp_path,
        "hook: {type: webhook, url: 'https://x.example/y'}",
        "chat: {type: slack, channel: '#deploys'}",
        "posts: {type: slack, url_env: SLACK_URL}",
        "code: {type: github, repository: acme/shop}",
        f"mail: {{type: sns, topic_arn: '{TOPIC}'}}",
    )
    assert found["hook"].events == found["chat"].events == MOMENTS
    assert found["posts"].events == found["mail"].events == MOMENTS[2:]
    assert found["code"].settings["commit"] == "d" * 40
    assert (found["code"].settings["environment"], found["code"].settings["context"]) == ("prod", "orchestrator/prod")
    needed = {name: missing_variables(spec, {}) for name, spec in found.items()}
    assert needed == {
        "hook": ["ORCHESTRATOR_WEBHOOK_SECRET"],
        "chat": ["SLACK_BOT_TOKEN"],
        "posts": ["SLACK_URL"],
        "code": ["GITHUB_TOKEN"],
        "mail": [],
    }


def test_what_is_known_only_later_is_left_for_later(tmp_path: Path) -> None:
    text = "'${run} ${release} ${environment} ${event} ${outcome} ${counts} ${targets} ${failed} ${duration} ${vars.x}'"
    found = specs(tmp_path, f"hook: {{type: webhook, url: 'https://x.example/${{environment}}', text: {text}}}")
    settings = found["hook"].settings
    assert settings["text"] == text.strip("'").replace("${vars.x}", "1")
    assert settings["url"] == "https://x.example/prod"


def test_those_of_other_environments_are_left_out_and_their_variables_need_not_be_set(tmp_path: Path) -> None:
    lines = (
        "a: {type: slack, channel: x, title: '${env.CI_JOB} ${run}', environments: [prod]}",
        "b: {type: slack, channel: x, environments: [staging, prod]}",
    )
    assert list(specs(tmp_path, *lines, environment="staging")) == ["b"]
    assert specs(tmp_path, *lines, env={"CI_JOB": "7"})["a"].settings["title"] == "7 ${run}"


def test_a_journal_holds_them_and_gives_them_back(tmp_path: Path) -> None:
    made = tuple(specs(tmp_path, "a: {type: slack, channel: x}", f"b: {{type: sns, topic_arn: '{TOPIC}'}}").values())
    assert specs_from_list(json.loads(json.dumps(specs_to_list(made)))) == made
    assert specs_from_list(None) == ()


def test_mistakes_have_their_positions_and_secrets_are_not_repeated(tmp_path: Path) -> None:
    found = findings(
        tmp_path,
        "a: {type: slak, channel: x}",
        "b: {channel: x}",
        "c: {type: slack, channel: x, url_env: Y}",
        "d: {type: webhook}",
        "e: {type: webhook, url: 'https://user:pass@x.example/'}",
        "f: {type: slack, channel: x, token_env: xoxb-12-secret}",
        "g: {type: github, repository: acme, deployment: false}",
        "h: {type: github, repository: acme/x, deployment: false, status: false}",
        "i: {type: sns, topic_arn: arn, events: [fail]}",
        "j: {type: slack, channel: x, title: '${outcom}', environments: [prdo]}",
        "k: {type: slack, channel: x, text: '${application}', chanel: y}",
        "l: {type: webhook, url_env: U, events: []}",
    )
    assert found == [
        "7:13: notifications.a.type: 'slak' is not a type of notification (did you mean 'slack'?)",
        "8:6: notifications.b: 'type' is missing (webhook, slack, github or sns)",
        "9:6: notifications.c: a Slack notification has either channel or url_env "
        "(channel needs a bot's token, url_env an incoming webhook)",
        "10:6: notifications.d: a webhook has either url or url_env "
        "(url_env names the variable that holds a secret URL)",
        "11:27: notifications.e.url: holds credentials "
        "(no secret here; url_env names the variable that holds the whole URL)",
        "12:43: notifications.f.token_env: not the name of an environment variable "
        "(write the name of the variable that holds the secret, never the secret itself)",
        "13:33: notifications.g.repository: 'acme' is not a repository "
        "(write owner/name, without https:// and github.com)",
        "14:60: notifications.h.status: neither a deployment nor a status: nothing is left of it",
        f"15:29: notifications.i.topic_arn: 'arn' is not the ARN of an SNS topic (it looks like {TOPIC})",
        "15:43: notifications.i.events[0]: 'fail' is not one of started, resumed, failed, approval, rollback, waiting, "
        "finished (did you mean 'failed'?)",
        "16:39: notifications.j.title: ${outcom} is unknown (did you mean 'outcome'?)",
        "16:67: notifications.j.environments[0]: there is no environment 'prdo' (did you mean 'prod'?)",
        "17:38: notifications.k.text: ${application} is known only in settings of applications and in defaults",
        "17:56: notifications.k.chanel: unknown key 'chanel' (did you mean 'channel'?)",
        "18:42: notifications.l.events: is empty",
    ]
