"""S3's front: which operation a request is, and errors as S3 words them. Path style only."""

from __future__ import annotations

import inspect
import re
import uuid
from collections.abc import Mapping
from urllib.parse import quote

from orchestrator.sandbox import s3_buckets, s3_copies, s3_multipart, s3_objects, s3_tagging
from orchestrator.sandbox.errors import S3Error
from orchestrator.sandbox.s3_common import Call, Handler
from orchestrator.sandbox.storage import Storage
from orchestrator.sandbox.wire import Answer, Request, text, xml, xml_answer

_SERVICE: Mapping[tuple[str, str], tuple[str, Handler]] = {("GET", ""): ("ListBuckets", s3_buckets.list_buckets)}
_BUCKET: Mapping[tuple[str, str], tuple[str, Handler]] = {
    ("PUT", ""): ("CreateBucket", s3_buckets.create_bucket),
    ("HEAD", ""): ("HeadBucket", s3_buckets.head_bucket),
    ("DELETE", ""): ("DeleteBucket", s3_buckets.delete_bucket),
    ("GET", "location"): ("GetBucketLocation", s3_buckets.get_bucket_location),
    ("GET", "versioning"): ("GetBucketVersioning", s3_buckets.get_bucket_versioning),
    ("PUT", "versioning"): ("PutBucketVersioning", s3_buckets.put_bucket_versioning),
    ("GET", "list-type"): ("ListObjectsV2", s3_buckets.list_objects_v2),
    ("GET", ""): ("ListObjects", s3_buckets.list_objects),
    ("GET", "versions"): ("ListObjectVersions", s3_buckets.list_object_versions),
    ("GET", "uploads"): ("ListMultipartUploads", s3_multipart.list_multipart_uploads),
    ("POST", "delete"): ("DeleteObjects", s3_objects.delete_objects),
}
_OBJECT: Mapping[tuple[str, str], tuple[str, Handler]] = {
    ("PUT", ""): ("PutObject", s3_objects.put_object),
    ("PUT", "copy"): ("CopyObject", s3_copies.copy_object),
    ("PUT", "copy-part"): ("UploadPartCopy", s3_copies.upload_part_copy),
    ("GET", "tagging"): ("GetObjectTagging", s3_tagging.get_object_tagging),
    ("PUT", "tagging"): ("PutObjectTagging", s3_tagging.put_object_tagging),
    ("DELETE", "tagging"): ("DeleteObjectTagging", s3_tagging.delete_object_tagging),
    ("GET", ""): ("GetObject", s3_objects.get_object),
    ("HEAD", ""): ("HeadObject", s3_objects.head_object),
    ("DELETE", ""): ("DeleteObject", s3_objects.delete_object),
    ("POST", "uploads"): ("CreateMultipartUpload", s3_multipart.create_multipart_upload),
    ("PUT", "uploadId"): ("UploadPart", s3_multipart.upload_part),
    ("POST", "uploadId"): ("CompleteMultipartUpload", s3_multipart.complete_multipart_upload),
    ("DELETE", "uploadId"): ("AbortMultipartUpload", s3_multipart.abort_multipart_upload),
    ("GET", "uploadId"): ("ListParts", s3_multipart.list_parts),
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FLAGS = ("location", "versioning", "list-type", "versions", "uploads", "delete", "uploadId", "tagging")
_RESPONSE = frozenset(
    f"response-{name}"
    for name in (
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    )
)
_PARAMETERS = frozenset(
    {
        "bucket-region",
        "continuation-token",
        "delimiter",
        "encoding-type",
        "fetch-owner",
        "key-marker",
        "marker",
        "max-buckets",
        "max-keys",
        "max-parts",
        "max-uploads",
        "part-number-marker",
        "partNumber",
        "prefix",
        "start-after",
        "upload-id-marker",
        "version-id-marker",
        "versionId",
        "x-id",
    }
)


def operation_of(method: str, bucket: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """The name of the operation, or of the request for one that the sandbox lacks."""
    found = _find(method, bucket, key, query, headers)
    return found[0] if found else f"{method} {'object' if key else 'bucket' if bucket else 'service'}"


async def call(storage: Storage, request: Request) -> Answer:
    """Raises `S3Error`."""
    bucket, key = split_path(request.path)
    found = _find(request.method, bucket, key, request.query, request.headers)
    unknown = [name for name in request.query if not _is_known(name)]
    if found is None or unknown:
        what = f"?{', '.join(unknown)}" if unknown else f"this {request.method} request"
        raise S3Error("NotImplemented", f"{what} is not available in the sandbox", status=501)
    for name, value in request.query.items():
        if (name == "versionId" or name.startswith("response-")) and _CONTROL.search(value):
            raise S3Error("InvalidArgument", f"{name} {value!r} can't be part of a header", status=400)
    answer = found[1](Call(request=request, storage=storage, bucket=bucket, key=key))
    if inspect.isawaitable(answer):
        answer = await answer
    return answer


def split_path(path: str) -> tuple[str, str]:
    bucket, _, key = path.lstrip("/").partition("/")
    return bucket, key


def error_answer(error: S3Error, path: str) -> Answer:
    if error.status == 304:
        return Answer(status=304)
    content = text("Code", error.code) + text("Message", error.message) + text("Resource", quote(path))
    return xml_answer(xml("Error", content, text("RequestId", uuid.uuid4().hex[:16].upper())), status=error.status)


def _find(
    method: str, bucket: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> tuple[str, Handler] | None:
    flags = [flag for flag in _FLAGS if flag in query]
    flag = flags[0] if flags else ""
    if "x-amz-copy-source" in headers:
        flag = {"": "copy", "uploadId": "copy-part"}.get(flag, flag)
    table = _OBJECT if key else _BUCKET if bucket else _SERVICE
    return table.get((method, flag))


def _is_known(name: str) -> bool:
    return name in _PARAMETERS or name in _FLAGS or name in _RESPONSE or name.startswith("X-Amz-")
