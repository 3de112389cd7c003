"""AWS Signature Version 4, checked: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

Pure functions over a request's parts; `identity.Keyring` knows whose keys they are.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import urllib.parse
from calendar import timegm
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from time import strptime
from typing import Literal

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
PAYLOADS = (
    UNSIGNED,
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
)
"""What a request to S3 may say of its body in place of its SHA-256."""
_EMPTY = hashlib.sha256(b"").hexdigest()
_OLD = (
    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256 "
    "(aws configure set default.s3.signature_version s3v4)."
)
_LONGEST = 604_800
"""Seconds that a presigned URL may be good for."""
_SKEW = 900
"""Seconds by which a request's time may differ from ours."""

_CREDENTIAL = re.compile(
    r"(?P<key>[A-Za-z0-9]{3,128})/(?P<date>\d{8})/(?P<region>[a-z0-9-]{1,64})/(?P<service>[a-z0-9-]{1,64})/aws4_request"
)
_MOMENT = re.compile(r"\d{8}T\d{6}Z")

Kind = Literal[
    "missing", "malformed", "unknown", "token", "expired", "signature", "skewed", "outdated", "unsigned", "old"
]


class AuthError(Exception):
    """A request that isn't let in. Each service words it in its own way."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What of a request is signed."""

    method: str
    path: str
    """As it was sent, percent-encoded."""
    query: str
    """As it was sent, without the question mark."""
    headers: Mapping[str, str]
    """Case doesn't matter."""
    payload: str
    """The hex SHA-256 of the body, or what x-amz-content-sha256 says in place of one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What a request says of its signature."""

    key: str
    date: str
    region: str
    service: str
    moment: str
    """As X-Amz-Date has it."""
    signed: Sequence[str]
    """Names of headers."""
    signature: str
    token: str | None
    expires: int | None
    """Seconds that a presigned URL is good for; None: it is no presigned URL."""

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"

    @property
    def at(self) -> int:
        """Epoch seconds."""
        return _epoch(self.moment)


def read_claim(headers: Mapping[str, str], query: Mapping[str, str]) -> Claim:
    """Raises `AuthError`."""
    authorization = headers.get("Authorization", "")
    if authorization:
        return _from_header(authorization, headers)
    if "X-Amz-Credential" in query or "X-Amz-Signature" in query:
        return _from_query(query)
    if "AWSAccessKeyId" in query:
        raise AuthError("old", _OLD)
    raise AuthError("missing", "the request isn't signed: it has no Authorization")


def check(claim: Claim, parts: Parts, secret: str, wall: float) -> None:
    """`wall`: the time by this machine's clock, in epoch seconds. Raises `AuthError`."""
    _check_time(claim, wall)
    _check_headers(claim, parts)
    key = signing_key(secret, claim.date, claim.region, claim.service)
    for path in dict.fromkeys((parts.path, _encode(urllib.parse.unquote(parts.path), "/"))):
        expected = sign(key, _string_to_sign(claim, _canonical(claim, parts, path)))
        if hmac.compare_digest(expected.encode(), claim.signature.encode()):
            return
    raise AuthError(
        "signature",
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        "Key and signing method.",
    )


