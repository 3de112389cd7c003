"""Signature Version 4: what AWS refuses, the sandbox refuses, each service in its own words."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from awscli import open_client
from botocore.client import Config
from signed import Caller, Keys, Reply, root_keys
from yarl import URL

from orchestrator.sandbox.fleet import BucketSpec, FleetSpec
from orchestrator.sandbox.options import SandboxOptions
from orchestrator.sandbox.server import Endpoint, Sandbox
from orchestrator.sandbox.signature import AuthError, Claim, Parts, check, chunk_signer, read_claim, signing_key

REGION = "eu-west-1"
FLEET = FleetSpec(buckets=(BucketSpec(name="bucket", region=REGION),))
WHO = b"Action=GetCallerIdentity&Version=2011-06-15"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def endpoint(anyio_backend: str) -> AsyncIterator[Endpoint]:
    async with Sandbox(FLEET, SandboxOptions()).serve() as endpoint:
        yield endpoint


@pytest.fixture
async def caller(endpoint: Endpoint) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        yield Caller(session, endpoint.url, root_keys(endpoint), REGION)


def test_the_published_example() -> None:
    """The example of the SigV4 test suite, `get-vanilla`: its key, its signature, byte for byte."""
    authorization = (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )
    headers = {"Host": "example.amazonaws.com", "host": "example.amazonaws.com", "X-Amz-Date": "20150830T123600Z"}
    headers |= {"x-amz-date": "20150830T123600Z", "Authorization": authorization}
    claim = read_claim(headers, {})
    parts = Parts(method="GET", path="/", query="", headers=headers, payload=hashlib.sha256(b"").hexdigest())
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    check(claim, parts, secret, claim.at + 60)
    with pytest.raises(AuthError, match="does not match"):
        check(claim, replace(parts, method="PUT"), secret, claim.at)
    with pytest.raises(AuthError, match="Signature expired"):
        check(claim, parts, secret, claim.at + 901)
    assert len(signing_key(secret, "20150830", "us-east-1", "service")) == 32


def test_the_published_example_of_chunks() -> None:
    """The example of S3's documentation of chunked uploads: three chunks, each signature from the one before."""
    seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    claim = Claim(
        key="AKIAIOSFODNN7EXAMPLE", date="20130524", region="us-east-1", service="s3", moment="20130524T000000Z",
        signed=(), signature=seed, token=None, expires=None,
    )  # fmt: skip
    signer = chunk_signer(claim, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    found = seed
    for size, expected in (
        (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ):
        found = signer.chunk(found, hashlib.sha256(b"a" * size).hexdigest())
        assert found == expected


async def codes(caller: Caller) -> tuple[str, str, str]:
    """What CodeDeploy, STS and S3 say to it."""
    return (
        (await caller.codedeploy("ListApplications")).code,
        (await caller.send("sts", "POST", "/", WHO, FORM)).code,
        (await caller.s3("GET", "/bucket")).code,
    )


Change = Callable[[Keys], Keys]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda keys: keys, ("ok", "ok", "ok")),
        (
            lambda keys: replace(keys, key="AKIAFOREIGN"),
            ("UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"),
        ),
        (
            lambda keys: replace(keys, secret="wrong"),
            ("InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"),
        ),
        (
            lambda keys: replace(keys, token="stolen"),
            ("UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken"),
        ),
    ],
    ids=["its own", "another key", "another secret", "another token"],
)
async def test_only_its_own_keys_come_in(caller: Caller, change: Change, expected: tuple[str, ...]) -> None:
    assert await codes(replace(caller, keys=change(caller.keys))) == expected


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, ("MissingAuthenticationTokenException", "MissingAuthenticationToken", "AccessDenied")),
        (
            {"Authorization": "Basic abc"},
            ("IncompleteSignatureException", "IncompleteSignature", "AuthorizationHeaderMalformed"),
        ),
        (
            {"Authorization": "AWS AKIDEXAMPLE:c2lnbmF0dXJl"},
            ("IncompleteSignatureException", "IncompleteSignature", "InvalidRequest"),
        ),
        (
            {"Authorization": "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=0"},
            ("IncompleteSignatureException", "IncompleteSignature", "AuthorizationHeaderMalformed"),
        ),
        (
            {"Authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20260101/x/s3/aws4_request, Signature=é"},
            ("IncompleteSignatureException", "IncompleteSignature", "AuthorizationHeaderMalformed"),
        ),
    ],
)
async def test_what_is_no_signature(caller: Caller, headers: dict[str, str], expected: tuple[str, ...]) -> None:
    found = []
    for method, path, more in (
        ("POST", "/", {"X-Amz-Target": "CodeDeploy_20141006.ListApplications"}),
        ("POST", "/", FORM),
        ("GET", "/bucket", {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}),
    ):
        url = URL(caller.url + path)
        async with caller.session.request(method, url, data=b"", headers={**headers, **more}) as response:
            lowered = {name.lower(): value for name, value in response.headers.items()}
            found.append(Reply(response.status, lowered, await response.read()).code)
    assert tuple(found) == expected


