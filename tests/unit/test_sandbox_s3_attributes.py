"""What S3's objects have besides their bodies in the sandbox: checksums, tags, encryption, owners; and copies."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest
from signed import Caller, Keys, root_keys

from orchestrator.sandbox.fleet import BucketSpec, FleetSpec
from orchestrator.sandbox.options import SandboxOptions
from orchestrator.sandbox.server import Sandbox

pytestmark = pytest.mark.anyio

ACCOUNT, OTHER = "000000000000", "111111111111"
FLEET = FleetSpec(
    buckets=(
        BucketSpec(name="bucket", region="eu-west-1"),
        BucketSpec(name="far", region="us-east-1", versioned=False),
        BucketSpec(name="theirs", region="eu-west-1", account=OTHER),
    )
)
MIB = 1024**2
NINE = b"123456789"
CHECKS = {
    # The check values of the catalogue of parametrised CRC algorithms: of "123456789".
    "crc32": base64.b64encode(0xCBF43926.to_bytes(4, "big")).decode(),
    "crc32c": base64.b64encode(0xE3069283.to_bytes(4, "big")).decode(),
    "crc64nvme": base64.b64encode(0xAE8B14860A799888.to_bytes(8, "big")).decode(),
    "sha1": base64.b64encode(hashlib.sha1(NINE, usedforsecurity=False).digest()).decode(),
    "sha256": base64.b64encode(hashlib.sha256(NINE).digest()).decode(),
    "sha512": base64.b64encode(hashlib.sha512(NINE).digest()).decode(),
    "md5": base64.b64encode(hashlib.md5(NINE, usedforsecurity=False).digest()).decode(),
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def aws(anyio_backend: str) -> AsyncIterator[Caller]:
    async with Sandbox(FLEET, SandboxOptions()).serve() as endpoint, aiohttp.ClientSession() as session:
        yield Caller(session, endpoint.url, root_keys(endpoint))


@pytest.mark.parametrize("algorithm", CHECKS)
async def test_every_checksum_is_verified_kept_and_shown(aws: Caller, algorithm: str) -> None:
    header = f"x-amz-checksum-{algorithm}"
    good = {header.replace("-", "_"): CHECKS[algorithm]}
    put = await aws.s3("PUT", "/bucket/k", NINE, **good)
    assert (put.status, put.headers[header]) == (200, CHECKS[algorithm])
    bad = await aws.s3("PUT", "/bucket/k", NINE + b"!", **good)
    assert (bad.status, bad.code) == (400, "BadDigest")
    shown = await aws.s3("HEAD", "/bucket/k", x_amz_checksum_mode="ENABLED")
    assert shown.headers[header] == CHECKS[algorithm]
    assert header not in (await aws.s3("HEAD", "/bucket/k")).headers
    # Reckoned when only the algorithm is named.
    named = await aws.s3("PUT", "/bucket/n", NINE, x_amz_sdk_checksum_algorithm=algorithm.upper())
    assert named.headers[header] == CHECKS[algorithm]


async def start_upload(aws: Caller, key: str = "big", **headers: str) -> str:
    return (await aws.s3("POST", f"/bucket/{key}?uploads", b"", **headers)).texts("UploadId")[0]


async def put_part(aws: Caller, upload: str, number: int, body: bytes, **headers: str) -> str:
    put = await aws.s3("PUT", f"/bucket/big?partNumber={number}&uploadId={upload}", body, **headers)
    assert put.status == 200, put.body
    return put.headers["etag"]


def completion(*etags: str) -> bytes:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


@pytest.mark.parametrize(
    ("algorithm", "kind", "code"),
    [
        ("CRC64NVME", "COMPOSITE", "InvalidRequest"),
        ("SHA256", "FULL_OBJECT", "InvalidRequest"),
        ("CRC32C", "FULL_OBJECT", "ok"),
        ("CRC32C", "COMPOSITE", "ok"),
        ("CRC64NVME", "FULL_OBJECT", "ok"),
        ("CRC32", "SIDEWAYS", "InvalidRequest"),
    ],
)
async def test_which_checksum_may_be_of_the_whole(aws: Caller, algorithm: str, kind: str, code: str) -> None:
    answer = await aws.s3("POST", "/bucket/k?uploads", x_amz_checksum_algorithm=algorithm, x_amz_checksum_type=kind)
    assert answer.code == code


async def test_the_checksum_of_the_whole_is_compared_at_the_end(aws: Caller) -> None:
    upload = await start_upload(aws, x_amz_checksum_algorithm="CRC64NVME")
    done = completion(await put_part(aws, upload, 1, NINE))
    path = f"/bucket/big?uploadId={upload}"
    assert (await aws.s3("POST", path, done, x_amz_checksum_crc64nvme="AAAAAAAAAAA=")).code == "BadDigest"
    assert (await aws.s3("POST", path, done, x_amz_mp_object_size="8")).code == "InvalidRequest"
    answer = await aws.s3("POST", path, done, x_amz_checksum_crc64nvme=CHECKS["crc64nvme"], x_amz_mp_object_size="9")
    assert answer.texts("ChecksumCRC64NVME") == [CHECKS["crc64nvme"]]


async def test_parts_from_another_object_and_parts_by_number(aws: Caller) -> None:
    source = bytes(range(256)) * 4 * 1024 * 6  # 6 MiB
    await aws.s3("PUT", "/far/source", source)
    upload = await start_upload(aws, x_amz_meta_a="b", x_amz_checksum_algorithm="CRC32")
    path = f"/bucket/big?partNumber={{}}&uploadId={upload}"
    first = await aws.s3(
        "PUT", path.format(1), x_amz_copy_source="/far/source", x_amz_copy_source_range=f"bytes=1-{5 * MIB}"
    )
    assert first.texts("ETag") == [f'"{hashlib.md5(source[1 : 5 * MIB + 1], usedforsecurity=False).hexdigest()}"']
    assert first.texts("ChecksumCRC32")
    second = await put_part(aws, upload, 2, b"the end")
    for wrong in ("bytes=5-1", f"bytes=0-{len(source)}", "bytes=0-", "5"):
        answer = await aws.s3("PUT", path.format(3), x_amz_copy_source="/far/source", x_amz_copy_source_range=wrong)
        assert answer.code == "InvalidArgument", wrong
    done = await aws.s3("POST", f"/bucket/big?uploadId={upload}", completion(first.texts("ETag")[0], second))
    assert done.status == 200
    assert (await aws.s3("GET", "/bucket/big")).body == source[1 : 5 * MIB + 1] + b"the end"
    part = await aws.s3("GET", "/bucket/big?partNumber=2")
    assert (part.status, part.body, part.headers["x-amz-mp-parts-count"]) == (206, b"the end", "2")
    assert (await aws.s3("HEAD", "/bucket/big?partNumber=1")).headers["content-length"] == str(5 * MIB)
    assert (await aws.s3("GET", "/bucket/big?partNumber=3")).code == "InvalidPartNumber"
    assert (await aws.s3("GET", "/far/source?partNumber=1")).body == source
    # A copy in one piece has an ETag of its own.
    copied = await aws.s3("PUT", "/far/whole", x_amz_copy_source="bucket/big")
    whole = source[1 : 5 * MIB + 1] + b"the end"
    assert copied.texts("ETag") == [f'"{hashlib.md5(whole, usedforsecurity=False).hexdigest()}"']


async def test_the_conditions_of_a_copy(aws: Caller) -> None:
    etag = (await aws.s3("PUT", "/bucket/k", b"x", x_amz_meta_a="b", x_amz_tagging="t=1")).headers["etag"]
    for condition, code in (
        ({"x_amz_copy_source_if_match": etag}, "ok"),
        ({"x_amz_copy_source_if_match": '"no"'}, "PreconditionFailed"),
        ({"x_amz_copy_source_if_none_match": etag}, "PreconditionFailed"),
        ({"x_amz_copy_source_if_modified_since": "Wed, 01 Jan 2098 00:00:00 GMT"}, "PreconditionFailed"),
        ({"x_amz_copy_source_if_unmodified_since": "Wed, 01 Jan 1998 00:00:00 GMT"}, "PreconditionFailed"),
        ({"x_amz_metadata_directive": "SOME"}, "InvalidArgument"),
        ({"If_None_Match": "*"}, "PreconditionFailed"),
        ({"x_amz_source_expected_bucket_owner": OTHER}, "AccessDenied"),
    ):
        assert (await aws.s3("PUT", "/far/k", b"", x_amz_copy_source="/bucket/k", **condition)).code == code, condition
    got = await aws.s3("GET", "/far/k")
    assert (got.headers["x-amz-meta-a"], got.headers["x-amz-tagging-count"]) == ("b", "1")
    assert (await aws.s3("PUT", "/bucket/k", x_amz_copy_source="/bucket/k")).code == "InvalidRequest"
    assert (await aws.s3("PUT", "/bucket/k", x_amz_copy_source="/bucket/none")).code == "NoSuchKey"
    assert (await aws.s3("PUT", "/bucket/k", x_amz_copy_source="nonsense")).code == "InvalidArgument"


async def test_tags(aws: Caller) -> None:
    await aws.s3("PUT", "/bucket/k", b"x", x_amz_tagging="a=1&b=%20")
    assert (await aws.s3("GET", "/bucket/k?tagging")).texts("TagSet/Tag/Value") == ["1", " "]
    new = b"<Tagging><TagSet><Tag><Key>c</Key><Value>3</Value></Tag></TagSet></Tagging>"
    assert (await aws.s3("PUT", "/bucket/k?tagging", new)).status == 200
    assert (await aws.s3("GET", "/bucket/k?tagging")).texts("TagSet/Tag/Key") == ["c"]
    assert (await aws.s3("DELETE", "/bucket/k?tagging")).status == 204
    assert "x-amz-tagging-count" not in (await aws.s3("HEAD", "/bucket/k")).headers
    assert (await aws.s3("PUT", "/bucket/k", x_amz_tagging="&".join(f"k{n}=1" for n in range(11)))).code == "BadRequest"
    assert (await aws.s3("PUT", "/bucket/k", x_amz_tagging="a=1&a=2")).code == "InvalidTag"
    assert (await aws.s3("PUT", "/bucket/k?tagging", b"<Tagging>")).code == "MalformedXML"


async def test_how_an_object_is_stored(aws: Caller) -> None:
    plain = await aws.s3("PUT", "/bucket/k", b"x", x_amz_acl="bucket-owner-full-control")
    assert plain.headers["x-amz-server-side-encryption"] == "AES256"
    key = "arn:aws:kms:eu-west-1:000000000000:key/1"
    put = await aws.s3(
        "PUT",
        "/bucket/k",
        b"x",
        x_amz_server_side_encryption="aws:kms",
        x_amz_server_side_encryption_aws_kms_key_id=key,
        x_amz_storage_class="STANDARD_IA",
    )
    assert put.headers["x-amz-server-side-encryption-aws-kms-key-id"] == key
    head = await aws.s3("HEAD", "/bucket/k")
    assert head.headers["x-amz-server-side-encryption"] == "aws:kms"
    assert head.headers["x-amz-storage-class"] == "STANDARD_IA"
    assert (await aws.s3("GET", "/bucket?list-type=2")).texts("Contents/StorageClass") == ["STANDARD_IA"]
    copied = await aws.s3("PUT", "/far/k", x_amz_copy_source="/bucket/k")
    assert copied.headers["x-amz-server-side-encryption"] == "AES256"
    assert "x-amz-storage-class" not in (await aws.s3("HEAD", "/far/k")).headers
    for header, value, code in (
        ("x_amz_server_side_encryption", "rot13", "InvalidEncryptionAlgorithmError"),
        ("x_amz_server_side_encryption_customer_algorithm", "AES256", "NotImplemented"),
        ("x_amz_storage_class", "ATTIC", "InvalidStorageClass"),
        ("x_amz_acl", "everybody", "InvalidArgument"),
        ("x_amz_decoded_content_length", "ten", "InvalidArgument"),
    ):
        assert (await aws.s3("PUT", "/bucket/k", b"x", **{header: value})).code == code


async def test_the_owner_of_a_bucket(aws: Caller) -> None:
    assert (await aws.s3("GET", "/")).texts("Buckets/Bucket/Name") == ["bucket", "far"]
    assert (await aws.s3("PUT", "/theirs")).code == "BucketAlreadyExists"
    for owner, status in ((ACCOUNT, 200), (OTHER, 403)):
        assert (await aws.s3("HEAD", "/bucket", x_amz_expected_bucket_owner=owner)).status == status
        assert (await aws.s3("PUT", "/bucket/k", b"x", x_amz_expected_bucket_owner=owner)).status == status
    form = b"Action=AssumeRole&Version=2011-06-15&RoleSessionName=test&RoleArn=arn:aws:iam::111111111111:role/r"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await aws.send("sts", "POST", "/", form, headers)
    key, secret, token = (answer.texts(f".//{name}")[0] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
    other = replace(aws, keys=Keys(key, secret, token))
    assert (await other.s3("GET", "/")).texts("Buckets/Bucket/Name") == ["theirs"]


async def test_conditions_of_reads_and_deletes(aws: Caller) -> None:
    etag = (await aws.s3("PUT", "/far/k", b"x")).headers["etag"]
    future, past = "Wed, 01 Jan 2098 00:00:00 GMT", "Thu, 01 Jan 1998 00:00:00 GMT"
    for conditions, status in (
        ({"If_Modified_Since": future}, 304),
        ({"If_Modified_Since": past}, 200),
        ({"If_Unmodified_Since": past}, 412),
        ({"If_Unmodified_Since": past, "If_Match": etag}, 200),
        ({"If_Modified_Since": future, "If_None_Match": '"no"'}, 200),
        ({"If_Modified_Since": "yesterday"}, 200),
        ({"If_None_Match": f'"no", {etag}'}, 304),
    ):
        assert (await aws.s3("GET", "/far/k", b"", **conditions)).status == status, conditions
    assert (await aws.s3("DELETE", "/far/k", If_Match='"no"')).status == 412
    assert (await aws.s3("DELETE", "/far/k", If_Match=etag)).status == 204
    assert (await aws.s3("DELETE", "/far/k", If_Match=etag)).code == "NoSuchKey"


async def test_what_is_no_uri_or_too_big_a_number(aws: Caller) -> None:
    assert (await aws.s3("GET", "/bucket/%FF%FE")).code == "InvalidURI"
    assert (await aws.s3("GET", "/bucket?max-keys=99999999999999999999")).code == "InvalidArgument"
    assert (await aws.s3("GET", "/bucket?max-keys=%C2%B2")).code == "InvalidArgument"
    await aws.s3("PUT", "/bucket/k", b"x")
    assert (await aws.s3("GET", "/bucket/k", Range=f"bytes=0-{'9' * 18}")).status == 206
    assert (await aws.s3("GET", "/bucket/k", Range=f"bytes=0-{'9' * 30}")).status == 200