@lru_cache(maxsize=256)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def sign(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkSigner:
    """Signs the chunks of a body whose head was signed; each signature goes into the next."""

    key: bytes
    moment: str
    scope: str
    seed: str

    def chunk(self, previous: str, digest: str) -> str:
        """`digest`: the hex SHA-256 of the chunk."""
        return self._sign("PAYLOAD", previous, _EMPTY, digest)

    def trailer(self, previous: str, digest: str) -> str:
        """`digest`: that of the trailing headers, a line each."""
        return self._sign("TRAILER", previous, digest)

    def _sign(self, what: str, *parts: str) -> str:
        return sign(self.key, "\n".join((f"{ALGORITHM}-{what}", self.moment, self.scope, *parts)))


def chunk_signer(claim: Claim, secret: str) -> ChunkSigner:
    key = signing_key(secret, claim.date, claim.region, claim.service)
    return ChunkSigner(key=key, moment=claim.moment, scope=claim.scope, seed=claim.signature)


def authorization(
    *, method: str, path: str, headers: Mapping[str, str], payload: str, key: str, secret: str, service: str
) -> str:
    """The header that signs a request without a query; `headers` have its Host and X-Amz-Date, and all are signed."""
    names = sorted(name.lower() for name in headers)
    claim = Claim(
        key=key,
        date=headers["X-Amz-Date"][:8],
        region="us-east-1",
        service=service,
        moment=headers["X-Amz-Date"],
        signed=names,
        signature="",
        token=None,
        expires=None,
    )
    lowered = {name.lower(): value for name, value in headers.items()}
    parts = Parts(method=method, path=path, query="", headers=lowered, payload=payload)
    signature = sign(
        signing_key(secret, claim.date, claim.region, service), _string_to_sign(claim, _canonical(claim, parts, path))
    )
    credential = f"{key}/{claim.scope}"
    return f"{ALGORITHM} Credential={credential}, SignedHeaders={';'.join(names)}, Signature={signature}"


def _from_header(authorization: str, headers: Mapping[str, str]) -> Claim:
    scheme, _, rest = authorization.partition(" ")
    if scheme == "AWS":
        raise AuthError("old", _OLD)
    if scheme != ALGORITHM:
        raise AuthError("malformed", f"the Authorization isn't of Signature Version 4 ({ALGORITHM})")
    fields = dict(one.strip().partition("=")[::2] for one in rest.split(","))
    return _claim(
        credential=fields.get("Credential", ""),
        moment=headers.get("X-Amz-Date", ""),
        signed=fields.get("SignedHeaders", ""),
        signature=fields.get("Signature", ""),
        token=headers.get("X-Amz-Security-Token"),
        expires=None,
    )


def _from_query(query: Mapping[str, str]) -> Claim:
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        raise AuthError("malformed", f"X-Amz-Algorithm isn't {ALGORITHM}")
    expires = query.get("X-Amz-Expires", "")
    if not expires.isdecimal() or not 1 <= int(expires) <= _LONGEST:
        raise AuthError("malformed", f"X-Amz-Expires {expires!r} isn't from 1 to {_LONGEST}")
    return _claim(
        credential=query.get("X-Amz-Credential", ""),
        moment=query.get("X-Amz-Date", ""),
        signed=query.get("X-Amz-SignedHeaders", ""),
        signature=query.get("X-Amz-Signature", ""),
        token=query.get("X-Amz-Security-Token"),
        expires=int(expires),
    )


def _claim(
    *, credential: str, moment: str, signed: str, signature: str, token: str | None, expires: int | None
) -> Claim:
    match = _CREDENTIAL.fullmatch(credential)
    if match is None:
        raise AuthError("malformed", "the Credential isn't <key>/<yyyymmdd>/<region>/<service>/aws4_request")
    if not _MOMENT.fullmatch(moment) or not moment.startswith(match["date"]):
        raise AuthError("malformed", f"X-Amz-Date {moment!r} isn't <yyyymmdd>T<hhmmss>Z of the Credential's day")
    if not signed or not signature:
        raise AuthError("malformed", "SignedHeaders and Signature are needed")
    _epoch(moment)
    return Claim(
        key=match["key"],
        date=match["date"],
        region=match["region"],
        service=match["service"],
        moment=moment,
        signed=tuple(signed.lower().split(";")),
        signature=signature,
        token=token,
        expires=expires,
    )


def _epoch(moment: str) -> int:
    """Raises `AuthError`."""
    try:
        return timegm(strptime(moment, "%Y%m%dT%H%M%SZ"))
    except (ValueError, OverflowError):
        raise AuthError("malformed", f"X-Amz-Date {moment!r} is no time") from None


def _check_time(claim: Claim, wall: float) -> None:
    if claim.expires is not None and wall > claim.at + claim.expires:
        raise AuthError("outdated", "Request has expired")
    is_late = claim.expires is None and wall > claim.at + _SKEW
    if is_late or claim.at > wall + _SKEW:
        raise AuthError(
            "skewed", f"Signature expired: {claim.moment} is more than {_SKEW // 60} minutes from this machine's time"
        )


def _check_headers(claim: Claim, parts: Parts) -> None:
    if "host" not in claim.signed:
        raise AuthError("malformed", "'Host' must be a 'SignedHeader' in the AWS Authorization.")
    if claim.service == "s3":
        names = {name.lower() for name in parts.headers if name.lower().startswith("x-amz-")}
        if missed := sorted(names - set(claim.signed) - {"x-amz-content-sha256"}):
            raise AuthError("unsigned", f"There were headers present in the request which were not signed: {missed}")


def _string_to_sign(claim: Claim, canonical: str) -> str:
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return f"{ALGORITHM}\n{claim.moment}\n{claim.scope}\n{digest}"


def _canonical(claim: Claim, parts: Parts, path: str) -> str:
    headers = parts.headers
    lines = [f"{name}:{' '.join(headers.get(name, '').split())}" for name in claim.signed]
    return "\n".join(
        (parts.method, path or "/", _canonical_query(parts.query), *lines, "", ";".join(claim.signed), parts.payload)
    )


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name and name != "X-Amz-Signature":
            pairs.append((_encode(urllib.parse.unquote(name)), _encode(urllib.parse.unquote(value))))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encode(text: str, safe: str = "") -> str:
    return urllib.parse.quote(text, safe=f"{safe}-_.~")
