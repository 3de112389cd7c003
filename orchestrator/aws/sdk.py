"""What we need of the SDK, as functions. Imports the SDK: import it late.

All of its configuration is in one place here: no retries of its own, time-outs, the fast parser, refreshable roles.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aioboto3
import aiobotocore
from aiobotocore.config import AioConfig
from aiobotocore.credentials import (
    AioAssumeRoleCredentialFetcher,
    AioCredentialResolver,
    AioCredentials,
    AioDeferredRefreshableCredentials,
)
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import NoCredentialsError

from orchestrator import __version__
from orchestrator.aws.body import Body
from orchestrator.aws.fastjson import FastParserFactory
from orchestrator.aws.session import Timeouts

ROLE_SESSION_NAME = "orchestrator"
_CRC_HEADER = "x-amz-checksum-crc32"
LAMBDA = "lambda-durable"
MODELS = Path(__file__).parent / "models"
"""Where the API of `LAMBDA` is: durable executions came after the SDK that aioboto3 asks for."""
CONNECTIONS = 50
"""Connections at once for each client."""

# With given endpoints nothing of this machine's own AWS settings may count, so that a broken profile or
# AWS_PROFILE can't keep the sandbox from starting, and a real account can't be reached by mistake.
_NO_FILES_NO_PROFILE = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
    "ca_bundle": (None, None, None, None),
}


class _GivenCredentials:
    """A provider for botocore's chain that gives just these."""

    METHOD = "orchestrator"

    def __init__(self, credentials: object) -> None:
        self._credentials = credentials

    async def load(self) -> object:
        return self._credentials


class Sdk:
    """Makes sessions and clients, by the SDK's own chain of settings, or by what `environment` says alone."""

    def __init__(self, environment: Mapping[str, str] | None, timeouts: Timeouts) -> None:
        self._environment = environment
        self._timeouts = timeouts

    def open_session(self) -> aioboto3.Session:
        session = self._new_session()
        if self._environment is not None:
            keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
            _give_credentials(session, AioCredentials(*(self._environment.get(key) for key in keys)))
        return aioboto3.Session(botocore_session=session)

    async def assume_role(self, base: aioboto3.Session, role_arn: str, region: str) -> aioboto3.Session:
        """A session with a role's credentials, which STS is asked for at the first call and again before they expire.

        Raises `NoCredentialsError` when there is nothing to assume it with.
        """
        wrapped = base._session  # noqa: SLF001  # aioboto3 has no public way to the session that it was given
        source = await wrapped.get_credentials()
        if source is None:
            raise NoCredentialsError
        fetcher = AioAssumeRoleCredentialFetcher(
            client_creator=lambda service, **keys: self.open_client(base, service, region, **keys),
            source_credentials=source,
            role_arn=role_arn,
            extra_args={"RoleSessionName": ROLE_SESSION_NAME},
        )
        session = self._new_session()
        _give_credentials(
            session, AioDeferredRefreshableCredentials(refresh_using=fetcher.fetch_credentials, method="assume-role")
        )
        # Service models are read once for all roles: 0.1 s of CPU each.
        session.register_component("data_loader", wrapped.get_component("data_loader"))
        return aioboto3.Session(botocore_session=session)

    def open_client(
        self, session: aioboto3.Session, service: str, region: str, **keys: str | None
    ) -> AbstractAsyncContextManager[Any]:
        """The client is closed at the context's end. An empty region: what the SDK's own chain says."""
        return session.client(  # type: ignore[no-any-return]  # aioboto3 ships no types
            service,
            region_name=region or (self._environment or {}).get("AWS_REGION"),
            endpoint_url=self._endpoint(service),
            config=self._config(service),
            **keys,
        )

    def _endpoint(self, service: str) -> str | None:
        """None: as the SDK's own chain says."""
        if self._environment is not None:
            return _endpoint(service, self._environment)
        if service == LAMBDA:  # the chain knows only services of its own
            return os.environ.get("AWS_ENDPOINT_URL_LAMBDA") or os.environ.get("AWS_ENDPOINT_URL")
        return None

    def body(self, content: bytes | memoryview) -> Body:
        return Body(content)

    def _new_session(self) -> AioSession:
        session = get_session() if self._environment is None else AioSession(session_vars=_NO_FILES_NO_PROFILE)
        session.register_component("response_parser_factory", FastParserFactory())
        session.get_component("data_loader").search_paths.append(str(MODELS))
        session.register("request-created.s3.UploadPart", _without_expect)
        for operation in ("PutObject", "UploadPart"):
            session.register(f"request-created.s3.{operation}", _checked_by_crc)
        return session

    def _config(self, service: str) -> AioConfig:
        config = AioConfig(
            # The one place that retries is ours. botocore would send CreateDeployment again after a 5xx or a lost
            # connection, and CreateDeployment has no idempotency token: that deploys twice.
            retries={"total_max_attempts": 1},
            connect_timeout=self._timeouts.connect,
            read_timeout=self._timeouts.read_s3 if service == "s3" else self._timeouts.read,
            max_pool_connections=CONNECTIONS,
            tcp_keepalive=True,
            # Our own code builds CodeDeploy's parameters, and the service checks more than the model knows.
            parameter_validation=service != "codedeploy",
            # Given as a whole: botocore would otherwise put it together twice for each call, 0.15 ms of CPU.
            user_agent=f"orchestrator/{__version__} aiobotocore/{aiobotocore.__version__}",
        )
        if self._environment is None:
            return config
        return config.merge(
            AioConfig(
                proxies={},
                defaults_mode="legacy",
                use_fips_endpoint=False,
                use_dualstack_endpoint=False,
                s3={"addressing_style": "path"} if service == "s3" else None,
            )
        )


def _without_expect(request: Any, **_: object) -> None:
    """No `Expect: 100-continue` for parts: it costs a round trip each, and their upload was just agreed to."""
    del request.headers["Expect"]


def _checked_by_crc(request: Any, **_: object) -> None:
    """A CRC32 that we give is as good as one that botocore computes: over TLS the body then needs no SHA-256 besides.

    botocore decides that by this entry, and writes it only where the CRC is its own. On plain HTTP it always signs.
    """
    if _CRC_HEADER in request.headers:
        algorithm = {"algorithm": "crc32", "in": "header", "name": _CRC_HEADER}
        request.context["checksum"] = {**request.context.get("checksum", {}), "request_algorithm": algorithm}


def _give_credentials(session: AioSession, credentials: object) -> None:
    session.register_component("credential_provider", AioCredentialResolver([_GivenCredentials(credentials)]))


def _endpoint(service: str, environment: Mapping[str, str]) -> str:
    url = environment.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environment.get("AWS_ENDPOINT_URL")
    if not url:
        # Falling through to AWS with throw-away keys would be a surprise.
        raise ValueError(f"no endpoint for {service} was given")
    return url