@pytest.mark.anyio
async def test_a_signature_for_another_service_or_another_body(caller: Caller) -> None:
    target = {"X-Amz-Target": "CodeDeploy_20141006.ListApplications"}
    assert (await caller.send("s3", "POST", "/", b"{}", target)).code == "IncompleteSignatureException"
    headers = caller.sign("codedeploy", "POST", "/", b"{}", target)
    async with caller.session.post(caller.url + "/", data=b'{"nextToken": "x"}', headers=headers) as response:
        assert (await response.json(content_type=None))["__type"] == "InvalidSignatureException"
    headers = caller.sign("s3", "PUT", "/bucket/k", b"signed", {})
    async with caller.session.put(caller.url + "/bucket/k", data=b"other", headers=headers) as response:
        assert b"XAmzContentSHA256Mismatch" in await response.read()
    headers = caller.sign("s3", "PUT", "/bucket/k", b"signed", {})
    headers["x-amz-meta-slipped"] = "in"
    async with caller.session.put(caller.url + "/bucket/k", data=b"signed", headers=headers) as response:
        assert b"were not signed" in await response.read()
    assert (await caller.s3("HEAD", "/bucket/k")).status == 404


@pytest.mark.anyio
async def test_keys_with_odd_letters_are_signed_as_they_are_sent(caller: Caller) -> None:
    for key in ("a%20b", "%C3%BC", "a%2Bb", "x=y", "~tilde", "a%2525", "(1)", "a//b"):
        assert (await caller.s3("PUT", f"/bucket/{key}", b"x")).code == "ok", key
        assert (await caller.s3("GET", f"/bucket?list-type=2&prefix={key}&encoding-type=url")).texts("KeyCount") == [
            "1"
        ]


@pytest.mark.anyio
async def test_the_sdk_signs_and_presigns(caller: Caller, endpoint: Endpoint) -> None:
    await caller.s3("PUT", "/bucket/a%20key", b"hello")

    async def get(url: str, **headers: str) -> tuple[int, bytes]:
        async with caller.session.get(URL(url, encoded=True), headers=headers) as response:
            return response.status, await response.read()

    v4 = open_client("s3", endpoint.environment(), config=Config(signature_version="s3v4"))
    url = v4.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "a key"}, ExpiresIn=60)
    assert "X-Amz-Signature" in url
    assert await get(url) == (200, b"hello")
    status, body = await get(f"{endpoint.url}/bucket/a%20key?AWSAccessKeyId=x&Signature=y&Expires=1")
    assert (status, b"AWS4-HMAC-SHA256" in body) == (400, True)
    status, body = await get(url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"))
    assert (status, b"SignatureDoesNotMatch" in body) == (403, True)
    status, body = await get(url.replace("X-Amz-Expires=60", "X-Amz-Expires=9999999"))
    assert (status, b"AuthorizationQueryParametersError" in body) == (400, True)
    outdated = Claim(**{**claim_fields(url), "expires": 1})
    with pytest.raises(AuthError, match="Request has expired"):
        check(outdated, Parts(method="GET", path="/", query="", headers={}, payload=""), "x", time.time() + 2)


def claim_fields(url: str) -> dict[str, Any]:
    query = dict(one.split("=", 1) for one in urlsplit(url).query.split("&"))
    claim = read_claim({}, {name: value.replace("%2F", "/") for name, value in query.items()})
    return {name: getattr(claim, name) for name in Claim.__slots__}


async def signed_chunks(caller: Caller, data: bytes, *, spoil: bool = False, trailer: str = "") -> Reply:
    """A body in chunks of 10 bytes, each signed; `spoil`: its last byte is another one."""
    kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailer else "")
    headers = {"x-amz-content-sha256": kind, "x-amz-decoded-content-length": str(len(data))}
    if trailer:
        headers["x-amz-trailer"] = trailer.partition(":")[0]
    signed = caller.sign("s3", "PUT", "/bucket/chunks", b"", headers)
    claim = read_claim({**signed, "X-Amz-Date": signed["X-Amz-Date"]}, {})
    signer = chunk_signer(claim, caller.keys.secret)
    body, previous = b"", signer.seed
    for start in (*range(0, len(data), 10), len(data)):
        chunk = data[start : start + 10]
        previous = signer.chunk(previous, hashlib.sha256(chunk).hexdigest())
        sent = chunk[:-1] + b"!" if spoil and chunk and start + 10 >= len(data) else chunk
        body += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + sent + (b"\r\n" if chunk else b"")
    if trailer:
        signature = signer.trailer(previous, hashlib.sha256(f"{trailer}\n".encode()).hexdigest())
        body += f"{trailer}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()
    async with caller.session.put(caller.url + "/bucket/chunks", data=body, headers=signed) as response:
        return Reply(response.status, dict(response.headers), await response.read())


@pytest.mark.anyio
async def test_signed_chunks(caller: Caller) -> None:
    data = b"0123456789abcdef"
    assert (await signed_chunks(caller, data)).code == "ok"
    assert (await caller.s3("GET", "/bucket/chunks")).body == data
    assert (await signed_chunks(caller, data, spoil=True)).code == "SignatureDoesNotMatch"
    assert (await signed_chunks(caller, data, trailer="x-amz-checksum-crc32c:wbb70Q==")).code == "BadDigest"
    assert (await caller.s3("GET", "/bucket/chunks")).body == data
