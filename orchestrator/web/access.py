"""Who may look: anybody on this machine, or whoever knows the token."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from orchestrator.core.addresses import is_loopback
from orchestrator.core.errors import UsageError

TOKEN = "ORCHESTRATOR_SERVE_TOKEN"  # noqa: S105 - the variable's name
SHORTEST = 16
_PRINTABLE = re.compile(r"[!-~]+")

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Server": "orchestrator",
    }
)
"""Of every answer. Nothing inline, nothing from elsewhere, in nobody's frame."""


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    message: str
    challenges: tuple[str, ...] = ()
    """Values of WWW-Authenticate."""


_NOT_KNOWN = Refusal(
    401,
    f"this page asks for the token of {TOKEN}: as a bearer token, or as the password of any user name",
    ('Basic realm="orchestrator", charset="UTF-8"', 'Bearer realm="orchestrator"'),
)
_NOT_OURS = Refusal(
    421,
    f"this page answers to localhost only. Behind a proxy, or under a name: set {TOKEN}",
)


@dataclass(frozen=True, slots=True)
class Access:
    """Decides by a request's headers alone."""

    token: str | None = None
    """None: whoever reaches the loopback may look."""

    def refusal(self, host: str | None, authorization: str | None) -> Refusal | None:
        """None: come in. `host` and `authorization` are headers."""
        if self.token is not None:
            return None if self._knows(authorization or "", self.token) else _NOT_KNOWN
        # A page from elsewhere can have its own name lead here (DNS rebinding), but can't choose the header.
        return None if is_loopback(_name(host or "")) else _NOT_OURS

    @staticmethod
    def _knows(authorization: str, token: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "basic":
            given = _password(given)
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(given.strip().encode(errors="replace"), token.encode())


def read_access(host: str, env: Mapping[str, str], option: str) -> Access:
    """For a server that listens there. Raises `UsageError` without a token where one is needed, or with a bad one."""
    token = env.get(TOKEN) or None
    if token is None:
        if is_loopback(host):
            return Access()
        raise UsageError(
            f"{option}: on {host} others than this machine can look, and {TOKEN} isn't set",
            hint=f"set {TOKEN} to a secret of at least {SHORTEST} characters, or listen on 127.0.0.1",
        )
    if len(token) < SHORTEST or not _PRINTABLE.fullmatch(token):
        raise UsageError(
            f"{TOKEN} has to be at least {SHORTEST} printable ASCII characters, without spaces",
            hint="make one with: openssl rand -hex 32",
        )
    return Access(token)


def _password(encoded: str) -> str:
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return decoded.partition(":")[2]


def _name(host: str) -> str:
    """`localhost:8080` -> `localhost`, `[::1]:8080` -> `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
