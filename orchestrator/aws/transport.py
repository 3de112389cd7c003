"""CodeDeploy in one location, one attempt at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.aws.session import Caller
from orchestrator.core.model import Location


class CodeDeployTransport:
    """Fulfils `core.ports.Transport`: an operation is sent once, whatever becomes of it.

    Times in answers are epoch seconds, members that are null are left out. An answer of 2xx that can't be read
    is an `AnswerLostError`: the operation was carried out, or a proxy made the answer up.
    """

    def __init__(self, session: Caller, location: Location) -> None:
        self._session = session
        self._location = location

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return await self._session.call("codedeploy", self._location, operation, parameters)
