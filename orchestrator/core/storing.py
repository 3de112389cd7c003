"""What S3 takes as settings of an object, as far as it can be known without asking (API model and user guide of S3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestrator.core.model import ObjectSettings

ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")
ACLS = (
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
)
STORAGE_CLASSES = (
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "REDUCED_REDUNDANCY",
)
"""Those that an instance can download from at once: GLACIER and DEEP_ARCHIVE have to be restored first."""
TAGS_MAX = 10
TAG_KEY_MAX = 128
TAG_VALUE_MAX = 256
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Misfit:
    """What S3 would refuse."""

    setting: str
    """A name of `ObjectSettings`."""
    message: str
    hint: str


def storage_class_misfit(value: str) -> Misfit | None:
    if value in STORAGE_CLASSES:
        return None
    archived = value in {"GLACIER", "DEEP_ARCHIVE"}
    why = "has to be restored before an instance can download it" if archived else "is no storage class for bundles"
    return Misfit("storage_class", f"{value} {why}", f"there are {', '.join(STORAGE_CLASSES)}")


def owner_misfit(value: str) -> Misfit | None:
    if _ACCOUNT.fullmatch(value):
        return None
    return Misfit("expected_bucket_owner", f"{value!r} is not an account", "its id, 12 digits, in quotes")


def acl_misfit(value: str) -> Misfit | None:
    if value in ACLS:
        return None
    return Misfit("acl", f"{value!r} is no canned ACL", f"there are {', '.join(ACLS)}")


def tagging_misfit(tags: Mapping[str, str]) -> Misfit | None:
    if len(tags) > TAGS_MAX:
        return Misfit("tagging", f"{len(tags)} tags, and S3 takes {TAGS_MAX}", "leave some out")
    for key, value in tags.items():
        if not 1 <= len(key) <= TAG_KEY_MAX or len(value) > TAG_VALUE_MAX:
            hint = f"S3 takes keys of 1 to {TAG_KEY_MAX} characters and values of at most {TAG_VALUE_MAX}"
            return Misfit("tagging", f"the tag {key[:40]!r} is too long or has no name", hint)
        if key.lower().startswith("aws:"):
            return Misfit("tagging", f"the tag {key!r} begins with aws:", "such tags are AWS's own; name it otherwise")
    return None


def misfit_of(settings: ObjectSettings) -> Misfit | None:
    """Of settings that don't go together."""
    encryption = settings.server_side_encryption
    if settings.sse_kms_key_id is not None and encryption == "AES256":
        hint = "leave server_side_encryption out, or say aws:kms"
        return Misfit("sse_kms_key_id", "a key of KMS means nothing with AES256", hint)
    if settings.bucket_key_enabled is not None and encryption in {"AES256", "aws:kms:dsse"}:
        hint = "leave it out, or say server_side_encryption: aws:kms"
        return Misfit("bucket_key_enabled", f"bucket keys mean nothing with {encryption}", hint)
    return None


def completed(settings: ObjectSettings) -> ObjectSettings:
    """With what is meant and not said: a key of KMS means encryption by KMS."""
    if settings.sse_kms_key_id is not None and settings.server_side_encryption is None:
        return replace(settings, server_side_encryption="aws:kms")
    return settings
