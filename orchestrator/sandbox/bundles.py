"""Would an agent get this bundle? Looked at once for each version of an object, when a deployment of it is created."""

from __future__ import annotations

import asyncio
import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from io import BufferedReader

from orchestrator.sandbox.errors import Json, S3Error
from orchestrator.sandbox.specs import Spec, read_spec
from orchestrator.sandbox.storage import Blob, BlobReader, Storage, Version

_ENTRIES = 200_000
_CHUNK = 1 << 20
_SPEC_LIMIT = 1 << 20
"""Bytes."""
_GZIP = b"\x1f\x8b"


class BundleChecker:
    """Finds what makes DownloadBundle fail."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: dict[tuple[str, str, str, str, str], str | None] = {}

    async def spec(self, revision: Json, platform: str) -> Spec:
        """What the service or an agent finds in it. GitHub revisions are taken as given."""
        if platform == "Server":
            return Spec(await self.problem(revision))
        if (text := revision.get("string") or revision.get("appSpecContent")) is not None:
            if "content" not in text:
                return Spec("The AppSpec is named by its hash, and none with that hash has been registered.")
            return read_spec(text["content"], platform, text.get("sha256"))
        found = self._find(revision["s3Location"])
        if isinstance(found, str):
            return Spec(found)
        if found.body.size > _SPEC_LIMIT:
            return Spec(f"The AppSpec file has more than {_SPEC_LIMIT} bytes")
        return read_spec(b"".join(found.body.chunks(0, found.body.size)).decode("utf-8", "replace"), platform)

    async def problem(self, revision: Json) -> str | None:
        """What the agent would say, or None."""
        location = revision.get("s3Location")
        if location is None:
            return None
        version = self._find(location)
        if isinstance(version, str):
            return version
        bucket, key, kind, blob = location["bucket"], location["key"], location["bundleType"], version.body
        place = (bucket, key, version.id, version.etag, kind)
        if place not in self._known:
            # Reading a big archive takes a moment; other calls go on meanwhile.
            self._known[place] = await asyncio.to_thread(_archive_problem, blob, kind)
        return self._known[place]

    def _find(self, location: Json) -> Version | str:
        """The object, or what is wrong with it."""
        bucket, key = location["bucket"], location["key"]
        try:
            version = self._storage.bucket(bucket).find(key, location.get("version"))
        except S3Error as error:
            return f"{error.message} (s3://{bucket}/{key})"
        expected = location.get("eTag", version.etag)
        if expected != version.etag:
            return f"Expected S3 object s3://{bucket}/{key} to have eTag {expected}, but it has {version.etag}"
        return version


def _archive_problem(blob: Blob, kind: str) -> str | None:
    try:
        with BufferedReader(BlobReader(blob)) as file:
            has_appspec = _has_appspec(_names(file, kind))
    except (OSError, EOFError, ValueError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        return f"The bundle can't be unpacked as {kind}: {error}"
    if not has_appspec:
        return (
            "The CodeDeploy agent did not find an AppSpec file within the unpacked revision directory at "
            'revision-relative path "appspec.yml".'
        )
    return None


def _names(file: BufferedReader[BlobReader], kind: str) -> list[str]:
    if kind == "zip":
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    # tar itself recognises gzip, whatever the type says; a plain tar that is called tgz fails.
    if kind == "tgz" or file.peek(2)[:2] == _GZIP:
        with gzip.GzipFile(fileobj=file) as unzipped:
            names = _tar_names(unzipped)
            while unzipped.read(_CHUNK):  # to the end: tarfile alone takes a gzip that is cut off for a shorter one
                pass
            return names
    return _tar_names(file)


def _tar_names(file: gzip.GzipFile | BufferedReader[BlobReader]) -> list[str]:
    names: list[str] = []
    with tarfile.open(fileobj=file, mode="r|") as archive:
        for member in archive:
            if len(names) >= _ENTRIES:
                raise ValueError(f"more than {_ENTRIES} entries")
            names.append(member.name)
    return names


def _has_appspec(names: Iterable[str]) -> bool:
    """At the root, or in the only folder there (the agent then leaves that level out)."""
    folders: set[str] = set()
    nested = False
    for name in names:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if parts == ["appspec.yml"]:
            return True
        folders.update(parts[:1])
        nested = nested or (len(parts) == 2 and parts[1] == "appspec.yml")
    return nested and len(folders) == 1
