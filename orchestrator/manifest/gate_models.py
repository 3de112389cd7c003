"""Gates: checks that must pass before or after a target."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from orchestrator.manifest.fields import TEMPLATED, Count, Name, Number, PositiveDuration, Text, mistake

BOOL_COMPARISON = re.compile(r"(==|!=|[<>]=?)\s*bool\b")


FOR_PROMETHEUS = "no secret here; Prometheus takes a token from ORCHESTRATOR_PROMETHEUS_TOKEN"


def check_url(value: str, instead: str = FOR_PROMETHEUS) -> str:
    """`instead`: where a secret belongs."""
    try:
        parts = urlsplit(value)
        named = bool(parts.hostname) or value.startswith("${")
    except ValueError as error:
        raise mistake(f"not a URL: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise mistake("holds credentials", instead)
    if not named:
        raise mistake("names no host", "such as http://prometheus:9090")
    return value


def check_query(value: str) -> str:
    if BOOL_COMPARISON.search(value):
        raise mistake("a comparison with `bool` always has a result, so it can't fail", "leave the `bool` out")
    return value


Url = Annotated[Text, Field(pattern=r"^(https?://|\$\{)"), AfterValidator(check_url)]


class Strict(BaseModel):
    """Unknown keys are mistakes, and a number is not a text."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)


class Check(Strict):
    """What every gate that measures has."""

    interval: PositiveDuration = Field(default=30.0, description="Time between two measurements.")
    successes: Count = Field(default=1, description="The gate passes after so many good measurements in a row.")
    failures: Count = Field(default=1, description="The gate fails after so many bad measurements in a row.")
    timeout: PositiveDuration | None = Field(default=None, description="The gate fails when it has not passed by then.")
    limit: PositiveDuration | None = Field(
        default=None,
        description="How long one measurement may take, 30s (a command: 10m) when left out; then it is unknown.",
    )


class CloudWatchAlarmGate(Check):
    """Passes while none of the alarms is in the state ALARM."""

    type: Literal["cloudwatch_alarm"] = Field(description="A check of CloudWatch alarms.")
    names: list[Text] = Field(min_length=1, description="The alarms' names, in the target's account and region.")


class PrometheusGate(Check):
    """Passes while a PromQL query returns a result that isn't empty."""

    type: Literal["prometheus"] = Field(description="A PromQL query.")
    url: Url = Field(description="The server, such as http://prometheus:9090; no credentials in it.")
    query: Annotated[Text, AfterValidator(check_query)] = Field(
        description="A PromQL expression with a comparison; an empty result is a bad measurement.",
    )


class HttpGate(Check):
    """Passes while a URL answers as expected."""

    type: Literal["http"] = Field(description="A request to a URL.")
    url: Url = Field(description="What to ask; no credentials in it. Redirects aren't followed.")
    method: Annotated[Literal["GET", "HEAD", "POST"], TEMPLATED] = Field(
        default="GET", description="The request's method."
    )
    status: list[Annotated[Number, Field(ge=100, le=599)]] = Field(
        default=[200], min_length=1, description="The statuses that are good."
    )
    contains: Text | None = Field(
        default=None, description="Text that the answer's body must hold, in its first megabyte."
    )
    max_latency: PositiveDuration | None = Field(
        default=None, description="A whole answer that takes longer is a bad measurement."
    )


class CommandGate(Check):
    """Passes when a command exits with 0."""

    type: Literal["command"] = Field(description="A command on the machine that runs the orchestrator.")
    command: list[Text] = Field(min_length=1, description="The program and its arguments; no shell is involved.")


class ApprovalGate(Strict):
    """Passes when somebody runs `orchestrator approve RUN GATE`."""

    type: Literal["approval"] = Field(description="A person's approval.")
    timeout: PositiveDuration | None = Field(
        default=None, description="The gate fails when nobody has approved by then."
    )
    message: Text | None = Field(default=None, description="What is asked of the person.")


Gate = Annotated[
    CloudWatchAlarmGate | PrometheusGate | HttpGate | CommandGate | ApprovalGate, Field(discriminator="type")
]


class GateUse(Strict):
    """The gates of a target or of the run, by their names."""

    before: list[Name] = Field(
        default_factory=list, description="Gates that must pass before the deployment (of the run: any) starts."
    )
    after: list[Name] = Field(
        default_factory=list, description="Gates that must pass after the deployment (of the run: all) has succeeded."
    )


class Hook(Strict):
    """A command around a target or a run."""

    command: list[Text] = Field(min_length=1, description="The program and its arguments; no shell is involved.")
    timeout: PositiveDuration | None = Field(
        default=None, description="The command is ended and counts as failed after that."
    )


class HookUse(Strict):
    """The commands around a target or the run, on the machine that runs the orchestrator."""

    before: list[Hook] = Field(
        default_factory=list, description="Before the deployment starts; a failure fails the target, or the run."
    )
    after: list[Hook] = Field(
        default_factory=list, description="After the deployment has succeeded; a failure fails the target, or the run."
    )
    on_failure: list[Hook] = Field(default_factory=list, description="After the target, or the run, has failed.")
