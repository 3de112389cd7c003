"""The SDK's errors as ours: what happened, whether it may have been carried out, and what to do about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orchestrator.core.errors import AnswerLostError, CallError, CredentialsError, RefusedError, ThrottledError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

MESSAGE_LIMIT = 1000

THROTTLING_CODES = frozenset(
    {
        "429",
        "BandwidthLimitExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
CREDENTIALS_CODES = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)
LOST_CODES = frozenset(
    {
        "BadDigest",  # damaged on the way; nothing was stored, and sending it again is right
        "IncompleteBody",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "XAmzContentChecksumMismatch",
    }
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_SIGNATURE = frozenset(
    {
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation", "403", "400"})
_S3_PERMISSIONS = {
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "HeadObject": "s3:GetObject (and s3:ListBucket: without it S3 answers 403 for an object that isn't there)",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListParts": "s3:ListMultipartUploadParts",
    "UploadPart": "s3:PutObject",
}
_HINTS = {
    "NoSuchBucket": "create the bucket, or correct `bucket` in the manifest",
    "PermanentRedirect": "the bucket is in another region than the target: correct `region` or `bucket`",
    "AuthorizationHeaderMalformed": "the bucket is in another region than the target: correct `region` or `bucket`",
}


def outcome_of(error: CallError) -> str:
    """The observer's word for it: throttled, lost, credentials or refused."""
    match error:
        case ThrottledError():
            return "throttled"
        case AnswerLostError():
            return "lost"
        case CredentialsError():
            return "credentials"
        case _:
            return "refused"


def translate(error: Exception, *, service: str, operation: str) -> CallError | None:
    """The SDK's error as one of ours; None for what isn't the SDK's or the network's: a mistake in a program."""
    from botocore.exceptions import ClientError  # noqa: PLC0415  # imported late, see the package

    if isinstance(error, CallError):
        return error
    if isinstance(error, ClientError):
        return _from_answer(error, service=service, operation=operation)
    return (
        _from_credentials(error, operation=operation)
        or _from_network(error, service=service, operation=operation)
        or _from_settings(error, operation=operation)
    )


def _from_answer(error: ClientError, *, service: str, operation: str) -> CallError:
    answered: str = error.operation_name or operation
    if answered.startswith("AssumeRole"):
        service = "sts"  # asked for credentials on behalf of another call
    details: dict[str, Any] = error.response.get("Error") or {}
    metadata: dict[str, Any] = error.response.get("ResponseMetadata") or {}
    status = int(metadata.get("HTTPStatusCode") or 0)
    code = str(details.get("Code") or status)
    kind = _kind(code, status, service)
    message = _clean(str(details.get("Message") or ""), code)
    return kind(
        message or f"HTTP {status} without a reason",
        operation=answered,
        code=code,
        request_id=metadata.get("RequestId") or (metadata.get("HTTPHeaders") or {}).get("x-amzn-requestid"),
        hint=_hint(kind, code, message, service=service, operation=answered),
    )


def _kind(code: str, status: int, service: str) -> type[CallError]:
    if code in THROTTLING_CODES or status == 429:
        return ThrottledError
    if code in CREDENTIALS_CODES:
        return CredentialsError
    if code in LOST_CODES or status >= 500 or 200 <= status < 300:
        return AnswerLostError
    # S3 answers HEAD without a body, so without a code: 403 for a lack of rights, 400 for expired credentials.
    if service == "s3" and code in {"400", "403"}:
        return CredentialsError
    return RefusedError


def _hint(kind: type[CallError], code: str, message: str, *, service: str, operation: str) -> str | None:
    if kind is CredentialsError:
        return _credentials_hint(code, message, service=service, operation=operation)
    if "not an answer of AWS" in message:
        return "something between here and AWS answered: check HTTPS_PROXY, NO_PROXY and AWS_ENDPOINT_URL"
    return _HINTS.get(code)


def _credentials_hint(code: str, message: str, *, service: str, operation: str) -> str:
    if code in _EXPIRED:
        return "renew the credentials (`aws sso login`, a new CI token), then resume the run"
    if code in _SIGNATURE:
        return "check the secret key and this machine's clock"
    if code == "400":
        return "S3 gives no reason here: most often the credentials have expired, or the version isn't one of S3's"
    if code not in _DENIED:
        return "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_PROFILE"
    permission, resource = _missing_permission(message, service=service, operation=operation)
    who = re.search(r"\b(arn:[\w-]+:(?:iam|sts)::\S+?)[\s,.]", message + " ")
    hint = f"allow {permission}" + (f" on {resource}" if resource else "") + (f" to {who[1]}" if who else "")
    return f"{hint}; the role's trust policy must name the caller too" if service == "sts" else hint


def _missing_permission(message: str, *, service: str, operation: str) -> tuple[str, str]:
    found = re.search(r"not authorized to perform: (\w+:\w+)(?: on resource: (\S+))?", message)
    if found:
        return found[1], (found[2] or "").rstrip(".")
    permission = f"{service.removesuffix('-durable')}:{operation}"
    return (_S3_PERMISSIONS.get(operation, permission) if service == "s3" else permission), ""


