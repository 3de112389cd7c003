"""A response parser for CodeDeploy that takes a JSON body as it is. Imports the SDK: import it late.

botocore's own parser walks the service model member by member, which is 70 to 80 % of the CPU of a call of
BatchGetDeployments. For CodeDeploy the walk changes next to nothing: keys are the members' names, there are no blobs,
and times come as epoch seconds, which is what we want. What it does change is kept: members that are null are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from aiobotocore.parsers import AioJSONParser, AioResponseParserFactory
from botocore.parsers import ResponseParserError

ANSWER_EXCERPT = 200
"""Characters of a foreign answer (a proxy's page) that an error shows."""


class UnreadableAnswerError(ResponseParserError):  # type: ignore[misc]  # botocore ships no types
    """A success whose body isn't what the operation answers: it was carried out, or a proxy made it up."""


class FastJsonParser(AioJSONParser):  # type: ignore[misc]  # aiobotocore ships no types
    """Success bodies by `json.loads`; error bodies whatever they look like."""

    def _handle_json_body(self, raw_body: bytes, shape: object) -> dict[str, Any]:
        if shape is None and not raw_body:
            return {}
        parsed = _object(raw_body)
        if parsed is None:
            raise UnreadableAnswerError(f"the answer isn't a JSON object: {_excerpt(raw_body)}")
        return parsed

    def _do_error_parse(self, response: Mapping[str, Any], shape: object) -> dict[str, Any]:  # noqa: ARG002  # botocore's signature
        headers: Mapping[str, str] = response["headers"]
        body = _object(response["body"])
        if body is None:
            message, code = _foreign_message(response["body"]), ""
        else:
            message, code = str(body.get("message") or body.get("Message") or ""), str(body.get("__type") or "")
        code = code or headers.get("x-amzn-errortype", "")
        error: dict[str, Any] = {
            "Error": {"Message": message, "Code": _bare_code(code) or str(response["status_code"])},
            "ResponseMetadata": {},
        }
        self._inject_response_metadata(error, headers)
        return error

    def _is_generic_error_response(self, response: Mapping[str, Any]) -> bool:  # noqa: ARG002  # botocore's signature
        # botocore would look for "<html>" at the start of a 5xx; `_do_error_parse` takes any body.
        return False


class FastParserFactory(AioResponseParserFactory):  # type: ignore[misc]  # aiobotocore ships no types
    """`FastJsonParser` for the JSON 1.x protocol, botocore's own parsers for every other."""

    def create_parser(self, protocol_name: str) -> object:
        if protocol_name == "json":
            return FastJsonParser(**self._defaults)
        return super().create_parser(protocol_name)


def _without_nulls(members: dict[str, Any]) -> dict[str, Any]:
    if None not in members.values():  # most have none, and looking is quicker than copying
        return members
    return {name: value for name, value in members.items() if value is not None}


def _object(body: bytes) -> dict[str, Any] | None:
    # The hook runs Python code for each object: only where there is a null to leave out.
    hook = _without_nulls if b"null" in body else None
    try:
        parsed = json.loads(body, object_hook=hook)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _bare_code(code: str) -> str:
    """`com.amazonaws.codedeploy#ThrottlingException:http://…` is `ThrottlingException`."""
    return code.split(":", 1)[0].rsplit("#", 1)[-1].strip()


def _foreign_message(body: bytes) -> str:
    return f"not an answer of AWS: {_excerpt(body)}" if body else "an answer without a body"


def _excerpt(body: bytes) -> str:
    text = body[: 20 * ANSWER_EXCERPT].decode("utf-8", "replace")
    text = re.sub(r"<(style|script)\b.*?(</\1>|$)|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return (text[:ANSWER_EXCERPT] + "…" if len(text) > ANSWER_EXCERPT else text) or "empty"
