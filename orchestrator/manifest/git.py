"""`${git.sha}` and `${git.branch}`, asked of git only when a manifest uses them; and when the commit was made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from orchestrator.core.errors import UsageError

GIT_TIMEOUT = 10.0
"""Seconds; a lookup that takes longer hangs on something (a network file system, a credential prompt)."""


class GitFacts(Protocol):
    """What git knows of a folder. Each raises `UsageError` with a hint when there is no answer."""

    def sha(self) -> str: ...

    def branch(self) -> str: ...


GitLookup = Callable[[Path], GitFacts]
"""From a folder to its facts; must not run anything itself."""


class Repository:
    """Asks the `git` command, in the manifest's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sha(self) -> str:
        """The commit checked out there, 40 hex digits."""
        return self._ask("rev-parse", "HEAD", hint="set a variable from your CI instead, such as ${env.GIT_SHA}")

    def branch(self) -> str:
        """The branch checked out there."""
        hint = "no branch is checked out in most CI jobs: use the CI's own variable, such as ${env.GITHUB_REF_NAME}"
        return self._ask("symbolic-ref", "--short", "HEAD", hint=hint)

    def committed_at(self) -> float:
        """When the commit checked out there was committed, in epoch seconds."""
        return float(self._ask("log", "-1", "--format=%ct", "HEAD", hint="run it in a checkout of a repository"))

    def _ask(self, *arguments: str, hint: str) -> str:
        import subprocess  # noqa: PLC0415 -- 10 ms that manifests without ${git.…} need not pay

        try:
            answer = subprocess.run(  # noqa: S603 -- a fixed command; only the folder varies, and it is one argument
                ["git", "-C", str(self._folder), *arguments],  # noqa: S607 -- the user's own git, wherever it is
                capture_output=True,
                check=False,
                text=True,
                timeout=GIT_TIMEOUT,
                stdin=subprocess.DEVNULL,
            )
        except FileNotFoundError:
            raise UsageError("the git command is not installed", hint=hint) from None
        except subprocess.TimeoutExpired:
            raise UsageError(f"git gave no answer within {GIT_TIMEOUT:g} s", hint=hint) from None
        if answer.returncode:
            reason = answer.stderr.strip().splitlines()[:1] or ["it gave no reason"]
            raise UsageError(f"git has no answer: {reason[0]}", hint=hint)
        return answer.stdout.strip()
