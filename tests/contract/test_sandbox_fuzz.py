"""Requests that nobody would send: the sandbox never answers with HTTP 5xx, never hangs, and answers in shape.

CodeDeploy's are drawn from the service model's own shapes: good values and bad ones, members left out or unknown.
"""

from __future__ import annotations

import asyncio
import json
import os
import string
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_shapes import MODEL, misfits
from signed import Caller, Reply, root_keys

from orchestrator.sandbox.fleet import BucketSpec, FleetSpec, GroupSpec
from orchestrator.sandbox.options import SandboxOptions
from orchestrator.sandbox.server import Sandbox

REGION = "eu-west-1"
FLEET = FleetSpec(
    groups=(GroupSpec(application="app", deployment_group="g", region=REGION),),
    buckets=(BucketSpec(name="bucket", region=REGION), BucketSpec(name="plain", region=REGION, versioned=False)),
)
SECONDS = 20
"""Within which every request has to be answered; far more than any takes."""

KNOWN = {
    "ApplicationName": ["app", "other"],
    "DeploymentGroupName": ["g", "h"],
    "DeploymentConfigName": ["CodeDeployDefault.AllAtOnce", "mine"],
    "DeploymentId": ["d-ABCDEFGHI"],
    "Role": ["arn:aws:iam::000000000000:role/r"],
    "Arn": [
        f"arn:aws:codedeploy:{REGION}:000000000000:{rest}" for rest in ("application:app", "deploymentgroup:app/g")
    ],
    "InstanceName": ["web", "i-web"],
    "IamUserArn": ["arn:aws:iam::000000000000:user/web"],
    "IamSessionArn": ["arn:aws:sts::000000000000:assumed-role/web/one"],
    "S3Bucket": ["bucket"],
    "Repository": ["acme/shop"],
    "CommitId": ["a" * 40],
    "RawString": ['{"version": 0.0, "Resources": []}', "version: 0.0\nos: linux"],
    "RawStringContent": ['{"version": 0.0, "Resources": []}', "version: 0.0"],
}
"""Values that lead further than a refusal of the name."""
TEXTS = st.one_of(st.text(max_size=20), st.text(alphabet=string.ascii_letters, min_size=1, max_size=300))
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=2)
)


