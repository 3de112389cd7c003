"""Each error of the SDK becomes the one of ours that says whether the call may have been carried out."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError

from orchestrator.aws.errors import MESSAGE_LIMIT, outcome_of, translate
from orchestrator.core.errors import AnswerLostError, CallError, CredentialsError, RefusedError, ThrottledError

URL = "https://codedeploy.eu-west-1.amazonaws.com/?X-Amz-Signature=abc"
DENIED = (
    "User: arn:aws:sts::111111111111:assumed-role/ci/job is not authorized to perform: codedeploy:CreateDeployment on "
    "resource: arn:aws:codedeploy:eu-west-1:111111111111:deploymentgroup:shop/fleet because no identity-based policy"
)


def answered(code: str, status: int = 400, message: str = "m", operation: str = "CreateDeployment") -> Exception:
    response: dict[str, Any] = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "request-1"},
    }
    error: Exception = exceptions.ClientError(response, operation)
    return error


def translated(error: Exception, *, service: str = "codedeploy", operation: str = "CreateDeployment") -> CallError:
    ours = translate(error, service=service, operation=operation)
    assert ours is not None
    return ours


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        *(
            (answered(code), ThrottledError)
            for code in ("ThrottlingException", "Throttling", "TooManyRequestsException")
        ),
        (answered("RequestLimitExceeded", 503), ThrottledError),
        (answered("SlowDown", 503), ThrottledError),
        (answered("ThrottlingException", 500), ThrottledError),
        (answered("anything", 429), ThrottledError),
        (answered("503", 503), AnswerLostError),
        (answered("ServiceUnavailable", 503), AnswerLostError),
        (answered("InternalFailure", 500), AnswerLostError),
        (answered("InternalError", 200), AnswerLostError),  # S3: CompleteMultipartUpload
        (answered("502", 502), AnswerLostError),
        (answered("BadDigest"), AnswerLostError),
        (answered("RequestTimeout"), AnswerLostError),
        (answered("ExpiredTokenException"), CredentialsError),
        (answered("ExpiredToken", 403), CredentialsError),
        (answered("InvalidClientTokenId", 403), CredentialsError),
        (answered("UnrecognizedClientException"), CredentialsError),
        (answered("SignatureDoesNotMatch", 403), CredentialsError),
        (answered("InvalidSignatureException"), CredentialsError),
        (answered("AccessDenied", 403), CredentialsError),
        (answered("AccessDeniedException"), CredentialsError),
        (answered("InvalidAccessKeyId", 403), CredentialsError),
        (answered("DeploymentLimitExceededException"), RefusedError),
        (answered("InvalidRoleException"), RefusedError),
        (answered("NoSuchBucket", 404), RefusedError),
        (answered("403", 403), RefusedError),  # not AWS's own words: a proxy
        (exceptions.NoCredentialsError(), CredentialsError),
        (exceptions.PartialCredentialsError(provider="env", cred_var="secret"), CredentialsError),
        (exceptions.ProfileNotFound(profile="x"), CredentialsError),
        (exceptions.TokenRetrievalError(provider="sso", error_msg="expired"), CredentialsError),
        (exceptions.UnauthorizedSSOTokenError(), CredentialsError),
        (exceptions.SSOTokenLoadError(error_msg="none"), CredentialsError),
        (exceptions.CredentialRetrievalError(provider="p", error_msg="e"), CredentialsError),
        (exceptions.RefreshWithMFAUnsupportedError(), CredentialsError),
        (
            RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
            CredentialsError,
        ),
        (exceptions.EndpointConnectionError(endpoint_url=URL, error=OSError("x")), AnswerLostError),
        (exceptions.ConnectTimeoutError(endpoint_url=URL, error=OSError("x")), AnswerLostError),
        (exceptions.ReadTimeoutError(endpoint_url=URL, error=OSError("x")), AnswerLostError),
        (exceptions.ConnectionClosedError(endpoint_url=URL, error=OSError("x")), AnswerLostError),
        (exceptions.SSLError(endpoint_url=URL, error=OSError("x")), AnswerLostError),
        (exceptions.ProxyConnectionError(proxy_url="http://p", error=OSError("x")), AnswerLostError),
        (exceptions.HTTPClientError(error=OSError("x")), AnswerLostError),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), AnswerLostError),
        (exceptions.ResponseStreamingError(error=OSError("x")), AnswerLostError),
        (exceptions.FlexibleChecksumError(error_msg="x"), AnswerLostError),
        (ResponseParserError("x"), AnswerLostError),
        (aiohttp.ClientPayloadError("x"), AnswerLostError),
        (TimeoutError(), AnswerLostError),
        (ConnectionResetError("x"), AnswerLostError),
        (exceptions.NoRegionError(), RefusedError),
        (exceptions.ParamValidationError(report="x"), RefusedError),
        (ValueError("Invalid endpoint: x"), RefusedError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else f"{value!r}"[:60],
)
def test_errors_are_translated(error: Exception, kind: type[CallError]) -> None:
    ours = translated(error)
    assert type(ours) is kind
    assert ours.operation == "CreateDeployment"
    assert ours.code
    assert ours.message
    words = {
        ThrottledError: "throttled",
        AnswerLostError: "lost",
        CredentialsError: "credentials",
        RefusedError: "refused",
    }
    assert outcome_of(ours) == words[kind]


def test_a_mistake_in_a_program_is_not_translated() -> None:
    assert translate(KeyError("x"), service="s3", operation="PutObject") is None
    assert translate(ValueError("x"), service="s3", operation="PutObject") is None


def test_our_own_errors_stay_as_they_are() -> None:
    error = ThrottledError("x")
    assert translated(error) is error


def test_a_missing_permission_is_named_with_who_and_where() -> None:
    hint = translated(answered("AccessDeniedException", message=DENIED)).hint
    assert hint == (
        "allow codedeploy:CreateDeployment on arn:aws:codedeploy:eu-west-1:111111111111:deploymentgroup:shop/fleet "
        "to arn:aws:sts::111111111111:assumed-role/ci/job"
    )


def test_a_missing_permission_is_named_even_when_aws_does_not() -> None:
    assert translated(answered("AccessDenied", 403, "Access Denied")).hint == "allow codedeploy:CreateDeployment"
    upload = answered("AccessDenied", 403, "Access Denied", "UploadPart")
    assert translated(upload, service="s3", operation="UploadPart").hint == "allow s3:PutObject"


def test_a_head_without_rights_is_about_rights() -> None:
    ours = translated(answered("403", 403, "Forbidden", "HeadObject"), service="s3", operation="HeadObject")
    assert isinstance(ours, CredentialsError)
    assert "s3:GetObject" in str(ours.hint)
    assert "s3:ListBucket" in str(ours.hint)
    expired = translated(answered("400", 400, "Bad Request", "HeadObject"), service="s3", operation="HeadObject")
    assert isinstance(expired, CredentialsError)
    assert "expired" in str(expired.hint)


def test_what_a_service_echoes_of_a_signature_is_left_out() -> None:
    message = (
        "The request signature we calculated does not match the signature you provided. "
        "The Canonical String for this request should have been 'POST\n/\n\nhost:x\nx-amz-security-token:SECRET\n' "
        "AWS4-HMAC-SHA256 Credential=AKIA/x, Signature=ffff"
    )
    text = str(translated(answered("InvalidSignatureException", message=message)))
    assert "does not match" in text
    for secret in ("SECRET", "ffff", "AKIA", "x-amz"):
        assert secret not in text
    other = str(translated(answered("InvalidInput", message="bad: x-amz-security-token: SECRET")))
    assert "SECRET" not in other


def test_a_url_is_shown_without_its_query() -> None:
    text = str(translated(exceptions.ReadTimeoutError(endpoint_url=URL, error=TimeoutError("late"))))
    assert "https://codedeploy.eu-west-1.amazonaws.com/" in text
    assert "Signature" not in text


def test_a_long_message_is_cut() -> None:
    assert len(translated(answered("InvalidInput", message="x" * 10_000)).message) == MESSAGE_LIMIT + 1


def test_an_error_without_a_message_still_says_something() -> None:
    assert translated(answered("404", 404, "")).message == "HTTP 404 without a reason"


def test_a_fault_while_taking_on_a_role_is_told_as_such() -> None:
    denied = answered("AccessDenied", 403, "Access Denied", "AssumeRole")
    ours = translated(denied)
    assert ours.operation == "AssumeRole"
    assert ours.hint == "allow sts:AssumeRole; the role's trust policy must name the caller too"


def test_a_reset_after_sending_is_not_told_as_a_failure_to_connect() -> None:
    # aiobotocore raises EndpointConnectionError ("Could not connect") for it.
    reset = exceptions.EndpointConnectionError(endpoint_url=URL, error=aiohttp.ClientOSError(104, "reset by peer"))
    ours = translated(reset)
    assert "connect" not in ours.message.replace("Connection", "")
    assert "reset by peer" in ours.message
    assert ours.hint is None
