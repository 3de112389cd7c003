"""Notifications: who is told how a run goes. No secret stands here, only the names of variables that hold one."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from orchestrator.manifest.fields import TEMPLATED, Boolean, Line, Name, Role, Text, mistake
from orchestrator.manifest.gate_models import Strict, check_url
from orchestrator.manifest.target_models import check_commit, check_repository

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?\Z", re.ASCII)
CHANNEL = re.compile(r"[#@]?[\w.-]{1,80}\Z")
RUN_TIME_NAMES = ("run", "release", "environment", "event", "outcome", "counts", "targets", "failed", "duration")
"""What `title`, `text` and `link` know besides: it is known only while the run goes on."""

EXAMPLE_TOPIC = "it looks like arn:aws:sns:eu-west-1:123456789012:deploys"


def check_variable(value: str) -> str:
    if not VARIABLE.match(value):
        raise mistake(
            "not the name of an environment variable",  # the value stays out of it: it may be the secret itself
            "write the name of the variable that holds the secret, never the secret itself",
        )
    return value


def check_topic(value: str) -> str:
    if not TOPIC.match(value):
        raise mistake(f"{value!r} is not the ARN of an SNS topic", EXAMPLE_TOPIC)
    return value


def check_channel(value: str) -> str:
    if not CHANNEL.match(value):
        raise mistake(f"{value!r} is not a channel", "the channel's id such as C0123456789, or its name")
    return value


Url = Annotated[
    Text,
    Field(pattern=r"^(https?://|\$\{)"),
    AfterValidator(
        lambda value: check_url(value, "no secret here; url_env names the variable that holds the whole URL")
    ),
]
EnvName = Annotated[str, AfterValidator(check_variable)]
Event = Annotated[
    Literal["started", "resumed", "failed", "approval", "rollback", "waiting", "finished"],
    TEMPLATED,
]
TROUBLE_AND_END: list[Event] = ["failed", "approval", "rollback", "waiting", "finished"]


class Notified(Strict):
    """What all notifications have."""

    environments: list[Name] = Field(
        default_factory=list, description="Only in these environments; in all when left out."
    )
    link: Text | None = Field(
        default=None, description="A URL that leads on from it, such as the CI job's; ${run} and the like are known."
    )


class WebhookNotification(Notified):
    """A signed JSON document, POSTed to a URL."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["url"]}, {"required": ["url_env"]}]})

    type: Literal["webhook"] = Field(description="A signed POST to a URL.")
    url: Url | None = Field(default=None, description="Where to; no credentials in it.")
    url_env: EnvName | None = Field(default=None, description="The variable that holds the URL, where that is secret.")
    signed: Boolean = Field(default=True, description="Whether it is signed (HMAC-SHA256).")
    secret_env: EnvName = Field(
        default="ORCHESTRATOR_WEBHOOK_SECRET", description="The variable that holds the secret for the signature."
    )
    events: list[Event] = Field(
        default_factory=lambda: ["started", "resumed", *TROUBLE_AND_END],
        min_length=1,
        description="What is told; everything when left out.",
    )
    text: Text | None = Field(default=None, description="The text for people in it.")

    @model_validator(mode="after")
    def one_url(self) -> WebhookNotification:
        if (self.url is None) == (self.url_env is None):
            raise mistake("a webhook has either url or url_env", "url_env names the variable that holds a secret URL")
        return self


class SlackNotification(Notified):
    """A message in a Slack channel, kept up to date."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["channel"]}, {"required": ["url_env"]}]})

    type: Literal["slack"] = Field(description="A message in Slack.")
    channel: Annotated[str, AfterValidator(check_channel)] | None = Field(
        default=None, description="The channel's id or name: one message for each run, updated as it goes."
    )
    token_env: EnvName = Field(default="SLACK_BOT_TOKEN", description="The variable that holds the bot's token.")
    url_env: EnvName | None = Field(
        default=None,
        description="In place of channel: the variable that holds an incoming webhook's URL. Each is a message then.",
    )
    events: list[Event] | None = Field(
        default=None,
        min_length=1,
        description="What begins the message, everything when left out; with url_env: what is told, all but started.",
    )
    title: Text | None = Field(default=None, description="The message's first line.")
    text: Text | None = Field(default=None, description="A paragraph below it.")

    @model_validator(mode="after")
    def one_way(self) -> SlackNotification:
        if (self.channel is None) == (self.url_env is None):
            raise mistake(
                "a Slack notification has either channel or url_env",
                "channel needs a bot's token, url_env an incoming webhook",
            )
        return self


class GitHubNotification(Notified):
    """A deployment and a commit status at GitHub."""

    type: Literal["github"] = Field(description="A deployment and a commit status.")
    repository: Annotated[str, AfterValidator(check_repository)] = Field(description="owner/name.")
    commit: Annotated[str, AfterValidator(check_commit)] | None = Field(
        default=None, description="The commit's whole SHA; ${git.sha} when left out."
    )
    environment: Line | None = Field(
        default=None, description="GitHub's name of the environment; the manifest's when left out."
    )
    deployment: Boolean = Field(default=True, description="Whether a deployment is made.")
    status: Boolean = Field(default=True, description="Whether the commit gets a status.")
    context: Line | None = Field(
        default=None, description="The status's name; orchestrator/ and the environment when left out."
    )
    transient: Boolean = Field(default=False, description="The environment will not exist for long.")
    production: Boolean | None = Field(
        default=None, description="Whether users are there; when left out, whether its name is production."
    )
    token_env: EnvName = Field(default="GITHUB_TOKEN", description="The variable that holds the token.")

    @model_validator(mode="after")
    def makes_something(self) -> GitHubNotification:
        if not (self.deployment or self.status):
            raise mistake("neither a deployment nor a status: nothing is left of it", at="status")
        return self


class SnsNotification(Notified):
    """A message to an Amazon SNS topic."""

    type: Literal["sns"] = Field(description="A message to an SNS topic.")
    topic_arn: Annotated[str, AfterValidator(check_topic)] = Field(description="The topic.")
    role_arn: Role | None = Field(default=None, description="The role to publish with; none when left out.")
    format: Annotated[Literal["text", "json"], TEMPLATED] = Field(
        default="text", description="text for people, json for programs: what a webhook gets."
    )
    events: list[Event] = Field(
        default_factory=lambda: list(TROUBLE_AND_END),
        min_length=1,
        description="What is told; all but started and resumed when left out.",
    )
    title: Text | None = Field(default=None, description="The subject, cut to 100 ASCII characters.")
    text: Text | None = Field(default=None, description="The message's first paragraph.")


Notification = Annotated[
    WebhookNotification | SlackNotification | GitHubNotification | SnsNotification, Field(discriminator="type")
]
