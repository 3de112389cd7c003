"""Durable functions: one is started, a callback of one is completed, how one fares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.aws.retry import Backoff, retrying
from orchestrator.aws.session import Caller, Service
from orchestrator.core.errors import RefusedError, UsageError
from orchestrator.core.model import Location

ENDED = frozenset({"FAILED", "TIMED_OUT", "STOPPED", "SUCCEEDED"})
"""What durable executions end as."""

SERVICE: Service = "lambda-durable"


@dataclass(frozen=True, slots=True)
class Function:
    """`NAME`, `NAME:ALIAS`, `NAME:VERSION`, or an ARN with one of those at its end."""

    name: str
    qualifier: str | None
    region: str | None = None
    """Of an ARN."""

    @classmethod
    def parse(cls, text: str) -> Function:
        """Raises `UsageError` for what can't be one."""
        parts = text.split(":")
        if text.startswith("arn:"):
            if len(parts) not in {7, 8} or parts[2] != "lambda" or parts[5] != "function":
                hint = "arn:aws:lambda:REGION:ACCOUNT:function:NAME:ALIAS"
                raise UsageError(f"{text!r} is no function's ARN", hint=hint)
            return cls(":".join(parts[:7]), parts[7] if len(parts) == 8 else None, parts[3])
        if not text or len(parts) > 2 or not all(parts):
            raise UsageError(f"{text!r} names no function", hint="NAME, NAME:ALIAS or an ARN")
        return cls(parts[0], parts[1] if len(parts) == 2 else None)

    def __str__(self) -> str:
        return self.name if self.qualifier is None else f"{self.name}:{self.qualifier}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """How a durable execution fares."""

    status: str
    """RUNNING, or one of `ENDED`."""
    error: str | None = None


class Functions:
    """Lambda in one region."""

    def __init__(self, session: Caller, region: str, *, backoff: Backoff | None = None) -> None:
        self._session = session
        self._location = Location(region=region)
        self._backoff = backoff or Backoff()

    async def start(self, function: Function, execution: str, payload: Mapping[str, Any]) -> str | None:
        """Starts a durable execution of this name, and returns its ARN, where Lambda tells it.

        Of several calls with one name and payload only the first starts anything, so that a lost answer does no harm.
        Raises `CallError`.
        """
        parameters = {
            "FunctionName": function.name,
            "InvocationType": "Event",
            "DurableExecutionName": execution,
            "Payload": json.dumps(payload, separators=(",", ":"), sort_keys=True).encode(),
        }
        if function.qualifier is not None:
            parameters["Qualifier"] = function.qualifier
        try:
            answer = await self._call("Invoke", parameters)
        except RefusedError as error:
            if error.code.startswith("DurableExecutionAlreadyStarted"):
                return None
            raise
        arn = answer.get("DurableExecutionArn")
        return None if arn is None else str(arn)

    async def wake(self, callback: str) -> None:
        """Completes a callback. Raises `CallError`, a `RefusedError` where nobody waits for it any more."""
        await self._call("SendDurableExecutionCallbackSuccess", {"CallbackId": callback, "Result": b'"asked"'})

    async def fate(self, execution_arn: str) -> Fate:
        """Raises `CallError`."""
        answer = await self._call("GetDurableExecution", {"DurableExecutionArn": execution_arn})
        error = answer.get("Error") or {}
        said = ": ".join(str(error[name]) for name in ("ErrorType", "ErrorMessage") if error.get(name))
        return Fate(status=str(answer.get("Status", "")), error=said or None)

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return await retrying(
            lambda: self._session.call(SERVICE, self._location, operation, parameters), backoff=self._backoff
        )
