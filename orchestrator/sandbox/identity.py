"""Who calls: the access keys that the sandbox has issued, and whether a request is signed with one of them."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from orchestrator.sandbox.fleet import DEFAULT_ACCOUNT
from orchestrator.sandbox.home import Ledger
from orchestrator.sandbox.plain import from_plain, to_plain
from orchestrator.sandbox.signature import AuthError, ChunkSigner, Claim, Parts, check, chunk_signer

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
    chunks: ChunkSigner | None = None
    """For a body whose chunks are signed one by one."""


class Keyring:
    """The keys issued so far."""

    def __init__(self, ledger: Ledger | None = None, *, wall: Callable[[], float] = time.time) -> None:
        """`wall`: this machine's time, by which clients sign, whatever the sandbox's own clock says."""
        self._wall = wall
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

    def authenticate(self, claim: Claim, parts: Parts) -> Scope:
        """Raises `AuthError`."""
        identity = self._identities.get(claim.key)
        if identity is None:
            raise AuthError("unknown", f"the access key {claim.key} wasn't issued by this sandbox")
        if claim.token != identity.token:
            raise AuthError("token", f"the session token doesn't belong to the access key {identity.key}")
        check(claim, parts, identity.secret, self._wall())
        return Scope(
            identity=identity,
            region=claim.region,
            service=claim.service,
            chunks=chunk_signer(claim, identity.secret) if parts.payload.startswith("STREAMING-AWS4") else None,
        )


def _letters(count: int) -> str:
    return "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(count))
