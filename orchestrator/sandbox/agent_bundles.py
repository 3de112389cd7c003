"""Where the agents of a sandbox get their bundles: its own S3, and local clones in place of GitHub."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import anyio.to_thread

from orchestrator.sandbox.agent.bundles import Bundle
from orchestrator.sandbox.agent.faults import AgentError
from orchestrator.sandbox.errors import Json, S3Error
from orchestrator.sandbox.storage import Storage

_CHUNK = 1 << 20
_APPSPEC = b"version: 0.0\nos: linux\n"
_GIT = 60.0
"""Seconds that git may take to find a commit."""


class SandboxBundles:
    """Implements the agent's `Bundles`.

    `repositories`: GitHub's owner/name -> a local clone; None: an empty bundle stands in for whatever is on GitHub.
    """

    def __init__(self, storage: Storage, repositories: Mapping[str, Path] | None) -> None:
        self._storage = storage
        self._has_stand_ins = repositories is None
        self._repositories = {name.lower(): path for name, path in (repositories or {}).items()}

    async def fetch(self, revision: Json) -> Bundle:
        if (location := revision.get("s3Location")) is not None:
            return self._from_s3(location)
        if (location := revision.get("gitHubLocation")) is not None:
            return await anyio.to_thread.run_sync(partial(self._from_clone, location))
        raise AgentError(f"Unknown revision type {revision.get('revisionType')!r}")

    def _from_s3(self, location: Json) -> Bundle:
        bucket, key = location["bucket"], location["key"]
        try:
            version = self._storage.bucket(bucket).find(key, location.get("version"))
            body = version.body
        except S3Error as error:
            raise AgentError(f"{error.message} (s3://{bucket}/{key})") from error
        expected = location.get("eTag")
        if expected is not None and expected.replace('"', "") != version.etag:
            raise AgentError(
                f"Expected deployment artifact bundle etag {expected} but was actually {version.etag} "
                f"(s3://{bucket}/{key})"
            )
        return Bundle(kind=location["bundleType"], chunks=lambda: body.chunks(0, body.size))

    def _from_clone(self, location: Json) -> Bundle:
        """As GitHub's tarball has it: everything in one folder at the top."""
        repository, commit = location["repository"], location["commitId"]
        clone = self._repositories.get(repository.lower())
        if clone is None and self._has_stand_ins:
            return Bundle(kind="tar", chunks=lambda: (_empty_bundle(),))
        if clone is None:
            raise AgentError(
                f"there is no local clone of {repository}: name one under `repositories` in the fleet file (--fleet)"
            )
        find = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}"]
        try:
            found = subprocess.run(_git(clone, *find), capture_output=True, text=True, timeout=_GIT, check=False)  # noqa: S603 - no shell, and the commit is behind --end-of-options
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AgentError(f"git can't be run in {clone}: {error}") from error
        if found.returncode:
            raise AgentError(
                f"Could not download bundle: {repository} has no commit {commit} in {clone}{_said(found.stderr)}"
            )
        full = found.stdout.strip()
        prefix = f"{repository.replace('/', '-')}-{full[:7]}/"
        return Bundle(
            kind="tar", chunks=partial(_archive, _git(clone, "archive", "--format=tar", f"--prefix={prefix}", full))
        )


def _empty_bundle() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        appspec = tarfile.TarInfo("appspec.yml")
        appspec.size = len(_APPSPEC)
        archive.addfile(appspec, io.BytesIO(_APPSPEC))
    return content.getvalue()


def _git(clone: Path, *arguments: str) -> list[str]:
    return ["git", "-C", str(clone), *arguments]


def _said(stderr: str) -> str:
    return f": {stderr.strip()}" if stderr.strip() else ""


def _archive(command: list[str]) -> Iterator[bytes]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as git:  # noqa: S603 - as above
        if git.stdout is not None:
            while chunk := git.stdout.read(_CHUNK):
                yield chunk
    if git.returncode:
        raise AgentError(f"git archive ended with code {git.returncode}")
