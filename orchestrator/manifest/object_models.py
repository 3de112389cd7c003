"""How the archives of sources are stored in their bucket."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from orchestrator.core import storing
from orchestrator.manifest.fields import TEMPLATED, Boolean, Schema, Text, fitting
from orchestrator.manifest.gate_models import Strict

Encryption = Annotated[Literal["AES256", "aws:kms", "aws:kms:dsse"], TEMPLATED]
StorageClass = Annotated[
    str,
    AfterValidator(fitting(storing.storage_class_misfit)),
    Schema({"type": "string", "enum": list(storing.STORAGE_CLASSES)}, templated=True),
]
Acl = Annotated[
    str,
    AfterValidator(fitting(storing.acl_misfit)),
    Schema({"type": "string", "enum": list(storing.ACLS)}, templated=True),
]
Account = Annotated[
    str,
    AfterValidator(fitting(storing.owner_misfit)),
    Schema({"type": "string", "pattern": r"^\d{12}$"}, templated=True),
]
Tagging = Annotated[dict[Text, str], AfterValidator(fitting(storing.tagging_misfit))]


class StoredObject(Strict):
    """Settings of S3's, by its own names; what isn't set isn't sent, so that the bucket's own settings hold."""

    expected_bucket_owner: Account | None = Field(
        default=None, description="The account that the bucket must belong to: S3 refuses all calls when it doesn't."
    )
    server_side_encryption: Encryption | None = Field(
        default=None, description="How S3 encrypts the archives; as the bucket says when left out."
    )
    sse_kms_key_id: Text | None = Field(
        default=None, description="The KMS key (id, ARN or alias ARN) to encrypt with; means aws:kms when left at that."
    )
    bucket_key_enabled: Boolean | None = Field(
        default=None, description="true: S3 encrypts with a bucket key, which saves calls to KMS."
    )
    acl: Acl | None = Field(default=None, description="The canned ACL of the archives.")
    storage_class: StorageClass | None = Field(default=None, description="The storage class of the archives.")
    tagging: Tagging | None = Field(default=None, description="Tags of the archives, at most 10.")
