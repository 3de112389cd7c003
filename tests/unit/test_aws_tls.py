"""What goes over TLS, as the server sees it: S3 is asked to verify a CRC32, and nobody hashes the body besides."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from benchmarks.slow_s3 import certificate
from memory_s3 import crc_of

from orchestrator.aws import AwsSession
from orchestrator.core.model import Location

pytestmark = pytest.mark.anyio

HERE = Location(region="eu-west-1")
BODY = bytes(range(256)) * 4000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def secure_server(folder: Path, heads: list[dict[str, str]], bodies: list[bytes]) -> AsyncIterator[str]:
    """Takes requests with a Content-Length and answers each at its end; gives its URL."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode().split("\r\n")[1:-2]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            if headers.get("expect") == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            heads.append(headers)
            bodies.append(await reader.readexactly(int(headers["content-length"])))
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "abc"\r\nConnection: close\r\n\r\n')
            writer.close()
            return

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(folder))
    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("operation", "more", "expects"),
    [("PutObject", {}, "100-continue"), ("UploadPart", {"UploadId": "u", "PartNumber": 1}, None)],
)
async def test_a_body_is_checked_by_its_crc_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, more: dict[str, object], expects: str | None
) -> None:
    heads: list[dict[str, str]] = []
    bodies: list[bytes] = []
    async with secure_server(tmp_path, heads, bodies) as url:
        environment = {
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_CA_BUNDLE": str(tmp_path / "certificate.pem"),
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_CONFIG_FILE": "/dev/null",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with anyio.fail_after(20):
            async with AwsSession() as session:
                parameters = {"Bucket": "b", "Key": "k", "Body": BODY, "ChecksumCRC32": crc_of(BODY), **more}
                await session.call("s3", HERE, operation, parameters)
    assert bodies == [BODY]
    (head,) = heads
    assert head["x-amz-checksum-crc32"] == crc_of(BODY)
    assert head["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert "x-amz-checksum-crc32" in head["authorization"]  # signed, so nobody can change it on the way
    assert head.get("expect") == expects
    assert "transfer-encoding" not in head
