"""The run token: how a deployment whose creation was never answered is found again.

CreateDeployment has no idempotency token. So the first word of the deployment's description says which run and which
of its targets it belongs to; the user's own description follows it.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from orchestrator.core.model import DESCRIPTION_LIMIT, TOKEN_LIMIT

_PREFIX = "orchestrator:"


def new_run_id(now: float) -> str:
    """`20261124-014758-3f9a1c`: sorts by time, unique among machines. `now` is epoch seconds."""
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def run_token(run: str, number: int, retry: int = 0) -> str:
    """The token of the run's target with this number (its place in the plan); each retry has a token of its own."""
    token = f"{_PREFIX}{run}/{number}" + (f".{retry}" if retry else "")
    if len(token) > TOKEN_LIMIT:
        raise ValueError(f"the run id {run!r} is too long for a run token")
    return token


def describe(token: str, description: str) -> str:
    """The description to send."""
    return f"{token} {description}".rstrip()[:DESCRIPTION_LIMIT]
