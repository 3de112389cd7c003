"""What CI systems make of a job's output: blocks that can be folded, and failures that stand out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Dialect = Literal["github", "gitlab", "azure", "plain"]
"""plain: a CI system that knows no marks, such as Jenkins; its blocks have a heading."""


def dialect_of(env: Mapping[str, str]) -> Dialect | None:
    """By the variables that each system sets; None: this is no CI system."""
    if env.get("GITHUB_ACTIONS") == "true":
        return "github"
    if env.get("GITLAB_CI") == "true":
        return "gitlab"
    if env.get("TF_BUILD", "").lower() == "true":
        return "azure"
    named = any(env.get(name) for name in ("JENKINS_URL", "TEAMCITY_VERSION", "CODEBUILD_BUILD_ID", "BUILDKITE"))
    return "plain" if named or env.get("CI", "").lower() not in {"", "0", "false"} else None


def takes_orders(dialect: Dialect | None) -> bool:
    """Whether lines of a job's output can make the system do something. TeamCity is one of the plain ones."""
    return dialect in {"github", "azure", "plain"}


def opening(dialect: Dialect, title: str, name: str, now: float, *, folded: bool) -> str:
    """What begins a block; `name` is its own, `now` epoch seconds."""
    match dialect:
        case "github":
            return f"::group::{_github(title)}\n"
        case "azure":
            return f"##[group]{title}\n"
        case "gitlab":
            options = "[collapsed=true]" if folded else ""
            return f"\x1b[0Ksection_start:{int(now)}:{_section(name)}{options}\r\x1b[0K{title}\n"
        case "plain":
            return f"--- {title}\n"


def closing(dialect: Dialect, name: str, now: float) -> str:
    match dialect:
        case "github":
            return "::endgroup::\n"
        case "azure":
            return "##[endgroup]\n"
        case "gitlab":
            return f"\x1b[0Ksection_end:{int(now)}:{_section(name)}\r\x1b[0K\n"
        case "plain":
            return ""


def annotation(dialect: Dialect, title: str, message: str) -> str:
    """A failure as the system shows it beside the log; empty where it has no such thing."""
    match dialect:
        case "github":
            return f"::error title={_github(title, inside=True)}::{_github(message)}\n"
        case "azure":
            return f"##vso[task.logissue type=error]{_azure(message)}\n"
        case _:
            return ""


def placed(dialect: Dialect, file: str, line: int, column: int, message: str) -> str:
    """A mistake in a file, shown at its place; empty where the system has no such thing."""
    if dialect != "github":
        return ""
    return f"::error file={_github(file, inside=True)},line={line},col={column}::{_github(message)}\n"


def _github(text: str, *, inside: bool = False) -> str:
    """Escaped as the runner unescapes it. `inside`: of a property, which ends at a colon or a comma."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if inside else text


def _azure(text: str) -> str:
    text = text.replace("%", "%AZP25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace("]", "%5D").replace(";", "%3B")


def _section(name: str) -> str:
    """GitLab's names have letters, digits and `_ . -`."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)