def _clean(message: str, code: str) -> str:
    """Without what S3 and others echo of a badly signed request: headers, signatures and tokens."""
    if code in _SIGNATURE:
        message = re.split(r"(?i)the canonical string|authorization\s*[=:]|the string-to-sign", message)[0]
    message = re.split(r"AWS4-HMAC-SHA256|(?i:x-amz-security-token|signature=|credential=)", message)[0].strip()
    return message if len(message) <= MESSAGE_LIMIT else message[:MESSAGE_LIMIT] + "…"


def _from_credentials(error: Exception, *, operation: str) -> CredentialsError | None:
    from botocore import exceptions  # noqa: PLC0415  # imported late, see the package

    kinds: dict[type[Exception] | tuple[type[Exception], ...], str] = {
        exceptions.NoCredentialsError: "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        exceptions.PartialCredentialsError: "set the access key and the secret key together",
        exceptions.ProfileNotFound: "correct AWS_PROFILE, or add the profile to ~/.aws/config",
        (exceptions.SSOError, exceptions.TokenRetrievalError): "log in again: `aws sso login`",
        exceptions.RefreshWithMFAUnsupportedError: "start again with fresh credentials: a run can't ask for MFA",
        (
            exceptions.CredentialRetrievalError,
            exceptions.MetadataRetrievalError,
            exceptions.UnknownCredentialError,
            exceptions.InvalidConfigError,
            exceptions.InfiniteLoopConfigError,
        ): "check the profile's credential_process, role or source_profile",
    }
    for kind, hint in kinds.items():
        if isinstance(error, kind):
            return CredentialsError(_plain(error), operation=operation, code=type(error).__name__, hint=hint)
    if isinstance(error, RuntimeError) and str(error).startswith("Credentials were refreshed"):  # aiobotocore's own
        hint = "check this machine's clock, and what gives out the credentials"
        return CredentialsError(_plain(error), operation=operation, code="ExpiredToken", hint=hint)
    return None


def _from_network(error: Exception, *, service: str, operation: str) -> AnswerLostError | None:
    import aiohttp  # noqa: PLC0415  # imported late, see the package
    from botocore import exceptions  # noqa: PLC0415  # imported late, see the package
    from botocore.parsers import ResponseParserError  # noqa: PLC0415  # imported late, see the package

    lost = (
        exceptions.HTTPClientError,  # with all of its kinds: connection, proxy, TLS, time-outs
        exceptions.ConnectionError,
        exceptions.ResponseStreamingError,
        exceptions.IncompleteReadError,
        exceptions.FlexibleChecksumError,
        ResponseParserError,
        aiohttp.ClientError,
        TimeoutError,
        OSError,
    )
    if not isinstance(error, lost):
        return None
    code = type(error).__name__
    endpoint = _endpoint(error)
    where = f" ({endpoint})" if endpoint else ""
    if isinstance(error, exceptions.SSLError):
        hint = "check AWS_CA_BUNDLE and the proxy: no TLS connection came about"
        return AnswerLostError(f"no TLS connection{where}: {_cause(error)}", operation=operation, code=code, hint=hint)
    if isinstance(error, exceptions.ProxyConnectionError):
        hint = "check HTTPS_PROXY and NO_PROXY"
        return AnswerLostError(_plain(error), operation=operation, code=code, hint=hint)
    if _never_connected(error):
        hint = f"no connection to {endpoint or service}: check network, region and AWS_ENDPOINT_URL_{service.upper()}"
        return AnswerLostError(f"could not connect{where}: {_cause(error)}", operation=operation, code=code, hint=hint)
    return AnswerLostError(f"no answer{where}: {_cause(error)}", operation=operation, code=code)


def _from_settings(error: Exception, *, operation: str) -> RefusedError | None:
    """Whatever else botocore refuses to send: no region, a bad endpoint or configuration, bad parameters."""
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415  # imported late, see the package

    known = isinstance(error, BotoCoreError)
    if not known and not (isinstance(error, ValueError) and "endpoint" in str(error).lower()):
        return None
    hint = "check the region in the manifest and the AWS_* variables" if "egion" in str(error) else None
    return RefusedError(_plain(error), operation=operation, code=type(error).__name__, hint=hint)


def _never_connected(error: Exception) -> bool:
    import aiohttp  # noqa: PLC0415  # imported late, see the package
    from botocore.exceptions import ConnectTimeoutError  # noqa: PLC0415  # imported late, see the package

    # EndpointConnectionError alone doesn't say so: aiobotocore raises it for resets after sending, too.
    return isinstance(error, ConnectTimeoutError) or isinstance(_inner(error), aiohttp.ClientConnectorError)


def _inner(error: Exception) -> object:
    keywords: dict[str, object] = getattr(error, "kwargs", {})
    return keywords.get("error")


def _endpoint(error: Exception) -> str:
    keywords: dict[str, object] = getattr(error, "kwargs", {})
    return str(keywords.get("endpoint_url") or "").split("?")[0]


def _cause(error: Exception) -> str:
    inner = _inner(error)
    if isinstance(inner, Exception):
        return _plain(inner)
    return _plain(error)


def _plain(error: Exception) -> str:
    text = _clean(" ".join(str(error).split()), "")
    return text or ("it took too long" if isinstance(error, TimeoutError) else type(error).__name__)
