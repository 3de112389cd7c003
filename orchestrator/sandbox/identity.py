"""Who calls: the access keys that the sandbox has issued, and what a request's Authorization says.

Keys are checked, signatures aren't; the sandbox listens on loopback only.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from orchestrator.sandbox.fleet import DEFAULT_ACCOUNT
from orchestrator.sandbox.home import Ledger
from orchestrator.sandbox.plain import from_plain, to_plain

_CREDENTIAL = re.compile(
    r"(?P<key>[A-Za-z0-9]+)/\d{8}/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/aws4_request(?![^,\s])"
)
_ROLE = re.compile(r"arn:(?:aws|aws-cn|aws-us-gov):iam::(?P<account>\d{12}):role/(?:.+/)?(?P<name>[\w+=,.@-]{1,64})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """An access key and whose it is. Long-lived keys have no token and no expiry."""

    key: str
    secret: str
    account: str
    arn: str
    user_id: str
    token: str | None = None
    expires: float = float("inf")
    """Epoch seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """A request's caller with the region and the service that it was signed for."""

    identity: Identity
    region: str
    service: str


class AuthError(Exception):
    """A request that isn't let in. Each service words it in its own way."""

    def __init__(self, kind: Literal["missing", "malformed", "unknown", "token", "expired"], message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Keyring:
    """The keys issued so far."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self._ledger = ledger or Ledger()
        self.root = Identity(
            key=f"AKIA{DEFAULT_ACCOUNT}SBOX",
            secret="sandbox-secret-that-opens-nothing-else0",  # noqa: S106 - opens nothing but this sandbox
            account=DEFAULT_ACCOUNT,
            arn=f"arn:aws:iam::{DEFAULT_ACCOUNT}:user/sandbox",
            user_id="AIDASANDBOXUSER000000",
        )
        self._identities = {self.root.key: self.root}
        for key, data in self._ledger.records("identity"):
            self._identities[key] = from_plain(Identity, data)

    def assume(self, role_arn: str, session: str, *, expires: float) -> Identity:
        """New temporary keys of the role's account. Raises ValueError when it isn't a role's ARN."""
        match = _ROLE.fullmatch(role_arn)
        if match is None:
            raise ValueError(f"{role_arn!r} isn't arn:aws:iam::<12 digits>:role/<name>")
        account, name = match["account"], match["name"]
        identity = Identity(
            key=f"ASIA{account}{_letters(4)}",
            secret=secrets.token_hex(20),
            account=account,
            arn=f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
            user_id=f"AROASANDBOXROLE{account[:6]}:{session}",
            token=secrets.token_urlsafe(96),
            expires=expires,
        )
        self._identities[identity.key] = identity
        self._ledger.note("identity", identity.key, partial(to_plain, identity))
        return identity

    def authenticate(self, headers: Mapping[str, str], query: Mapping[str, str], now: float) -> Scope:
        """Raises `AuthError`."""
        credential = _credential(headers, query)
        match = _CREDENTIAL.match(credential)
        if match is None:
            raise AuthError("malformed", "the Authorization isn't of Signature Version 4")
        identity = self._identities.get(match["key"])
        if identity is None:
            raise AuthError("unknown", f"the access key {match['key']} wasn't issued by this sandbox")
        token = headers.get("X-Amz-Security-Token") or query.get("X-Amz-Security-Token")
        if identity.token is not None and token != identity.token:
            raise AuthError("token", f"the session token doesn't belong to the access key {identity.key}")
        if identity.expires <= now:
            raise AuthError("expired", "the security token has expired")
        return Scope(identity=identity, region=match["region"], service=match["service"])


def _credential(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    authorization = headers.get("Authorization", "")
    if authorization:
        _, found, credential = authorization.partition("Credential=")
        if not found or not authorization.startswith("AWS4-"):
            raise AuthError("malformed", "the Authorization isn't of Signature Version 4")
        return credential
    if credential := query.get("X-Amz-Credential", ""):
        return credential
    raise AuthError("missing", "the request isn't signed: it has no Authorization")


def _letters(count: int) -> str:
    return "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(count))
