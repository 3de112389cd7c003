"""Who we are in a location, as STS says."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.aws.retry import Backoff, retrying
from orchestrator.aws.session import Caller
from orchestrator.core.model import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    account: str
    arn: str


async def caller_identity(session: Caller, location: Location, *, backoff: Backoff | None = None) -> Identity:
    """The account and the ARN behind a location's credentials. Needs no permission.

    Raises `CredentialsError` when they are no good, or another `CallError`.
    """
    answer = await retrying(
        lambda: session.call("sts", location, "GetCallerIdentity", {}), backoff=backoff or Backoff()
    )
    return Identity(account=answer["Account"], arn=answer["Arn"])
