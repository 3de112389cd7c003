"""The HTTP side of the sandbox, on aiohttp: which service a request is for, who calls, and what faults befall it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import socket
import struct
import urllib.parse
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from aiohttp import ClientPayloadError, web

from orchestrator.sandbox import cloudwatch, s3, sts
from orchestrator.sandbox.codedeploy import CodeDeploy
from orchestrator.sandbox.control import PREFIX, Control, ControlError
from orchestrator.sandbox.errors import S3Error, ServiceError
from orchestrator.sandbox.home import HomeError, Ledger
from orchestrator.sandbox.identity import Keyring, Scope
from orchestrator.sandbox.injector import Injector
from orchestrator.sandbox.inspection import Calls
from orchestrator.sandbox.options import Service
from orchestrator.sandbox.signature import PAYLOADS, UNSIGNED, AuthError, Parts, read_claim
from orchestrator.sandbox.storage import Blob, Storage
from orchestrator.sandbox.wire import Answer, Request

_TARGET_PREFIX = "CodeDeploy_20141006."
_JSON = "application/x-amz-json-1.1"
_PAYLOAD = re.compile(rf"[0-9a-fA-F]{{64}}|{'|'.join(PAYLOADS)}")
_BODY_LIMIT = 1024**2
"""Bytes of a request to CodeDeploy or STS."""

_JSON_AUTH = {
    "missing": "MissingAuthenticationTokenException",
    "malformed": "IncompleteSignatureException",
    "unknown": "UnrecognizedClientException",
    "token": "UnrecognizedClientException",
    "expired": "ExpiredTokenException",
    "signature": "InvalidSignatureException",
    "skewed": "InvalidSignatureException",
    "outdated": "InvalidSignatureException",
    "unsigned": "InvalidSignatureException",
    "old": "IncompleteSignatureException",
}
_STS_AUTH = {
    "missing": "MissingAuthenticationToken",
    "malformed": "IncompleteSignature",
    "unknown": "InvalidClientTokenId",
    "token": "InvalidClientTokenId",
    "expired": "ExpiredToken",
    "signature": "SignatureDoesNotMatch",
    "skewed": "SignatureDoesNotMatch",
    "outdated": "SignatureDoesNotMatch",
    "unsigned": "SignatureDoesNotMatch",
    "old": "IncompleteSignature",
}
_S3_AUTH = {
    "missing": ("AccessDenied", 403),
    "malformed": ("AuthorizationHeaderMalformed", 400),
    "unknown": ("InvalidAccessKeyId", 403),
    "token": ("InvalidToken", 400),
    "expired": ("ExpiredToken", 400),
    "signature": ("SignatureDoesNotMatch", 403),
    "skewed": ("RequestTimeTooSkewed", 403),
    "outdated": ("AccessDenied", 403),
    "unsigned": ("AccessDenied", 403),
    "old": ("InvalidRequest", 400),
}


@dataclass(slots=True)
class _Exchange:
    """One request on its way through."""

    request: web.BaseRequest
    service: Service
    operation: str
    loses_answer: bool = False


class Front:
    """Handles every request of the one port."""

    def __init__(
        self,
        *,
        codedeploy: CodeDeploy,
        storage: Storage,
        keyring: Keyring,
        injector: Injector,
        calls: Calls,
        control: Control,
        clock: Callable[[], float],
        ledger: Ledger,
    ) -> None:
        self._codedeploy = codedeploy
        self._storage = storage
        self._keyring = keyring
        self._injector = injector
        self._calls = calls
        self._control = control
        self._clock = clock
        self._ledger = ledger

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._dispatch(request)
        except (ConnectionError, ClientPayloadError):
            # The client left in the middle of a body: nobody is there to be answered, and nothing was stored.
            return web.Response(status=400)

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        target = request.headers.get("X-Amz-Target")
        if target is not None:
            # The target of any other service stays whole: CodeDeploy then says that it knows no such operation.
            exchange = _Exchange(request, "codedeploy", target.removeprefix(_TARGET_PREFIX))
            return await self._suffer(exchange) or await self._codedeploy_answer(exchange)
        path, _, query_string = request.raw_path.partition("?")
        if path.startswith(PREFIX):
            return await self._control_answer(request, path)
        query = dict(urllib.parse.parse_qsl(query_string, keep_blank_values=True))
        if request.method == "POST" and path == "/" and not query:
            return await self._query_answer(request)
        try:
            path = urllib.parse.unquote(path, errors="strict")
        except UnicodeDecodeError:
            refusal = s3.error_answer(S3Error("InvalidURI", "Couldn't parse the specified URI.", status=400), "/")
            return _s3_response(request, refusal)
        operation = s3.operation_of(request.method, *s3.split_path(path), query, request.headers)
        exchange = _Exchange(request, "s3", operation)
        return await self._suffer(exchange) or await self._s3_answer(exchange, path, query)

    async def _codedeploy_answer(self, exchange: _Exchange) -> web.StreamResponse:
        try:
            body = await _read(exchange.request)
            now = self._clock()
            scope = self._authenticate(exchange.request, "codedeploy", now, payload=hashlib.sha256(body).hexdigest())
            self._injector.check_rate((scope.identity.account, scope.region), exchange.operation, now)
            answer = await self._codedeploy.call(exchange.operation, body, scope, now)
            self._ledger.flush()
            outcome, status = "ok", 200
        except AuthError as error:
            outcome, status = _JSON_AUTH[error.kind], 400
            answer = _json_error(outcome, error.message)
        except ServiceError as error:
            outcome, status = error.code, error.status
            answer = _json_error(error.code, error.message)
        except HomeError as error:
            outcome, status = "ServiceUnavailable", 503
            answer = _json_error(outcome, str(error))
        headers = {"x-amzn-RequestId": str(uuid.uuid4()), "Content-Type": _JSON}
        return self._finish(exchange, outcome, web.Response(body=answer, status=status, headers=headers))

    async def _query_answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """STS and CloudWatch, which take forms."""
        exchange = _Exchange(request, "sts", "unknown")
        try:
            body = await _read(request)
            form = dict(urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
            exchange.operation = form.get("Action", "unknown")
            if exchange.operation == cloudwatch.OPERATION:
                exchange.service = "monitoring"
            if (fate := await self._suffer(exchange)) is not None:
                return fate
            now = self._clock()
            scope = self._authenticate(request, exchange.service, now, payload=hashlib.sha256(body).hexdigest())
            if exchange.service == "monitoring":
                answer = cloudwatch.call(self._codedeploy.alarms, form)
            else:
                answer = sts.call(self._keyring, scope.identity, form, now)
            self._ledger.flush()
            outcome = "ok"
        except AuthError as error:
            outcome = _STS_AUTH[error.kind]
            answer = sts.error_answer(ServiceError(outcome, error.message, status=403))
        except HomeError as error:
            outcome = "ServiceUnavailable"
            answer = sts.error_answer(ServiceError(outcome, str(error), status=503))
        except ServiceError as error:
            outcome = error.code
            answer = sts.error_answer(error)
        response = web.Response(body=answer.body, status=answer.status, headers=answer.headers)
        return self._finish(exchange, outcome, response)

    async def _control_answer(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """Control suffers no faults."""
        try:
            digest = hashlib.sha256(await _read(request)).hexdigest()
            self._authenticate(request, "sandbox", self._clock(), payload=digest)
            answer, status = await self._control.answer(request.method, path), 200
            self._ledger.flush()
        except AuthError as error:
            answer, status = {"error": error.message}, 403
        except ControlError as error:
            answer, status = {"error": error.message}, error.status
        except ServiceError as error:
            answer, status = {"error": error.message}, error.status
        except HomeError as error:
            answer, status = {"error": str(error)}, 503
        return web.json_response(answer, status=status)

    async def _s3_answer(self, exchange: _Exchange, path: str, query: dict[str, str]) -> web.StreamResponse:
        request = exchange.request
        try:
            now = self._clock()
            scope = self._authenticate(request, "s3", now, query, payload=_s3_payload(request, query))
            if request.headers.get("Expect", "").lower() == "100-continue":
                await _send_continue(request)
            answer = await s3.call(
                self._storage,
                Request(
                    method=request.method,
                    path=path,
                    query=query,
                    headers=request.headers,
                    scope=scope,
                    now=now,
                    body=_pieces(request),
                ),
            )
            self._ledger.flush()
            outcome = "ok"
        except HomeError as error:
            outcome = "ServiceUnavailable"
            answer = s3.error_answer(S3Error(outcome, str(error), status=503), path)
        except AuthError as error:
            outcome, status = _S3_AUTH[error.kind]
            if error.kind == "malformed" and "Authorization" not in request.headers:
                outcome = "AuthorizationQueryParametersError"
            answer = s3.error_answer(S3Error(outcome, error.message, status=status), path)
        except S3Error as error:
            outcome = error.code
            answer = s3.error_answer(error, path)
        answer.headers["x-amz-request-id"] = uuid.uuid4().hex[:16].upper()
        if answer.blob is not None and request.method != "HEAD" and not exchange.loses_answer:
            return await self._stream(exchange, answer, answer.blob)
        return self._finish(exchange, outcome, _s3_response(request, answer))

    async def _stream(self, exchange: _Exchange, answer: Answer, blob: Blob) -> web.StreamResponse:
        """A body piece by piece."""
        self._calls.add("s3", exchange.operation, "ok")
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.content_length = answer.length
        await response.prepare(exchange.request)
        for chunk in blob.chunks(answer.start, answer.length):
            await response.write(chunk)
        await response.write_eof()
        return response

    def _authenticate(
        self,
        request: web.BaseRequest,
        service: Service | Literal["sandbox"],
        now: float,
        query: Mapping[str, str] | None = None,
        *,
        payload: str,
    ) -> Scope:
        """`payload`: the body's digest, or what stands for it. Raises `AuthError`."""
        claim = read_claim(request.headers, query or {})
        path, _, query_string = request.raw_path.partition("?")
        parts = Parts(method=request.method, path=path, query=query_string, headers=request.headers, payload=payload)
        scope = self._keyring.authenticate(claim, parts)
        if scope.service != service:
            raise AuthError("malformed", f"the request is signed for {scope.service!r}, not for {service!r}")
        suffers = service != "sandbox" and self._injector.is_expired(service, now)
        if scope.identity.expires <= now or suffers:
            raise AuthError("expired", "The security token included in the request is expired")
        return scope

    async def _suffer(self, exchange: _Exchange) -> web.StreamResponse | None:
        """What befalls the call before it is carried out; None: nothing that ends it."""
        if (latency := self._injector.latency(exchange.service)) > 0:
            await asyncio.sleep(latency)
        match self._injector.fate(exchange.service, exchange.operation):
            case "handle":
                return None
            case "reset_after":
                exchange.loses_answer = True
                return None
            case "reset_before":
                self._calls.add(exchange.service, exchange.operation, "reset before")
                return _reset(exchange.request)
            case "error":
                self._calls.add(exchange.service, exchange.operation, "HTTP 500")
                body = _json_error("InternalFailure", "The request processing has failed because of an unknown error")
                return web.Response(status=500, body=body, headers={"Content-Type": _JSON})

    def _finish(self, exchange: _Exchange, outcome: str, response: web.Response) -> web.StreamResponse:
        if exchange.loses_answer:
            self._calls.add(exchange.service, exchange.operation, "reset after")
            return _reset(exchange.request)
        self._calls.add(exchange.service, exchange.operation, outcome)
        return response


