"""STS: who am I, and the role of another account."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from orchestrator.sandbox.errors import ServiceError
from orchestrator.sandbox.identity import Identity, Keyring
from orchestrator.sandbox.wire import Answer, text, xml, xml_answer

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_SESSION = re.compile(r"[\w+=,.@-]{2,64}")


def call(keyring: Keyring, identity: Identity, form: Mapping[str, str], now: float) -> Answer:
    """Raises `ServiceError`."""
    match form.get("Action"):
        case "GetCallerIdentity":
            content = text("Arn", identity.arn) + text("UserId", identity.user_id) + text("Account", identity.account)
            return _answer("GetCallerIdentity", content)
        case "AssumeRole":
            return _answer("AssumeRole", _assume(keyring, form, now))
        case other:
            raise ServiceError("InvalidAction", f"STS's operation {other!r} is not available in the sandbox")


def error_answer(error: ServiceError) -> Answer:
    content = text("Type", "Sender") + text("Code", error.code) + text("Message", error.message)
    document = xml("ErrorResponse", xml("Error", content), text("RequestId", uuid.uuid4()), namespace=_NAMESPACE)
    return xml_answer(document, status=error.status)


def _assume(keyring: Keyring, form: Mapping[str, str], now: float) -> str:
    session, seconds = form.get("RoleSessionName", ""), form.get("DurationSeconds", "3600")
    if not _SESSION.fullmatch(session):
        raise ServiceError(
            "ValidationError", f"RoleSessionName {session!r} isn't 2–64 letters, digits or _ + = , . @ -"
        )
    if not seconds.isdecimal() or not 900 <= int(seconds) <= 43200:
        raise ServiceError("ValidationError", f"DurationSeconds {seconds!r} isn't from 900 to 43200")
    try:
        identity = keyring.assume(form.get("RoleArn", ""), session, expires=now + int(seconds))
    except ValueError as error:
        raise ServiceError("ValidationError", f"RoleArn: {error}") from None
    expiration = datetime.fromtimestamp(identity.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    credentials = (
        text("AccessKeyId", identity.key)
        + text("SecretAccessKey", identity.secret)
        + text("SessionToken", identity.token)
        + text("Expiration", expiration)
    )
    user = text("AssumedRoleId", identity.user_id) + text("Arn", identity.arn)
    return xml("Credentials", credentials) + xml("AssumedRoleUser", user)


def _answer(operation: str, content: str) -> Answer:
    result = xml(f"{operation}Result", content)
    metadata = xml("ResponseMetadata", text("RequestId", uuid.uuid4()))
    return xml_answer(xml(f"{operation}Response", result, metadata, namespace=_NAMESPACE))
