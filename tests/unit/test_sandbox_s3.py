"""The sandbox's S3 on the wire: conditions, checksums, chunked bodies, listings, versions, multipart uploads."""

from __future__ import annotations

import base64
import gzip
import hashlib
import zlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from signed import Caller, Reply, root_keys

from orchestrator.sandbox.fleet import BucketSpec, FleetSpec
from orchestrator.sandbox.options import SandboxOptions
from orchestrator.sandbox.server import Sandbox

pytestmark = pytest.mark.anyio

FLEET = FleetSpec(
    buckets=(
        BucketSpec(name="versioned", region="eu-west-1"),
        BucketSpec(name="plain", region="us-east-1", versioned=False),
    )
)
MIB = 1024**2


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Client:
    """An S3 call as a function."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    async def __call__(self, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
        return await self.caller.s3(method, path, body, **headers)


@pytest.fixture
async def s3(anyio_backend: str) -> AsyncIterator[Client]:
    async with (
        Sandbox(FLEET, SandboxOptions(storage_limit=40 * MIB)).serve() as endpoint,
        aiohttp.ClientSession(auto_decompress=False) as session,
    ):
        yield Client(Caller(session, endpoint.url, root_keys(endpoint)))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def crc32(data: bytes) -> str:
    return b64(zlib.crc32(data).to_bytes(4, "big"))


async def test_an_object_comes_back_as_it_was_put(s3: Client) -> None:
    key = quote("dir/ü +&.tgz")
    data = gzip.compress(b"payload")
    put = await s3("PUT", f"/versioned/{key}", data, Content_Type="a/b", Content_Encoding="gzip", x_amz_meta_Digest="d")
    assert put.headers["etag"] == f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
    got = await s3("GET", f"/versioned/{key}")
    assert got.body == data
    assert (got.headers["content-type"], got.headers["content-encoding"]) == ("a/b", "gzip")
    assert got.headers["x-amz-meta-digest"] == "d"
    assert got.headers["x-amz-version-id"] == put.headers["x-amz-version-id"]
    head = await s3("HEAD", f"/versioned/{key}")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(data)))
    assert head.headers["etag"] == put.headers["etag"]


async def test_versions_and_delete_markers(s3: Client) -> None:
    first = (await s3("PUT", "/versioned/k", b"1")).headers["x-amz-version-id"]
    await s3("PUT", "/versioned/k", b"2")
    assert (await s3("GET", "/versioned/k")).body == b"2"
    assert (await s3("GET", f"/versioned/k?versionId={first}")).body == b"1"
    gone = await s3("DELETE", "/versioned/k")
    assert (gone.status, gone.headers["x-amz-delete-marker"]) == (204, "true")
    assert (await s3("GET", "/versioned/k")).code == "NoSuchKey"
    assert (await s3("GET", f"/versioned/k?versionId={first}")).body == b"1"
    listed = await s3("GET", "/versioned?versions")
    assert len(listed.texts("Version/Key")) == 2
    assert listed.texts("DeleteMarker/IsLatest") == ["true"]
    await s3("DELETE", f"/versioned/k?versionId={gone.headers['x-amz-version-id']}")
    assert (await s3("GET", "/versioned/k")).body == b"2"
    assert (await s3("GET", "/versioned/k?versionId=nope")).code == "NoSuchVersion"


async def test_a_bucket_without_versions_keeps_one(s3: Client) -> None:
    put = await s3("PUT", "/plain/k", b"1")
    assert "x-amz-version-id" not in put.headers
    await s3("PUT", "/plain/k", b"2")
    assert len((await s3("GET", "/plain?versions")).texts("Version/Key")) == 1
    await s3("DELETE", "/plain/k")
    assert (await s3("GET", "/plain?versions")).texts("Version/Key") == []
    assert (await s3("GET", "/plain?versioning")).texts("Status") == []
    on = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert (await s3("PUT", "/plain?versioning", on)).status == 200
    assert (await s3("GET", "/plain?versioning")).texts("Status") == ["Enabled"]


async def test_conditional_writes(s3: Client) -> None:
    created = await s3("PUT", "/versioned/lock", b"1", If_None_Match="*")
    assert created.status == 200
    again = await s3("PUT", "/versioned/lock", b"2", If_None_Match="*")
    assert (again.status, again.code) == (412, "PreconditionFailed")
    assert (await s3("PUT", "/versioned/lock", b"2", If_Match='"other"')).status == 412
    assert (await s3("PUT", "/versioned/lock", b"2", If_Match=created.headers["etag"])).status == 200
    assert (await s3("PUT", "/versioned/none", b"2", If_Match='"other"')).code == "NoSuchKey"
    await s3("DELETE", "/versioned/lock")
    assert (await s3("PUT", "/versioned/lock", b"3", If_None_Match="*")).status == 200


async def test_conditional_reads_and_ranges(s3: Client) -> None:
    etag = (await s3("PUT", "/versioned/k", b"0123456789")).headers["etag"]
    assert (await s3("GET", "/versioned/k", If_None_Match=etag)).status == 304
    assert (await s3("GET", "/versioned/k", If_Match='"no"')).status == 412
    part = await s3("GET", "/versioned/k", Range="bytes=2-4")
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert (await s3("GET", "/versioned/k", Range="bytes=-3")).body == b"789"
    assert (await s3("GET", "/versioned/k", Range="bytes=7-")).body == b"789"
    assert (await s3("GET", "/versioned/k", Range="bytes=10-")).code == "InvalidRange"


@pytest.mark.parametrize(
    "headers",
    [
        {"x_amz_checksum_crc32": crc32(b"other")},
        {"x_amz_checksum_sha256": b64(hashlib.sha256(b"other").digest())},
        {"Content_MD5": b64(hashlib.md5(b"other", usedforsecurity=False).digest())},
    ],
)
async def test_a_wrong_checksum_stores_nothing(s3: Client, headers: dict[str, Any]) -> None:
    refused = await s3("PUT", "/versioned/k", b"data", **headers)
    assert (refused.status, refused.code) == (400, "BadDigest")
    assert (await s3("HEAD", "/versioned/k")).status == 404


async def test_checksums_are_kept_and_shown_on_request(s3: Client) -> None:
    put = await s3("PUT", "/versioned/k", b"data", x_amz_checksum_crc32=crc32(b"data"))
    assert put.headers["x-amz-checksum-crc32"] == crc32(b"data")
    assert "x-amz-checksum-crc32" not in (await s3("HEAD", "/versioned/k")).headers
    head = await s3("HEAD", "/versioned/k", x_amz_checksum_mode="ENABLED")
    assert head.headers["x-amz-checksum-crc32"] == crc32(b"data")
    payload = hashlib.sha256(b"other").hexdigest()
    assert (await s3("PUT", "/versioned/k", b"data", x_amz_content_sha256=payload)).code == "XAmzContentSHA256Mismatch"
    assert (await s3("PUT", "/versioned/k", b"data", x_amz_checksum_xxhash64="x")).code == "InvalidRequest"


def chunked(data: bytes, size: int, trailer: str) -> bytes:
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    framed = b"".join(f"{len(chunk):x};chunk-signature=0\r\n".encode() + chunk + b"\r\n" for chunk in chunks)
    return framed + b"0\r\n" + trailer.encode()


@pytest.mark.parametrize("size", [1, 7, 70_000])
async def test_chunked_bodies_with_trailing_checksums(s3: Client, size: int) -> None:
    data = b"0123456789" * (10_000 if size > 7 else 3)
    headers: dict[str, Any] = {
        "x_amz_content_sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x_amz_decoded_content_length": str(len(data)),
        "x_amz_trailer": "x-amz-checksum-crc32",
        "Content_Encoding": "aws-chunked",
    }
    good = chunked(data, size, f"x-amz-checksum-crc32:{crc32(data)}\r\n\r\n")
    assert (await s3("PUT", "/versioned/k", good, **headers)).status == 200
    got = await s3("GET", "/versioned/k")
    assert got.body == data
    assert "content-encoding" not in got.headers
    for body, code in (
        (chunked(data, size, f"x-amz-checksum-crc32:{crc32(b'')}\r\n\r\n"), "BadDigest"),
        (chunked(data, size, "\r\n"), "MalformedTrailerError"),
        (good[: len(data) // 2], "IncompleteBody"),
        (b"zz\r\n", "IncompleteBody"),
        (chunked(data[:-1], size, f"x-amz-checksum-crc32:{crc32(data[:-1])}\r\n\r\n"), "IncompleteBody"),
    ):
        assert (await s3("PUT", "/versioned/k", body, **headers)).code == code


async def test_listing_by_prefix_delimiter_and_page(s3: Client) -> None:
    for key in ("a/1", "a/2", "a/b/3", "c", "d & e"):
        await s3("PUT", f"/versioned/{quote(key)}", b"x")
    top = await s3("GET", "/versioned?list-type=2&delimiter=/")
    assert top.texts("Contents/Key") == ["c", "d & e"]
    assert top.texts("CommonPrefixes/Prefix") == ["a/"]
    under = await s3("GET", "/versioned?list-type=2&delimiter=/&prefix=a/")
    assert (under.texts("Contents/Key"), under.texts("CommonPrefixes/Prefix")) == (["a/1", "a/2"], ["a/b/"])
    found: list[str] = []
    token = ""
    for is_truncated in ("true", "true", "false"):
        page = await s3("GET", f"/versioned?list-type=2&max-keys=2{token}")
        found += page.texts("Contents/Key")
        assert page.texts("IsTruncated") == [is_truncated]
        token = f"&continuation-token={quote(''.join(page.texts('NextContinuationToken')))}"
    assert found == ["a/1", "a/2", "a/b/3", "c", "d & e"]
    assert (await s3("GET", "/versioned?list-type=2&start-after=b")).texts("Contents/Key") == ["c", "d & e"]
    assert (await s3("GET", "/versioned?marker=b&encoding-type=url")).texts("Contents/Key") == ["c", "d%20%26%20e"]
    assert (await s3("GET", "/versioned?max-keys=x")).code == "InvalidArgument"
    versions = await s3("GET", "/versioned?versions&max-keys=2")
    rest = await s3(
        "GET",
        f"/versioned?versions&key-marker={quote(versions.texts('NextKeyMarker')[0])}"
        f"&version-id-marker={versions.texts('NextVersionIdMarker')[0]}",
    )
    assert versions.texts("Version/Key") + rest.texts("Version/Key") == ["a/1", "a/2", "a/b/3", "c", "d & e"]


async def test_delete_many_and_copy(s3: Client) -> None:
    await s3("PUT", "/versioned/a", b"data", x_amz_meta_kind="first")
    copied = await s3("PUT", "/plain/b", x_amz_copy_source="/versioned/a")
    assert copied.status == 200
    got = await s3("GET", "/plain/b")
    assert (got.body, got.headers["x-amz-meta-kind"]) == (b"data", "first")
    await s3(
        "PUT", "/plain/c", x_amz_copy_source="versioned/a", x_amz_metadata_directive="REPLACE", x_amz_meta_kind="2"
    )
    assert (await s3("GET", "/plain/c")).headers["x-amz-meta-kind"] == "2"
    wanted = b"<Delete><Object><Key>b</Key></Object><Object><Key>none</Key></Object></Delete>"
    assert (await s3("POST", "/plain?delete", wanted)).texts("Deleted/Key") == ["b", "none"]
    assert (await s3("GET", "/plain")).texts("Contents/Key") == ["c"]
    assert (await s3("POST", "/plain?delete", b"<!DOCTYPE x><Delete/>")).code == "MalformedXML"


async def start_upload(s3: Client, key: str = "big", **headers: str) -> str:
    started = await s3("POST", f"/versioned/{key}?uploads", b"", **headers)
    return started.texts("UploadId")[0]


def completion(*parts: tuple[int, str]) -> bytes:
    rows = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>" for n, etag in parts)
    return f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()


async def test_multipart(s3: Client) -> None:
    upload = await start_upload(s3, x_amz_checksum_algorithm="CRC32", x_amz_meta_digest="d")
    pieces = {1: b"a" * 5 * MIB, 2: b"b" * 100}
    etags = {}
    for number, piece in sorted(pieces.items(), reverse=True):
        put = await s3("PUT", f"/versioned/big?partNumber={number}&uploadId={upload}", piece)
        assert put.headers["x-amz-checksum-crc32"] == crc32(piece)
        etags[number] = put.headers["etag"]
    assert (await s3("GET", f"/versioned/big?uploadId={upload}")).texts("Part/PartNumber") == ["1", "2"]
    assert (await s3("GET", "/versioned?uploads")).texts("Upload/UploadId") == [upload]
    assert (await s3("HEAD", "/versioned/big")).status == 404
    path = f"/versioned/big?uploadId={upload}"
    assert (await s3("POST", path, completion((1, "other"), (2, etags[2])))).code == "InvalidPart"
    assert (await s3("POST", path, completion((2, etags[2]), (1, etags[1])))).code == "InvalidPartOrder"
    assert (await s3("POST", path, completion())).code == "MalformedXML"
    done = await s3("POST", path, completion((1, etags[1]), (2, etags[2])), If_None_Match="*")
    md5 = hashlib.md5(usedforsecurity=False)
    for piece in pieces.values():
        md5.update(hashlib.md5(piece, usedforsecurity=False).digest())
    assert done.texts("ETag") == [f'"{md5.hexdigest()}-2"']
    assert done.texts("ChecksumCRC32")[0].endswith("-2")
    got = await s3("GET", "/versioned/big")
    assert (got.body == pieces[1] + pieces[2], got.headers["x-amz-meta-digest"]) == (True, "d")
    assert (await s3("GET", "/versioned?uploads")).texts("Upload/UploadId") == []
    assert (await s3("POST", path, completion((1, etags[1])))).code == "NoSuchUpload"


async def test_multipart_with_a_checksum_of_the_whole(s3: Client) -> None:
    upload = await start_upload(s3, x_amz_checksum_algorithm="CRC32", x_amz_checksum_type="FULL_OBJECT")
    pieces = [b"a" * 5 * MIB, b"b" * 5 * MIB, b"c" * 10, b"left out"]
    etags = [
        (await s3("PUT", f"/versioned/big?partNumber={number}&uploadId={upload}", piece)).headers["etag"]
        for number, piece in enumerate(pieces, 1)
    ]
    done = await s3("POST", f"/versioned/big?uploadId={upload}", completion(*enumerate(etags[:3], 1)))
    whole = b"".join(pieces[:3])
    assert done.texts("ChecksumCRC32") == [crc32(whole)]
    across = await s3("GET", "/versioned/big", Range=f"bytes={5 * MIB - 1}-{10 * MIB + 1}")
    assert across.body == whole[5 * MIB - 1 : 10 * MIB + 2]
    assert (await s3("GET", "/versioned/big")).body == whole


async def test_multipart_that_comes_second_or_is_aborted(s3: Client) -> None:
    upload = await start_upload(s3)
    etag = (await s3("PUT", f"/versioned/big?partNumber=1&uploadId={upload}", b"x")).headers["etag"]
    await s3("PUT", "/versioned/big", b"first")
    path = f"/versioned/big?uploadId={upload}"
    assert (await s3("POST", path, completion((1, etag)), If_None_Match="*")).status == 412
    assert (await s3("DELETE", path)).status == 204
    assert (await s3("DELETE", path)).code == "NoSuchUpload"
    assert (await s3("PUT", f"/versioned/big?partNumber=1&uploadId={upload}", b"x")).code == "NoSuchUpload"
    upload = await start_upload(s3)
    small = [
        (await s3("PUT", f"/versioned/big?partNumber={n}&uploadId={upload}", b"x")).headers["etag"] for n in (1, 2)
    ]
    parts = completion((1, small[0]), (2, small[1]))
    assert (await s3("POST", f"/versioned/big?uploadId={upload}", parts)).code == "EntityTooSmall"
    assert (await s3("PUT", f"/versioned/big?partNumber=0&uploadId={upload}", b"x")).code == "InvalidArgument"


async def test_buckets(s3: Client) -> None:
    where = (
        b"<CreateBucketConfiguration><LocationConstraint>eu-north-1</LocationConstraint></CreateBucketConfiguration>"
    )
    assert (await s3("PUT", "/fresh", where)).status == 200
    assert (await s3("GET", "/fresh?location")).xml.text == "eu-north-1"
    assert (await s3("HEAD", "/fresh")).headers["x-amz-bucket-region"] == "eu-north-1"
    assert (await s3("PUT", "/fresh")).code == "BucketAlreadyOwnedByYou"
    assert (await s3("PUT", "/No_Bucket")).code == "InvalidBucketName"
    assert (await s3("GET", "/")).texts("Buckets/Bucket/Name") == ["fresh", "plain", "versioned"]
    await s3("PUT", "/fresh/k", b"x")
    assert (await s3("DELETE", "/fresh")).code == "BucketNotEmpty"
    await s3("DELETE", "/fresh/k")
    assert (await s3("DELETE", "/fresh")).status == 204
    assert (await s3("PUT", "/fresh/k", b"x")).code == "NoSuchBucket"


async def test_what_the_sandbox_lacks_it_says(s3: Client) -> None:
    for method, path in (("GET", "/versioned?policy"), ("PUT", "/versioned/k?retention"), ("POST", "/versioned/k")):
        assert (await s3(method, path)).code == "NotImplemented"
    assert (await s3("PUT", f"/versioned/{'k' * 1025}", b"x")).code == "KeyTooLongError"


async def test_the_storage_is_bounded_and_gives_back_what_is_deleted(s3: Client) -> None:
    big = b"x" * 15 * MIB
    for key in ("a", "b"):
        assert (await s3("PUT", f"/plain/{key}", big)).status == 200
    assert (await s3("PUT", "/plain/c", big)).code == "SandboxStorageFull"
    await s3("DELETE", "/plain/a")
    assert (await s3("PUT", "/plain/c", big)).status == 200
    assert (await s3("GET", "/plain/c")).body == big
