"""Requests to a sandbox, signed by the SDK's own signer and sent as they are: no parser and no retry in between."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET

import aiohttp
from yarl import URL

from orchestrator.sandbox.server import Endpoint

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK's own, about Python
    from botocore.auth import S3SigV4Auth, SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials


@dataclass(frozen=True)
class Keys:
    """Of whoever calls."""

    key: str
    secret: str
    token: str | None = None


@dataclass(frozen=True)
class Reply:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def xml(self) -> ET.Element:
        element = ET.fromstring(self.body)  # noqa: S314 - what the sandbox itself wrote
        for one in element.iter():
            one.tag = one.tag.rpartition("}")[2]
        return element

    @property
    def code(self) -> str:
        """The error's; "ok" where it is none."""
        if self.status < 300:
            return "ok"
        if self.headers.get("content-type", "").startswith("application/x-amz-json"):
            return str(self.json["__type"])
        return self.xml.findtext(".//Code") or ""

    def texts(self, path: str) -> list[str]:
        return [one.text or "" for one in self.xml.findall(path)]


def root_keys(endpoint: Endpoint) -> Keys:
    environment = endpoint.environment()
    return Keys(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])


@dataclass
class Caller:
    """Calls one sandbox."""

    session: aiohttp.ClientSession
    url: str
    keys: Keys
    region: str = "eu-west-1"
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with every request."""

    async def codedeploy(self, operation: str, parameters: Any = None, **others: Any) -> Reply:
        """`parameters`: bytes go out as they are."""
        body = parameters if isinstance(parameters, bytes) else json.dumps(parameters or others).encode()
        target = {"X-Amz-Target": f"CodeDeploy_20141006.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        return await self.send("codedeploy", "POST", "/", body, target)

    async def ok(self, operation: str, **parameters: Any) -> Any:
        """The answer's JSON; anything but success is a failure of the test."""
        reply = await self.codedeploy(operation, parameters)
        assert reply.status == 200, (operation, reply.body)
        return reply.json

    async def s3(self, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
        """`path`: percent-encoded. `x_amz_meta_a="b"` is sent as `x-amz-meta-a: b`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send("s3", method, _strict(path), body, sent)

    async def send(self, service: str, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        signed = self.sign(service, method, path, body, {**self.headers, **headers})
        async with self.session.request(
            method,
            URL(self.url + path, encoded=True),
            data=io.BytesIO(body),
            headers=signed,
            skip_auto_headers=("Content-Type",),
        ) as response:
            got = await response.read()
            return Reply(response.status, {name.lower(): value for name, value in response.headers.items()}, got)

    def sign(self, service: str, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers with those of the signature."""
        request = AWSRequest(method=method, url=self.url + path, data=body, headers=dict(headers))
        credentials = Credentials(self.keys.key, self.keys.secret, self.keys.token)
        given = next((value for name, value in headers.items() if name.lower() == "x-amz-content-sha256"), None)
        signer = _S3Signer(credentials, given, self.region) if service == "s3" else None
        (signer or SigV4Auth(credentials, service, self.region)).add_auth(request)
        return dict(request.headers.items())


def _strict(path: str) -> str:
    """A signature is over the strict encoding of the query, so that is what clients send."""
    place, mark, query = path.partition("?")
    pairs = [one.split("=", 1) for one in query.split("&")]
    return place + mark + "&".join("=".join(quote(unquote(part), safe="-_.~") for part in pair) for pair in pairs)


class _S3Signer(S3SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """Signs the payload's digest, or what the request says of its payload itself."""

    def __init__(self, credentials: Credentials, given: str | None, region: str) -> None:
        super().__init__(credentials, "s3", region)
        self._given = given

    def payload(self, request: AWSRequest) -> str:
        return self._given or hashlib.sha256(request.body or b"").hexdigest()
