"""How an object is to be stored, as the parameters of S3's operations."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from orchestrator.core.model import ObjectSettings

_NAMES = {
    "server_side_encryption": "ServerSideEncryption",
    "sse_kms_key_id": "SSEKMSKeyId",
    "bucket_key_enabled": "BucketKeyEnabled",
    "acl": "ACL",
    "storage_class": "StorageClass",
}


def owner(settings: ObjectSettings) -> dict[str, Any]:
    """For every operation."""
    return {} if settings.expected_bucket_owner is None else {"ExpectedBucketOwner": settings.expected_bucket_owner}


def storing(settings: ObjectSettings) -> dict[str, Any]:
    """For PutObject, CreateMultipartUpload and CopyObject."""
    parameters: dict[str, Any] = owner(settings)
    for name, parameter in _NAMES.items():
        if (value := getattr(settings, name)) is not None:
            parameters[parameter] = value
    if settings.tagging:
        parameters["Tagging"] = urlencode(settings.tagging)
    return parameters
