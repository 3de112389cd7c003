"""What an object has besides its body: metadata, encryption, storage class and tags, from the headers of its upload."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping

from orchestrator.sandbox.errors import S3Error

_KEPT = ("content-type", "content-encoding", "content-disposition", "content-language", "cache-control", "expires")
_METADATA_LIMIT = 2048
_TAGS, _TAG_KEY, _TAG_VALUE = 10, 128, 256
ENCRYPTION = "x-amz-server-side-encryption"
_KEY_ID = f"{ENCRYPTION}-aws-kms-key-id"
_BUCKET_KEY = f"{ENCRYPTION}-bucket-key-enabled"
STORAGE_CLASS = "x-amz-storage-class"
_CLASSES = frozenset(
    {
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "GLACIER_IR",
        "DEEP_ARCHIVE",
    }
)
_ACLS = frozenset(
    {
        "private",
        "public-read",
        "public-read-write",
        "authenticated-read",
        "aws-exec-read",
        "bucket-owner-read",
        "bucket-owner-full-control",
    }
)


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What GetObject gives back of what PutObject was sent. Raises `S3Error`."""
    kept = {name.title(): headers[name] for name in _KEPT if name in headers}
    encodings = [one.strip() for one in kept.pop("Content-Encoding", "").split(",")]
    if encoding := ",".join(one for one in encodings if one not in ("", "aws-chunked")):
        kept["Content-Encoding"] = encoding
    kept.setdefault("Content-Type", "binary/octet-stream")
    metadata = {name.lower(): value for name, value in headers.items() if name.lower().startswith("x-amz-meta-")}
    if sum(len(name) + len(value) for name, value in metadata.items()) > _METADATA_LIMIT:
        raise S3Error("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size.", status=400)
    return {**kept, **metadata, **stored_headers(headers)}


def stored_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """How the object is stored: encryption, which every object has, and storage class. Raises `S3Error`."""
    if acl := headers.get("x-amz-acl"):
        _check("x-amz-acl", acl, _ACLS)
    storage = headers.get(STORAGE_CLASS, "STANDARD")
    _check(STORAGE_CLASS, storage, _CLASSES, code="InvalidStorageClass")
    kept = {} if storage == "STANDARD" else {STORAGE_CLASS: storage}
    return {**kept, **_encryption(headers)}


def _encryption(headers: Mapping[str, str]) -> dict[str, str]:
    if f"{ENCRYPTION}-customer-algorithm" in headers:
        raise S3Error("NotImplemented", "keys of the customer's (SSE-C) are not available in the sandbox", status=501)
    method = headers.get(ENCRYPTION, "AES256")
    if method not in ("AES256", "aws:kms", "aws:kms:dsse"):
        raise S3Error(
            "InvalidEncryptionAlgorithmError", f"The encryption method {method!r} isn't supported", status=400
        )
    if method == "AES256":
        return {ENCRYPTION: method}
    kept = {name: headers[name] for name in (_KEY_ID, _BUCKET_KEY) if name in headers}
    return {ENCRYPTION: method, **kept}


def encryption_of(kept: Mapping[str, str]) -> dict[str, str]:
    """The part of the kept headers that a write answers with."""
    return {name: value for name, value in kept.items() if name.startswith(ENCRYPTION)}


def tags_of_header(value: str | None) -> dict[str, str]:
    """`x-amz-tagging: a=b&c=d`. Raises `S3Error`."""
    if not value:
        return {}
    return check_tags(urllib.parse.parse_qsl(value, keep_blank_values=True))


def check_tags(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Raises `S3Error`."""
    tags = dict(pairs)
    if len(tags) != len(pairs) or any(not 1 <= len(key) <= _TAG_KEY or len(tags[key]) > _TAG_VALUE for key in tags):
        raise S3Error(
            "InvalidTag", f"A tag's key has 1–{_TAG_KEY} characters, is there once, its value {_TAG_VALUE}", status=400
        )
    if len(tags) > _TAGS:
        raise S3Error("BadRequest", f"Object tags cannot be greater than {_TAGS}", status=400)
    return tags


def _check(name: str, value: str, allowed: frozenset[str], *, code: str = "InvalidArgument") -> None:
    if value not in allowed:
        raise S3Error(code, f"{name} {value!r} is none of {', '.join(sorted(allowed))}", status=400)
