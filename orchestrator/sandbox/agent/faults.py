"""What makes a lifecycle event fail on an instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ScriptCode = Literal["ScriptMissing", "ScriptNotExecutable", "ScriptTimedOut", "ScriptFailed", "OutputsLeftOpen"]


class AgentError(Exception):
    """The bundle, the AppSpec or the installation: anything but a script. The service shows it as UnknownError."""


@dataclass(frozen=True, slots=True)
class ScriptFailure:
    """How a script ended that didn't end well."""

    code: ScriptCode
    """OutputsLeftOpen has no name in the API: the service shows it as UnknownError."""
    location: str
    message: str
