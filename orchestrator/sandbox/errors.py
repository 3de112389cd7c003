"""The errors that the sandbox answers with, and the plain JSON types it speaks."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
"""A JSON object as it comes in or goes out; its members are described by botocore's service model."""


class ServiceError(Exception):
    """A refusal of CodeDeploy or STS. `code` is AWS's name of the error."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class S3Error(Exception):
    """A refusal of S3."""

    def __init__(self, code: str, message: str, *, status: int) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def unsupported(what: str) -> ServiceError:
    """Something that AWS can do and the sandbox can't. Never to be mistaken for an answer of AWS's."""
    return ServiceError("UnsupportedOperationException", f"{what} is not available in the sandbox")
