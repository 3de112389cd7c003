"""Scalars as the agent's Ruby sees them: what Psych makes of a plain YAML scalar, and what `to_s` and `to_i` give.

Checked against Psych 4.0.3 of Ruby 3.1, which the agent 1.8.1 runs on.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Symbol:
    """Ruby's `:name`; never equal to a string."""

    name: str


Scalar = str | int | float | bool | Symbol | None


class NotAllowedError(Exception):
    """Psych reads a class here that a safe load refuses: a date, a time, a Ruby object."""


class NumberError(Exception):
    """Looks like a number for Psych's patterns, and Ruby can't convert it."""


# A plain scalar goes by its first characters: most words never reach the patterns of numbers and dates.
_WORD = re.compile(r"^[^\d.:\-]?(?:[^\W\d]|[\s!@#$%^&*(){}<>|/\\~;=])+", re.MULTILINE | re.ASCII)
_WORD_UNICODE = re.compile(r"^[^0-9.:\-]?[^\W\d_]", re.MULTILINE)
_NOT_SPECIAL = re.compile(r"^[^ytonf~]", re.MULTILINE | re.IGNORECASE)
_NULL = re.compile(r"^null$", re.MULTILINE | re.IGNORECASE)
_TRUE = re.compile(r"^(?:yes|true|on)$", re.MULTILINE | re.IGNORECASE)
_FALSE = re.compile(r"^(?:no|false|off)$", re.MULTILINE | re.IGNORECASE)

_TIME = re.compile(
    r"-?[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t\r\f\v]+)[0-9]{1,2}:[0-9][0-9]:[0-9][0-9](?:\.[0-9]*)?"
    r"(?:[ \t\r\f\v]*(?:Z|[-+][0-9]{1,2}:?(?:[0-9][0-9])?))?"
)
_DATE = re.compile(r"[0-9]{4}-(?:1[012]|0[0-9]|[0-9])-(?:[12][0-9]|3[01]|0[0-9]|[0-9])")
_SIXTIES = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9]){1,2}")
_SIXTIES_FLOAT = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9]){1,2}\.[0-9_]*")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_,]*)?\.[0-9]*(?:[eE][+-][0-9]+)?")
_INTEGER = re.compile(r"[-+]?0b[01_,]+|[-+]?0[0-7_,]+|[-+]?(?:0|[1-9](?:[0-9]|,[0-9]|_[0-9])*)|[-+]?0x[0-9a-fA-F_,]+")
_SPECIAL_FLOATS = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}
_SIXTIES_WEIGHTS = (3600, 60, 1)  # of two parts, too: Psych takes 10:00 for ten hours
_QUOTED_SYMBOL = re.compile(r":([\"'])(.*)\1")

_LEADING_INTEGER = re.compile(r"[ \t\n\v\f\r]*([-+]?[0-9]+(?:_[0-9]+)*)")
_LEADING_FLOAT = re.compile(r"[ \t\n\v\f\r]*([-+]?[0-9]+(?:_[0-9]+)*(?:\.[0-9]+(?:_[0-9]+)*)?)")
_STRICT_FLOAT = re.compile(r"[-+]?(?:[0-9]+(?:_[0-9]+)*)?(?:\.[0-9]+(?:_[0-9]+)*)?(?:[eE][-+]?[0-9]+)?")
_DIGITS_LIMIT = 4000  # Python converts no more at once; no field takes a number anywhere near


def read_plain(text: str) -> Scalar:
    """What Psych makes of a scalar without quotes. Raises `NotAllowedError`, `NumberError`."""
    if not text:
        return None
    if _WORD.search(text) or _WORD_UNICODE.search(text) or "\n" in text:
        return _word(text)
    if _TIME.fullmatch(text) or _DATE.fullmatch(text):
        raise NotAllowedError("a date")
    if (special := _SPECIAL_FLOATS.get(text.lower())) is not None:
        return special
    if text.startswith(":") and len(text) > 1:
        quoted = _QUOTED_SYMBOL.match(text)
        return Symbol((quoted[2] if quoted else text[1:]).removeprefix(":" if quoted else ""))
    return _number(text)


def _word(text: str) -> Scalar:
    if len(text) > 5 or _NOT_SPECIAL.search(text):
        return text
    if text == "~" or _NULL.search(text):
        return None
    if _TRUE.search(text):
        return True
    return False if _FALSE.search(text) else text


def _number(text: str) -> Scalar:
    if _SIXTIES.fullmatch(text):
        return sum(to_i(part) * _SIXTIES_WEIGHTS[index] for index, part in enumerate(text.split(":")))
    if _SIXTIES_FLOAT.fullmatch(text):
        return sum(_to_f(part) * _SIXTIES_WEIGHTS[index] for index, part in enumerate(text.split(":")))
    if _FLOAT.fullmatch(text):
        return text if text.strip("+-") == "." else _strict_float(re.sub(r"[,_]|\.([Ee]|$)", r"\1", text))
    return _integer(re.sub("[,_]", "", text)) if _INTEGER.fullmatch(text) else text


def _integer(digits: str) -> int:
    sign = -1 if digits.startswith("-") else 1
    bare = digits.lstrip("+-")
    for prefix, base in (("0b", 2), ("0x", 16)):
        if bare.startswith(prefix):
            if len(bare) == 2:
                raise NumberError(digits)
            return sign * int(bare[2:], base)
    return sign * int(bare[:_DIGITS_LIMIT], 8 if bare.startswith("0") else 10)


def read_float(text: str) -> float:
    """A scalar with the tag `!!float`."""
    value = read_plain(text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        return _strict_float(value)
    raise NumberError(text)


def _strict_float(text: str) -> float:
    """Ruby's `Float("…")`."""
    bare = strip(text)
    if not _STRICT_FLOAT.fullmatch(bare) or not any(character.isdigit() for character in bare.lower().split("e")[0]):
        raise NumberError(text)
    return float(bare.replace("_", ""))


# --- conversions -----------------------------------------------------------------------------------------------------


def strip(text: str) -> str:
    """Ruby's `strip`: ASCII white space and NUL."""
    return text.strip("\0\t\n\v\f\r ")


def to_i(text: str) -> int:
    """Ruby's `to_i` of a string: the number in front, else 0."""
    match = _LEADING_INTEGER.match(text)
    return int(match[1].replace("_", "")[:_DIGITS_LIMIT]) if match else 0


def _to_f(text: str) -> float:
    match = _LEADING_FLOAT.match(text)
    return float(match[1].replace("_", "")) if match else 0.0


def to_s(value: Scalar) -> str:
    """Ruby's `to_s`."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return _float_to_s(value)
        case int():
            return str(value) if value.bit_length() < 3 * _DIGITS_LIMIT else "9" * _DIGITS_LIMIT
        case Symbol():
            return value.name
        case str():
            return value


def inspect(value: Scalar) -> str:
    """Ruby's `inspect`, near enough for a path that holds a list's."""
    match value:
        case None:
            return "nil"
        case Symbol():
            return f":{value.name}"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
            return f'"{escaped}"'
        case _:
            return to_s(value)


def _float_to_s(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-4 <= abs(value) < 1e16:
        return repr(value) if "e" not in repr(value) else f"{value:.1f}"
    mantissa, _, exponent = f"{value!r}".lower().partition("e")
    if not exponent:
        mantissa, _, exponent = f"{value:e}".partition("e")
        mantissa = mantissa.rstrip("0")
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    mantissa = f"{mantissa}0" if mantissa.endswith(".") else mantissa
    return f"{mantissa}e{exponent[0]}{exponent[1:].zfill(2)}"
