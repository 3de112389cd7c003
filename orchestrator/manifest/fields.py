"""The kinds of values that settings have, each with its check, its error text and its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, PlainValidator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from orchestrator.core.storing import Misfit
from orchestrator.manifest.nodes import OddInt

T = TypeVar("T")

NAME = re.compile(r"[A-Za-z0-9._+=,@-]{1,100}\Z")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
ACCOUNT = re.compile(r"\d{12}\Z", re.ASCII)
IP_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+\Z")
REGION = re.compile(r"[a-z]{2,5}(-[a-z]+){1,3}-\d{1,2}\Z")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}\Z", re.ASCII)
DURATION = re.compile(r"(?=\d)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?\Z", re.ASCII)
SHARE = re.compile(r"(\d{1,3})%\Z", re.ASCII)
DIGITS = re.compile(r"-?\d{1,18}\Z", re.ASCII)

TEMPLATE_SCHEMA: JsonSchemaValue = {"type": "string", "pattern": r"\$\{.+\}"}


class Expanded(str):
    """Text that came out of `${…}`: it may stand for a number or a boolean."""

    __slots__ = ()


def mistake(message: str, hint: str | None = None, at: str | None = None) -> PydanticCustomError:
    """What a validator raises. `at` names the key below the validated value that the mistake is at."""
    # The message goes in as a value: braces in it are not ours to format.
    return PydanticCustomError("mistake", "{message}", {"message": message, "hint": hint, "at": at})


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """Replaces or adds to the JSON Schema of a type; `templated` allows `${…}` besides.

    Compared and hashed by identity: `typing` wants what stands in an annotation to be hashable.
    """

    replace: JsonSchemaValue | None = None
    templated: bool = False

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = dict(self.replace) if self.replace is not None else handler(core)
        return {"anyOf": [schema, TEMPLATE_SCHEMA]} if self.templated else schema


TEMPLATED = Schema(templated=True)


# --- numbers and booleans --------------------------------------------------------------------------------------------


def to_number(value: Any) -> Any:
    if isinstance(value, OddInt):
        raise mistake(f"{value.text} is an unusual way to write a number", "write it with the digits 0-9 only")
    if isinstance(value, Expanded) and DIGITS.match(value):
        return int(value)
    return value


def to_boolean(value: Any) -> Any:
    if isinstance(value, Expanded):
        return {"true": True, "false": False}.get(value.lower(), value)
    return value


Count = Annotated[int, Field(ge=1), BeforeValidator(to_number), TEMPLATED]
Number = Annotated[int, BeforeValidator(to_number), TEMPLATED]
Boolean = Annotated[bool, BeforeValidator(to_boolean), TEMPLATED]


@dataclass(frozen=True, slots=True)
class Share:
    value: float
    """0 < share <= 1."""


def to_failures(value: Any) -> int | Share:
    number = to_number(value)
    if type(number) is int and number >= 1:
        return number
    if isinstance(number, str) and (share := SHARE.match(number)) and 1 <= int(share[1]) <= 100:
        return Share(int(share[1]) / 100)
    raise mistake("not a number of failures", "a count from 1, such as 3, or a share from 1% to 100%")


Failures = Annotated[
    int | Share,
    PlainValidator(to_failures),
    Schema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^([1-9][0-9]?|100)%$"}]},
        templated=True,
    ),
]


# --- durations -------------------------------------------------------------------------------------------------------


def to_seconds(value: Any) -> float:
    if isinstance(value, str) and (parts := DURATION.match(value)):
        hours, minutes, seconds, milliseconds = (int(part or 0) for part in parts.groups())
        return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    shown = value.text if isinstance(value, OddInt) else value
    message = f"{shown!r} is not a duration" if isinstance(shown, str) else "not a duration"
    if isinstance(value, int) and not isinstance(value, bool):
        raise mistake(f"{shown} is a number without a unit", f"write {shown}s or {shown}m")
    if isinstance(value, str) and re.fullmatch(r"\d+:\d+", value):
        first, second = value.split(":")
        raise mistake(message, f"write {first}m{second}s or {first}h{second}m")
    raise mistake(message, "durations look like 500ms, 90s, 45m, 2h or 1h30m")


def positive(seconds: float) -> float:
    if seconds <= 0:
        raise mistake("must be longer than 0s")
    return seconds


DURATION_SCHEMA = Schema(
    {"type": "string", "pattern": r"^(?=\d)(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$", "examples": ["90s", "45m", "1h30m"]},
    templated=True,
)
Duration = Annotated[float, BeforeValidator(to_seconds), DURATION_SCHEMA]
PositiveDuration = Annotated[float, BeforeValidator(to_seconds), AfterValidator(positive), DURATION_SCHEMA]


# --- text ------------------------------------------------------------------------------------------------------------


def check_name(value: str) -> str:
    if not NAME.match(value):
        raise mistake(*name_mistake(value))
    return value


def name_mistake(value: str) -> tuple[str, str]:
    """What is wrong with a name, and what to do."""
    rule = "names are 1-100 of letters, digits and . _ + = , @ -"
    if len(value) > 100:
        return f"a name of {len(value)} characters", rule
    if "${" in value:
        return f"{value!r} is not a name", "${…} is expanded in values, not in keys"
    return f"{value!r} is not a name", rule


def check_bucket(value: str) -> str:
    if not BUCKET.match(value) or ".." in value or IP_ADDRESS.match(value):
        hint = "3-63 of lower-case letters, digits, dots and hyphens; without s3:// and without a path"
        raise mistake(f"{value!r} is not a bucket's name", hint)
    return value


def check_region(value: str) -> str:
    if not REGION.match(value):
        raise mistake(f"{value!r} is not a region", "regions look like eu-west-1")
    return value


def check_role(value: str) -> str:
    if not ROLE.match(value):
        raise mistake(f"{value!r} is not the ARN of a role", "it looks like arn:aws:iam::123456789012:role/deploy")
    return value


def fitting(check: Callable[[T], Misfit | None]) -> Callable[[T], T]:
    """A validator from what S3 takes."""

    def validate(value: T) -> T:
        misfit = check(value)
        if misfit is not None:
            raise mistake(misfit.message, misfit.hint)
        return value

    return validate


def check_account(value: str) -> str:
    if not ACCOUNT.match(value):
        raise mistake(f"{value!r} is not the id of an account", 'twelve digits, in quotes: "123456789012"')
    return value


def check_line(value: str) -> str:
    if not value.isprintable():
        raise mistake("holds line breaks or characters that can't be printed")
    return value


Text = Annotated[str, Field(min_length=1)]
Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(check_line)]
NAME_SCHEMA = Schema({"type": "string", "pattern": r"^[A-Za-z0-9._+=,@-]{1,100}$"}, templated=True)
Name = Annotated[str, AfterValidator(check_name), NAME_SCHEMA]
NameKey = Annotated[
    str, AfterValidator(check_name), Schema({"type": "string", "pattern": r"^[A-Za-z0-9._+=,@-]{1,100}$"})
]
Bucket = Annotated[str, AfterValidator(check_bucket)]
Region = Annotated[str, AfterValidator(check_region)]
Role = Annotated[str, AfterValidator(check_role)]
AccountId = Annotated[str, AfterValidator(check_account)]
Description = Annotated[str, Field(max_length=200)]
