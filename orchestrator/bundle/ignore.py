"""What stays out of a bundle: version control, and what the manifest and `.codedeployignore` say, as git reads it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.core.errors import BundleError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".codedeployignore"
"""At the root of a source; holds gitignore patterns, and is itself never part of the bundle."""

VCS_NAMES = (".git", ".hg", ".svn", ".bzr")
"""Out unless a pattern such as `!.git` takes them back in. `.git` can be a file: in worktrees and submodules."""


class IgnoreRules:
    """Decides about paths. Later patterns win: version control, hidden, the ignore file, then the manifest."""

    def __init__(self, spec: GitIgnoreSpec | None, *, names: Collection[str] = (), hidden: bool = False) -> None:
        """Without a `spec`, `names` stay out, and where `hidden` all names that start with a dot."""
        self._spec = spec
        self._names = names
        self._hidden = hidden

    def leaves_out(self, path: str, *, is_directory: bool) -> bool:
        """Of a directory: nothing below it comes in either, whatever the patterns say of that; so it is with git."""
        if path == IGNORE_FILE:
            return True
        if self._spec is None:
            name = path.rsplit("/", 1)[-1]
            return name in self._names or (self._hidden and name.startswith("."))
        return self._spec.match_file(f"{path}/" if is_directory else path)


def load_rules(
    root: Path, patterns: Sequence[str] = (), *, include_vcs: bool = False, ignore_hidden: bool = False
) -> IgnoreRules:
    """The rules for one source. Raises `BundleError` for a pattern or an ignore file that can't be read."""
    file_patterns = _read_ignore_file(root / IGNORE_FILE)
    names = () if include_vcs else VCS_NAMES
    if not file_patterns and not patterns:
        return IgnoreRules(None, names=names, hidden=ignore_hidden)  # the usual case, which spares pathspec's import

    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - 50 ms that most sources don't need

    for index, pattern in enumerate(file_patterns):
        _try_pattern(GitIgnoreSpec, pattern, f"{root / IGNORE_FILE}:{index + 1}")
    for index, pattern in enumerate(patterns):
        _try_pattern(GitIgnoreSpec, pattern, f"{root}: ignore[{index}]")
    hidden = [".*"] if ignore_hidden else []
    lines = [*names, *hidden, *file_patterns, *patterns]
    return IgnoreRules(GitIgnoreSpec.from_lines(_as_git_reads(line) for line in lines))


def _try_pattern(spec: type[GitIgnoreSpec], pattern: str, where: str) -> None:
    try:
        spec.from_lines([_as_git_reads(pattern)])
    except ValueError as error:
        raise BundleError(
            f"{where}: {pattern!r} is not a gitignore pattern",
            hint="see `man gitignore`; a literal backslash, or `!` or `#` at the start, has a backslash before it",
        ) from error


def _as_git_reads(pattern: str) -> str:
    """To git, `build/**` is what is inside `build`; pathspec takes `build` itself too, and then `!build/keep` fails."""
    return f"{pattern}/*" if pattern.endswith("/**") else pattern


def _read_ignore_file(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except UnicodeDecodeError as error:
        raise BundleError(f"{path}: is not UTF-8 text", hint="save it as UTF-8") from error
    except OSError as error:
        hint = "make it a readable file, or remove it"
        raise BundleError(f"{path}: can't be read: {error.strerror}", hint=hint) from error
    return text.splitlines()
