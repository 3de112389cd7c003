"""Which account this is: the first call in every location, before anything else is asked there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import anyio

from orchestrator.aws import AwsSession, caller_identity
from orchestrator.core.concurrent import map_limited
from orchestrator.core.errors import AnswerLostError, ThrottledError, UsageError
from orchestrator.core.model import Location

AT_ONCE = 8

PATIENCE = 3.0
"""Seconds that STS may take where nobody has said which account it must be: some networks reach all but STS."""

Accounts = Mapping[Location, str]
"""The account behind each location's credentials; empty where STS could not be asked."""


async def check_accounts(session: AwsSession, locations: Iterable[Location]) -> Accounts:
    """Raises `UsageError` where it is another account than the manifest says, `CallError` where nobody can tell."""
    wanted = list(dict.fromkeys(locations))

    async def ask(location: Location) -> str:
        return await _account(session, location)

    found = dict(zip(wanted, await map_limited(ask, wanted, limit=AT_ONCE), strict=True))
    wrong = [
        f"{location} is account {account}, and the manifest says {location.account}"
        for location, account in found.items()
        if location.account is not None and account != location.account
    ]
    if wrong:
        raise UsageError(
            "this is another account:\n  " + "\n  ".join(wrong),
            hint="check the credentials (AWS_PROFILE, AWS_ACCESS_KEY_ID), role_arn: and account:; nothing was touched",
        )
    return found


async def _account(session: AwsSession, location: Location) -> str:
    if location.account is not None:
        return (await caller_identity(session, location)).account
    try:
        with anyio.fail_after(PATIENCE):
            return (await caller_identity(session, location)).account
    except (AnswerLostError, ThrottledError, TimeoutError):
        return ""