def values(shape: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Mostly of the shape's type."""
    return (
        st.one_of(_typed(shape, depth), _typed(shape, depth), _typed(shape, depth), JUNK)
        if depth
        else _typed(shape, depth)
    )


def _typed(shape: Any, depth: int) -> st.SearchStrategy[Any]:
    simple = {
        "boolean": st.booleans(),
        "integer": st.one_of(st.integers(-5, 3000), st.integers()),
        "long": st.one_of(st.integers(-5, 3000), st.integers()),
        "timestamp": st.one_of(st.integers(0, 2**40), st.floats(allow_nan=False)),
    }
    match shape.type_name:
        case "structure":
            members = {name: values(member, depth + 1) for name, member in shape.members.items()}
            required = {name: members[name] for name in shape.required_members}
            optional = {name: one for name, one in members.items() if name not in required}
            return st.fixed_dictionaries(required, optional={**optional, "unknown": JUNK} if depth > 1 else optional)
        case "list":
            return st.lists(values(shape.member, depth + 1), max_size=3)
        case "map":
            return st.dictionaries(_typed(shape.key, depth), values(shape.value, depth + 1), max_size=2)
        case "string":
            known = KNOWN.get(shape.name, []) + list(shape.enum or [])
            return st.one_of(st.sampled_from(known), st.sampled_from(known), TEXTS) if known else TEXTS
        case other:
            return simple[other]


class Live:
    """A sandbox on an event loop of its own: hypothesis calls plain functions."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.aws: Caller = self.run(self._start())

    async def _start(self) -> Caller:
        sandbox = Sandbox(FLEET, SandboxOptions(time_scale=0, instances=1))
        endpoint = await self._stack.enter_async_context(sandbox.serve())
        session = await self._stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        return Caller(session, endpoint.url, root_keys(endpoint), REGION)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(asyncio.wait_for(coroutine, SECONDS))

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._runner.close()


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    found = Live()
    yield found
    found.close()


COMMON = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


EXAMPLES = int(os.environ.get("ORCHESTRATOR_FUZZ_EXAMPLES", "10"))
"""Of each kind of request; many more find nothing either, and take their time."""


def check(operation: str, reply: Reply) -> None:
    assert reply.status in (200, 400, 413), (operation, reply.status, reply.body)
    answer = reply.json
    if reply.status != 200:
        assert set(answer) == {"__type", "message"}
        assert answer["message"]
        return
    shape = MODEL.operation_model(operation).output_shape
    assert (misfits(shape, answer, operation) if shape else list(answer)) == []


@pytest.mark.parametrize("operation", MODEL.operation_names)
def test_codedeploy(live: Live, operation: str) -> None:
    shape = MODEL.operation_model(operation).input_shape

    @settings(COMMON, max_examples=EXAMPLES)
    @given(values(shape) if shape else st.just({}))
    def play(parameters: Any) -> None:
        check(operation, live.run(live.aws.codedeploy(operation, json.dumps(parameters).encode())))

    play()


def test_bodies_that_are_no_parameters(live: Live) -> None:
    bodies = st.one_of(st.binary(max_size=40), JUNK.map(lambda one: json.dumps(one).encode()))

    @settings(COMMON, max_examples=EXAMPLES * 10)
    @given(st.sampled_from(MODEL.operation_names), bodies)
    def play(operation: str, body: bytes) -> None:
        check(operation, live.run(live.aws.codedeploy(operation, body)))

    play()


NUMBERS = st.one_of(st.integers(-1, 3).map(str), st.sampled_from(["", "x", "99999999999999", "1.5", "\u0663"]))
WORDS = st.one_of(
    st.sampled_from(["", "k", "a/b", "*", "null", "url", "/", "Enabled", "COPY", "AES256"]), st.text(max_size=6)
)
FLAGS = ("uploads", "uploadId", "delete", "tagging", "versions", "versioning", "location", "list-type", "acl", "policy")
PARAMETERS = ("prefix", "delimiter", "marker", "key-marker", "version-id-marker", "versionId", "continuation-token",
    "start-after", "encoding-type", "response-content-type", "upload-id-marker")  # fmt: skip
NUMBERED = ("max-keys", "max-parts", "max-uploads", "partNumber", "part-number-marker")
HEADERS = ("Range", "If-Match", "If-None-Match", "If-Modified-Since", "x-amz-copy-source", "x-amz-copy-source-range",
    "x-amz-copy-source-if-match", "x-amz-metadata-directive", "x-amz-tagging", "x-amz-storage-class", "x-amz-acl",
    "x-amz-server-side-encryption", "x-amz-checksum-crc32", "x-amz-checksum-crc64nvme", "x-amz-sdk-checksum-algorithm",
    "x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode", "x-amz-meta-a", "x-amz-trailer",
    "x-amz-decoded-content-length", "x-amz-expected-bucket-owner", "x-amz-mp-object-size", "Content-MD5")  # fmt: skip
PLAIN = st.text(alphabet=string.printable.strip() + " ", max_size=12)
SOURCES = ("/bucket/k", "plain/k", "/none/k", "nonsense")
GIVEN = st.sampled_from(
    ("*", "bytes=0-3", "bytes=-1", "bytes=3-1", *SOURCES, "CRC32", "CRC64NVME", "SHA256", "FULL_OBJECT", "ENABLED")
)
DOCUMENTS = [
    b"<Delete><Object><Key>k</Key></Object></Delete>",
    b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
    b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>",
    b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
    b"<a",
    b"4\r\nabcd\r\n0\r\n\r\n",
]
BODIES = st.one_of(st.binary(max_size=30), st.sampled_from(DOCUMENTS))
QUERIES = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(PARAMETERS, WORDS), **dict.fromkeys(NUMBERED, NUMBERS)}
).flatmap(
    lambda found: st.sets(st.sampled_from(FLAGS), max_size=1).map(lambda flags: {**dict.fromkeys(flags, ""), **found})
)
PAYLOADS = st.sampled_from(
    [None, None, "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"]
)


def test_s3(live: Live) -> None:
    @settings(COMMON, max_examples=EXAMPLES * 30)
    @given(
        st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"]),
        st.sampled_from(
            ["/", "/bucket", "/bucket/k", "/plain/k", "/bucket/%00", "/bucket/%FF", "/none/k", "/bucket/a//b", "/fresh"]
        ),
        QUERIES,
        st.dictionaries(st.sampled_from(HEADERS), st.one_of(GIVEN, PLAIN), max_size=4),
        PAYLOADS,
        BODIES,
    )
    def play(
        method: str, path: str, query: dict[str, str], headers: dict[str, str], payload: str | None, body: bytes
    ) -> None:
        if payload:
            headers = {**headers, "x-amz-content-sha256": payload}
        target = f"{path}?{urlencode(query, quote_via=quote)}" if query else path
        reply = live.run(live.aws.send("s3", method, target, body, headers))
        # What it lacks it says so, with 501; nothing else of a server's own.
        assert reply.status < 500 or reply.status == 501, (method, target, headers, reply.status, reply.body)
        if reply.status >= 400 and reply.status != 412 and method != "HEAD":
            assert reply.code

    play()
