"""The key that `push` is given: a template, as a manifest's `key` is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.core.errors import UsageError
from orchestrator.manifest.git import Repository
from orchestrator.manifest.templates import TemplateError, parse

_LATER = {"digest": "${digest}", "format": "${format}"}
"""Known only when the bundle is."""


def expand_key(key: str, application_name: str, source: Path, env: Mapping[str, str]) -> str:
    """The key with `${git.sha}`, `${git.branch}`, `${application}` and `${env.NAME}` expanded; `$${` is a `${`.

    `${digest}` and `${format}` stay. Raises `UsageError` for what isn't known.
    """
    git = Repository(source if source.is_dir() else source.parent)
    known = {**_LATER, "application": application_name}
    facts = {"git.sha": git.sha, "git.branch": git.branch}
    pieces: list[str] = []
    try:
        for piece in parse(key):
            if isinstance(piece, str):
                pieces.append(piece)
            elif piece.name in facts:
                pieces.append(facts[piece.name]())
            else:
                pieces.append(_value(piece.name, piece.default, known, env))
    except TemplateError as error:
        raise UsageError(f"--s3-location: {error.message}", hint=error.hint) from None
    return "".join(pieces)


def _value(name: str, default: str | None, known: Mapping[str, str], env: Mapping[str, str]) -> str:
    if name in known:
        return known[name]
    if not name.startswith("env."):
        raise TemplateError(
            f"${{{name}}} is unknown",
            "there are ${digest}, ${format}, ${git.sha}, ${git.branch}, ${application} and ${env.…}; "
            "a literal ${ is written $${",
        )
    variable = name.removeprefix("env.")
    value = env.get(variable)
    if default is not None:
        return value or default
    if value is None:
        hint = f"set it, or give a default: ${{{name}:-…}}"
        raise TemplateError(f"the environment variable {variable} is not set", hint)
    return value
