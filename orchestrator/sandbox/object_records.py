"""How buckets, versions of objects and unfinished uploads get into the ledger, and out again.

Bodies are files beside the ledger; a record names the files by their names only, so that the folder can be moved.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.home import Ledger
from orchestrator.sandbox.plain import from_plain, to_plain
from orchestrator.sandbox.storage import Blob, Bucket, Part, Piece, Upload, Version

_SEPARATOR = "\n"


class ObjectRecords:
    """Each method notes a change of what it is given."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def keep_bucket(self, bucket: Bucket) -> None:
        self._ledger.note("bucket", bucket.name, lambda: to_plain(bucket))

    def drop_bucket(self, bucket: Bucket) -> None:
        self._ledger.forget("bucket", bucket.name)

    def keep_version(self, bucket: Bucket, version: Version) -> None:
        self._ledger.note(
            "object", _version_key(bucket, version), lambda: {**to_plain(version), **_place(bucket, version.blob)}
        )

    def drop_version(self, bucket: Bucket, version: Version) -> None:
        self._ledger.forget("object", _version_key(bucket, version))

    def keep_upload(self, bucket: Bucket, upload: Upload) -> None:
        self._ledger.note("upload", upload.id, lambda: {**to_plain(upload), "bucket": bucket.name})

    def drop_upload(self, upload: Upload) -> None:
        self._ledger.forget("upload", upload.id)
        for number in upload.parts:
            self._ledger.forget("part", _part_key(upload, number))

    def keep_part(self, bucket: Bucket, upload: Upload, part: Part) -> None:
        self._ledger.note(
            "part",
            _part_key(upload, part.number),
            lambda: {**to_plain(part), "upload": upload.id, **_place(bucket, part.blob)},
        )


def restore_objects(ledger: Ledger, folder: Path) -> dict[str, Bucket]:
    """All buckets. Files in the folder that nothing refers to are removed: their writer was cut off."""
    buckets = {name: from_plain(Bucket, data) for name, data in ledger.records("bucket")}
    known: set[str] = set()
    for _, data in ledger.records("object"):
        version = from_plain(Version, data, blob=_blob(data, folder, known))
        buckets[data["bucket"]].objects.setdefault(version.key, []).append(version)
    for upload_id, data in ledger.records("upload"):
        buckets[data["bucket"]].uploads[upload_id] = from_plain(Upload, data)
    for _, data in ledger.records("part"):
        part = from_plain(Part, data, blob=_blob(data, folder, known))
        buckets[data["bucket"]].uploads[data["upload"]].parts[part.number] = part
    for path in folder.iterdir():
        if path.name not in known:
            path.unlink()
    return buckets


def _place(bucket: Bucket, blob: Blob | None) -> Json:
    pieces = [[piece.size, piece.path.name if piece.path else ""] for piece in blob.pieces] if blob else None
    return {"bucket": bucket.name, "pieces": pieces}


def _blob(data: Json, folder: Path, known: set[str]) -> Blob | None:
    if data["pieces"] is None:
        return None
    known.update(name for _, name in data["pieces"])
    return Blob(tuple(Piece(size, path=folder / name if name else None) for size, name in data["pieces"]))


def _version_key(bucket: Bucket, version: Version) -> str:
    return _SEPARATOR.join((bucket.name, version.id, version.key))


def _part_key(upload: Upload, number: int) -> str:
    return f"{upload.id}{_SEPARATOR}{number}"
