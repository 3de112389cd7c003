"""Errors: what happened, why, and what to do about it.

The exit code lives on the class (the contract's table); `cli.main` alone turns an error into output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """The contract's exit codes."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    FAILED = 3
    ROLLED_BACK = 4
    ROLLBACK_FAILED = 5
    BLOCKED = 6
    CHANGES = 7
    RUNNING = 8
    SIGINT = 130
    SIGTERM = 143


class OrchestratorError(Exception):
    """Something that the user should read. `hint` says what to do."""

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(OrchestratorError):
    """Bad input; nothing was touched."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One mistake in an input file. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    place: str
    """The path of keys, such as `applications.shop-api.needs[0]`; may be empty."""
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {place}{self.message}{hint}"


class InvalidInputError(UsageError):
    """Every mistake of an input, at once."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


class BundleError(UsageError):
    """A source that can't become a bundle."""


class SourceChangedError(BundleError):
    """A source that isn't what it was when it was walked or its digest taken."""


class BlockedError(OrchestratorError):
    """Nothing is wrong with what was asked for, but it may not be done now."""

    exit_code = ExitCode.BLOCKED


class StateError(OrchestratorError):
    """The run's state can't be read or written."""

    exit_code = ExitCode.INTERNAL


class EndNotRecordedError(StateError):
    """The run has ended, and its last events can't be written. A resume finds again what they would have told."""

    exit_code = ExitCode.FAILED


# --- faults of calls; translated from the SDK's at the edge (aws/) ---------------------------------------------------


class CallError(OrchestratorError):
    """A call to AWS that didn't give what it was asked for. Never the outcome of a deployment."""

    def __init__(
        self,
        message: str,
        *,
        operation: str = "",
        code: str = "",
        request_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.operation = operation
        self.code = code
        self.request_id = request_id

    def __str__(self) -> str:
        request = f" (request {self.request_id})" if self.request_id else ""
        code = f"{self.code}: " if self.code else ""
        operation = f"{self.operation}: " if self.operation else ""
        return f"{operation}{code}{self.message}{request}"


class ThrottledError(CallError):
    """Refused for its rate. It was not carried out."""


class AnswerLostError(CallError):
    """A 5xx, a time-out or a lost connection. It may or may not have been carried out."""


class RefusedError(CallError):
    """A definite no: it was not carried out, and asking again won't help. `code` is AWS's."""


class CredentialsError(CallError):
    """No credentials, expired ones, or ones without the permission. It was not carried out."""
