"""Where a server of ours listens: `HOST:PORT` as people write it, and what is only this machine."""

from __future__ import annotations

import ipaddress

from orchestrator.core.errors import UsageError

LOOPBACK = "127.0.0.1"


def parse_listen(text: str, option: str, example: int) -> tuple[str, int]:
    """`HOST:PORT`, `[::1]:PORT`, `:PORT` or `PORT`; without a host it is the loopback.

    `option` and `example`, a port, are for the message. Raises `UsageError`.
    """
    hint = f"{option} takes HOST:PORT, :PORT or PORT, such as {LOOPBACK}:{example}; port 0 takes any that is free"
    host, colon, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise UsageError(f"{text!r} is no address: an IPv6 address stands in [brackets]", hint=hint)
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise UsageError(f"{text!r} is no address: {port if colon else text!r} is no port", hint=hint)
    return host or LOOPBACK, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it. A name other than `localhost` may lead anywhere."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def in_url(host: str) -> str:
    """The host as it stands in a URL: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
