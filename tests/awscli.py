"""The stock AWS CLI and the SDK under it: what a user has beside the product."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest


def find_aws() -> str:
    """The CLI. A missing one is a failure: a skipped judge would look like a satisfied one."""
    local = Path(__file__).parents[1] / ".venv-awscli" / "bin" / "aws"
    found = os.environ.get("ORCHESTRATOR_TEST_AWS") or (str(local) if local.exists() else shutil.which("aws"))
    if not found:
        pytest.fail(f"no AWS CLI: set ORCHESTRATOR_TEST_AWS, or install it in {local.parent.parent}")
    return found


def open_client(service: str, environment: Mapping[str, str], **more: Any) -> Any:
    """A plain client of the SDK, for the sandbox whose variables these are. Without an endpoint: for AWS, or a mock."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDK's own, about Python
        from botocore.session import Session  # noqa: PLC0415 - 0.3 s that other tests needn't wait for

        return Session().create_client(
            service,
            region_name=environment["AWS_REGION"],
            endpoint_url=environment.get("AWS_ENDPOINT_URL"),
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            **more,
        )