def _json_error(code: str, message: str) -> bytes:
    return json.dumps({"__type": code, "message": message}).encode()


def _s3_response(request: web.BaseRequest, answer: Answer) -> web.Response:
    response = web.Response(status=answer.status, headers=answer.headers)
    if request.method == "HEAD":
        # The length is that of the body which GET would send.
        response.headers["Content-Length"] = str(answer.length)
    elif answer.status != 304:
        response.body = answer.body
    return response


def _s3_payload(request: web.BaseRequest, query: Mapping[str, str]) -> str:
    """What a request to S3 says of its body; that it's true is seen when the body comes in. Raises `AuthError`."""
    given = request.headers.get("x-amz-content-sha256")
    if given is None and "Authorization" in request.headers:
        raise AuthError("malformed", "Missing required header for this request: x-amz-content-sha256")
    if given is not None and not _PAYLOAD.fullmatch(given):
        raise AuthError("malformed", f"x-amz-content-sha256 {given!r} isn't a SHA-256 or one of {', '.join(PAYLOADS)}")
    return given or query.get("X-Amz-Content-Sha256") or UNSIGNED


async def _read(request: web.BaseRequest) -> bytes:
    """A small body. Raises `ServiceError`."""
    if (request.content_length or 0) > _BODY_LIMIT:
        raise ServiceError("RequestEntityTooLargeException", f"more than {_BODY_LIMIT} bytes", status=413)
    body = bytearray()
    async for piece in _pieces(request):
        body += piece
        if len(body) > _BODY_LIMIT:
            raise ServiceError("RequestEntityTooLargeException", f"more than {_BODY_LIMIT} bytes", status=413)
    return bytes(body)


async def _pieces(request: web.BaseRequest) -> AsyncIterator[bytes]:
    while piece := await request.content.readany():
        yield piece


async def _send_continue(request: web.BaseRequest) -> None:
    """aiohttp answers `Expect` in its router only, which the sandbox does without. SDKs wait a second for it."""
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0


def _reset(request: web.BaseRequest) -> web.Response:
    """Cuts the connection off with a TCP reset. The response that is returned never arrives."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()
