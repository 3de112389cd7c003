"""What YAML tags mean to the agent's Ruby: Psych's table, for a load that allows no class but symbols."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Literal

from orchestrator.bundle.ruby_scalars import NotAllowedError, NumberError, Scalar, Symbol, read_float, read_plain

_YAML = "tag:yaml.org,2002:"
_TEXT = re.compile(r"!(?:str|ruby/string)(?::(.*))?")
_SYMBOL = re.compile(r"!ruby/sym(?:bol)?:?.*")
_CLASS = re.compile(r"!ruby/(?:class|module)")
_SCALAR_REFUSED = re.compile(r"!ruby/(?:object:(?:BigDecimal|DateTime|Complex|Rational)|regexp|range|encoding)")
_LIST_REFUSED = re.compile(r"!(?:seq|ruby/array):.*")
_MAPPING_REFUSED = re.compile(
    r"!ruby/(?:struct:?.*|object(?!:Hash$):?.*|array:.*|range|exception:?.*|hash-with-ivars.*|hash:.*|marshalable:.*)"
    rf"|!map:.*|!set|{_YAML}set|!omap|{_YAML}omap"
)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the agent's reader doesn't take a value."""

    code: str
    message: str
    hint: str


def scalar_of(tag: str | None, text: str, *, quoted: bool) -> Scalar | Refused:
    """The value of a scalar; `quoted`: in quotes or a block, and without a tag."""
    if quoted:
        return text
    try:
        return read_plain(text) if tag is None else _tagged(tag, text)
    except NotAllowedError:
        return Refused("yaml_type_not_allowed", f"{text!r} is a date, which the agent refuses", "put it in quotes")
    except NumberError:
        return Refused("yaml_number_invalid", f"{text!r} looks like a number and is none", "put it in quotes")


def _tagged(tag: str, text: str) -> Scalar | Refused:
    if tag in {"!binary", f"{_YAML}binary"}:
        return _binary(text)
    match = _TEXT.fullmatch(tag)
    if match or tag == f"{_YAML}str":
        return _refused(tag) if match and match[1] else text
    if tag in {"!float", f"{_YAML}float"}:
        return read_float(text)
    if _SYMBOL.fullmatch(tag):
        return Symbol(text)
    if _CLASS.fullmatch(tag):
        return _refused(tag) if text else None
    return _refused(tag) if _SCALAR_REFUSED.fullmatch(tag) else read_plain(text)


def list_of(tag: str | None) -> Refused | Literal["omap"] | None:
    """Whether a list with this tag is refused, or is an ordered mapping."""
    if tag is None:
        return None
    if tag in {"!omap", f"{_YAML}omap"}:
        return "omap"
    return _refused(tag) if _LIST_REFUSED.fullmatch(tag) else None


def mapping_of(tag: str | None) -> Refused | Literal["text"] | None:
    """Whether a mapping with this tag is refused, or stands for a text."""
    if tag is None:
        return None
    match = _TEXT.fullmatch(tag)
    if match or tag == f"{_YAML}str":
        return _refused(tag) if match and match[1] else "text"
    return _refused(tag) if _MAPPING_REFUSED.fullmatch(tag) else None


def _refused(tag: str) -> Refused:
    return Refused("yaml_type_not_allowed", f"the tag {tag} makes what the agent refuses", "leave the tag out")


def _binary(text: str) -> str:
    """Base64 as Ruby's `unpack` reads it: what doesn't belong is passed over, `=` ends it."""
    digits = re.sub(r"[^A-Za-z0-9+/]", "", text.split("=", 1)[0])
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    return base64.b64decode(digits + "=" * (-len(digits) % 4)).decode(errors="surrogateescape")
