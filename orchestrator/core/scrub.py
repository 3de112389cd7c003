"""Takes secrets out of text that is kept or shown to others: logs, above all.

Two ways, one after the other: the values that this process was given as secrets, wherever they turn up; and whatever
looks like a secret by its own form or by the name before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

HIDDEN = "***"

_SHORTEST = 8
"""A value that is shorter would be found in ordinary words."""

_SECRET_NAME = re.compile(
    r"(?i)(?!.*(?:file|path|dir|name)$)"
    r".*(?:secret|token|passw|passphrase|credential|authorization|cookie|api[_-]?key|private[_-]?key|access_?key$|[_-]key$|signature)"
)
"""Names of variables and fields whose values are nobody's business; where a secret lies is no secret."""

_TEXT: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    # https://user:password@host, and https://token@host
    (re.compile(r"(?<=://)[^/\s@\"'<>]+(?=@)"), HIDDEN),
    # The whole value of a header, as it stands in a request, a log or JSON.
    (
        re.compile(
            r"(?i)\b((?:proxy-)?authorization|x-amz-security-token|x-api-key|x-vault-token|(?:set-)?cookie)"
            r"(['\"]?\s*[:=]\s*b?['\"]?)[^\r\n'\"<>]+"
        ),
        rf"\1\2{HIDDEN}",
    ),
    # No lower-case word alone, as in "basic checks".
    (re.compile(r"\b([Bb]earer|[Bb]asic)\s+(?=[a-z]*[^a-z\s])[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\b(AWS4-HMAC-SHA256)\s+[^\r\n'\"<>]+"), rf"\1 {HIDDEN}"),
    # Of a signed URL.
    (
        re.compile(
            r"(?i)([?&;](?:x-amz-(?:signature|credential|security-token)|signature|awsaccesskeyid|sig|access_token|"
            r"token|password|secret|api_?key|key)=)[^&\s\"'<>]+"
        ),
        rf"\1{HIDDEN}",
    ),
    # password=…, "SecretAccessKey": "…", <SessionToken>…</SessionToken>
    (
        re.compile(
            r"(?i)((?:secret_?access_?key|session_?token|client_?secret|private_?key|api_?key|passw(?:or)?d|passphrase|"
            r"(?<![\w.])secret|(?<![\w.])token)['\"]?\s*(?:[:=]\s*|>)b?['\"]?)(?!\*\*\*)[^\s'\"<>,;&]{3,}"
        ),
        rf"\1{HIDDEN}",
    ),
    # By their own form: keys of AWS, GitHub, GitLab, Slack; and JSON Web Tokens.
    (re.compile(r"\b(A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}\b"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|xapp-)[A-Za-z0-9_-]{8,}"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)(hooks\.slack\.com/(?:services|workflows|triggers)/)[^\s\"'<>]+"), rf"\1{HIDDEN}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"), HIDDEN),
)


class Scrubber:
    """Knows the secrets of one process."""

    def __init__(self, env: Mapping[str, str]) -> None:
        """`env`: what the process was given; variables with names such as AWS_SECRET_ACCESS_KEY hold secrets."""
        values = {value for name, value in env.items() if _SECRET_NAME.match(name) and len(value.strip()) >= _SHORTEST}
        # The longest first: one may be the beginning of another.
        known = "|".join(re.escape(value) for value in sorted(values, key=lambda value: (-len(value), value)))
        self._known = re.compile(known) if known else None

    def text(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for pattern, instead in _TEXT:
            text = pattern.sub(instead, text)
        return text

    def value(self, value: Any, *, name: str = "", plain: Callable[[str], bool] = lambda _: False) -> Any:
        """The same for a structure as JSON has them; a field with the name of a secret is hidden whole.

        `plain`: names that sound like one and aren't.
        """
        if name and not plain(name) and _SECRET_NAME.match(name) and value not in (None, ""):
            return HIDDEN
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {
                    self.text(str(key)): self.value(each, name=str(key), plain=plain) for key, each in value.items()
                }
            case list() | tuple():
                return [self.value(each, plain=plain) for each in value]
            case _:
                return value


_BY_FORM = Scrubber({})


@lru_cache(maxsize=1 << 12)
def without_secrets(text: str) -> str:
    """What a script or a service has said, without what looks like a secret."""
    return _BY_FORM.text(text)
