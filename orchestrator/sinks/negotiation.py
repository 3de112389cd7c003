"""The answer to a scrape over HTTP: in the format and the encoding that the scraper's headers ask for.

The one way to answer, for `--metrics-listen` and for the page's server: what differs between them is the server only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from orchestrator.sinks.exposition import OPENMETRICS, TEXT, Format

Render = Callable[[Format], bytes]
"""Called from any thread."""

_FORMATS: tuple[tuple[str, str, Format], ...] = (
    ("application/openmetrics-text", "1.0.0", OPENMETRICS),
    ("text/plain", "0.0.4", TEXT),
)
"""Media type and version of each, what we would rather send first."""

_LEVEL = 1
"""The quickest: metrics repeat themselves and become a thirtieth; a higher level would take CPU from the release."""


def metrics_response(render: Render, accept: str, accept_encoding: str) -> tuple[bytes, dict[str, str]]:
    """The body and its headers; the two arguments are the request's headers, empty where it has none.

    Takes tens of milliseconds for thousands of targets: not to be called on an event loop.
    """
    form = chosen_format(accept)
    body = render(form)
    headers = {"Content-Type": form.content_type, "Vary": "Accept, Accept-Encoding", "Cache-Control": "no-store"}
    if takes_gzip(accept_encoding):
        from deflate import gzip_compress  # noqa: PLC0415 - only for scrapers that want it

        body = bytes(gzip_compress(body, _LEVEL))
        headers["Content-Encoding"] = "gzip"
    return body, headers


def chosen_format(accept: str) -> Format:
    """The text format, which everybody reads, unless something else is liked more (RFC 9110, 12.5.1)."""
    best, liked = TEXT, 0.0
    for media, parameters, quality in _choices(accept):
        for name, version, form in _FORMATS:
            if media == name and parameters.get("version", version) == version and quality > liked:
                best, liked = form, quality
    return best


def takes_gzip(accept_encoding: str) -> bool:
    qualities = {name: quality for name, _, quality in _choices(accept_encoding)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0.0


def _choices(header: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """Each value of the header, with its parameters and its quality; those whose quality is no number aren't liked."""
    for choice in header.split(","):
        value, *rest = (part.strip() for part in choice.split(";"))
        parameters = {
            key.strip().lower(): text.strip().strip('"') for key, _, text in (part.partition("=") for part in rest)
        }
        if value:
            yield value.lower(), parameters, _quality(parameters.get("q", "1"))


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
