"""S3's operations on the tags of objects."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.sandbox.s3_attributes import check_tags
from orchestrator.sandbox.s3_common import NAMESPACE, Call, read_xml, version_headers
from orchestrator.sandbox.wire import Answer, text, xml, xml_answer


def get_object_tagging(call: Call) -> Answer:
    bucket = call.found_bucket()
    version = bucket.find(call.key, call.query.get("versionId"))
    tags = [xml("Tag", text("Key", key), text("Value", value)) for key, value in sorted(version.tags.items())]
    return xml_answer(
        xml("Tagging", xml("TagSet", *tags), namespace=NAMESPACE), headers=version_headers(bucket, version)
    )


async def put_object_tagging(call: Call) -> Answer:
    document = await read_xml(call.request, "Tagging")
    pairs = [(one.findtext("Key") or "", one.findtext("Value") or "") for one in document.iterfind("TagSet/Tag")]
    return _set(call, check_tags(pairs), 200)


def delete_object_tagging(call: Call) -> Answer:
    return _set(call, {}, 204)


def _set(call: Call, tags: dict[str, str], status: int) -> Answer:
    bucket = call.found_bucket()
    version = bucket.find(call.key, call.query.get("versionId"))
    call.storage.replace(bucket, version, replace(version, tags=tags))
    return Answer(status=status, headers=version_headers(bucket, version))
