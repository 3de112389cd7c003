"""Faults of HTTP in words that hold no URL, header or token."""

from __future__ import annotations

import os
import ssl
from urllib.parse import urlsplit


def why_no_answer(error: Exception, url: str) -> str:
    """Why a request had no answer, for people. Names no more of the URL than its host: the rest may be a secret."""
    import aiohttp  # noqa: PLC0415 - whoever has such an error has imported it already

    host = urlsplit(url).hostname or "the host"
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"{host} can't be resolved"
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            return f"the certificate of {host} can't be trusted"
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            return "no connection" if number is None else os.strerror(number).lower()
        case aiohttp.ServerDisconnectedError() | ConnectionError():
            return "the connection was lost"
        case aiohttp.InvalidURL():
            return "not a URL"
        case _:
            return f"no answer that can be read ({type(error).__name__})"
