"""The commands in the pages: which there are, which of them a test runs, and what they end with.

A block of a page that is fenced as `sh`, `bash` or `shell` holds commands, one a line (or over several, as bash has
it). In any other fenced block the lines that begin with `$ ` do; what stands between them is what they print, and isn't
compared. All blocks of a page are run one after the other, in one shell: what one writes or exports the next one finds.

- A comment behind a command that begins with a number and a colon, `# 3: it failed`, is its exit code; else it is 0.
- `orchestrator sandbox …` and `orchestrator serve …` serve until the page's end, beside the commands after them.
- `<!-- not run: needs an AWS account -->` before a block leaves it out, with its reason. Its commands of ours are
  parsed all the same.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pages

SHELLS = {"sh", "bash", "shell"}
_FENCE = re.compile(r"^( *)```(\w*)\s*$")
_NOT_RUN = re.compile(r"^ *<!-- not run: (.+?) -->\s*$")
_MARK = re.compile(r"<!-- *(not|run|no)\b", re.IGNORECASE)
_CODE = re.compile(r"\s#\s*(\d+): ")
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_HEREDOC_TEXT = re.compile(r"<<-?\s*(['\"]?)(\w+)\1([^\n]*)\n.*?^\s*\2$", re.DOTALL | re.MULTILINE)
_SUBSTITUTION = re.compile(r"\$\(([^()]*)\)")
_PROGRAMS = re.compile(r"^(    |\t)(orchestrator|make|aws|export|docker|pip|python3?|cd|git) ")
_SERVES = ("sandbox", "serve")
_CONTROLS = {"status", "logs", "alarm", "instance"}


@dataclass(frozen=True)
class Command:
    """One command line of a page, as long as bash takes it to be."""

    where: str
    """`docs/x.md:12`"""
    text: str
    code: int

    @property
    def serves(self) -> bool:
        words = self.text.split()
        if words[:1] != ["orchestrator"] or len(words) < 2 or words[1] not in _SERVES or words[-1] == "&":
            return False
        return words[1] == "serve" or len(words) == 2 or words[2] not in _CONTROLS


@dataclass(frozen=True)
class Block:
    """A fenced block with commands."""

    where: str
    commands: tuple[Command, ...]
    not_run: str | None
    """Why it isn't run."""


def command_pages() -> list[Path]:
    """The pages for users, and those beside the sample manifests."""
    return [*pages.all_pages(), *sorted((pages.ROOT / "configs").rglob("*.md"))]


def has_commands(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return re.search(r"^ *```(sh|bash|shell)\s*$|^ *\$ ", text, flags=re.MULTILINE) is not None


def blocks_of(path: Path, root: Path = pages.ROOT) -> list[Block]:
    """Those with commands, in their order. Raises ValueError for what nobody could run or would find."""
    name = str(path.relative_to(root))
    found: list[Block] = []
    reason: str | None = None
    lines = iter(enumerate(path.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        fence = _FENCE.match(line)
        if fence:
            body = list(_body(lines, len(fence[1])))
            commands = tuple(_commands(name, fence[2], body))
            if commands:
                found.append(Block(f"{name}:{number}", commands, reason))
            reason = None
        elif mark := _NOT_RUN.match(line):
            reason = mark[1]
        elif _MARK.search(line):
            raise ValueError(
                f"{name}:{number}: write <!-- not run: why --> on a line of its own; this is not understood: {line}"
            )
        elif _PROGRAMS.match(line):
            raise ValueError(
                f"{name}:{number}: commands go into a fenced block, ```sh, so that a test runs them: {line.strip()}"
            )
        elif line.strip() and reason is not None:
            raise ValueError(f"{name}:{number}: <!-- not run: … --> must stand right before its fenced block")
    return found


def _body(lines: Iterator[tuple[int, str]], indent: int) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        if line.strip() == "```":
            return
        yield number, line[indent:]


def _commands(name: str, language: str, body: Sequence[tuple[int, str]]) -> Iterator[Command]:
    if language not in SHELLS:
        body = [(number, line.removeprefix("$ ")) for number, line in body if line.startswith("$ ")]
    waiting: list[str] = []
    first = 0
    for number, line in body:
        if not waiting and (not line.strip() or line.lstrip().startswith("#")):
            continue
        first = first if waiting else number
        waiting.append(line)
        text = "\n".join(waiting)
        if is_whole(text):
            code = _CODE.search(text)
            yield Command(f"{name}:{first}", text, int(code[1]) if code else 0)
            waiting = []
    if waiting:
        raise ValueError(f"{name}:{first}: bash doesn't understand this, or waits for more: {' '.join(waiting)}")


def is_whole(text: str) -> bool:
    """Whether bash would run it, rather than wait for more lines."""
    if text.rstrip().endswith("\\"):
        return False
    for here in _HEREDOC.finditer(text):
        if here[2] not in text[here.end() :].splitlines():
            return False
    if not re.search(r"['\"(){}]|\b(if|for|while|case|do|then)\b|<<", text):
        return True  # most lines: bash needn't be asked
    return subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False).returncode == 0


def script(blocks: Sequence[Block], before: str) -> str:
    """A bash script that runs the blocks, and ends with 99 at the first command that doesn't end as the page says.

    `before`: what is there when the page begins, as bash.
    """
    lines = [_PROLOGUE, before]
    for block in blocks:
        for each in block.commands if block.not_run is None else ():
            if each.serves:
                lines.append(f"serve {shlex.quote(each.where)} {each.text.removeprefix('orchestrator ')}")
            else:
                lines.append(f"{each.text}\nended $? {each.code} {shlex.quote(each.where)}")
    return "\n".join(lines) + "\n"


_PROLOGUE = r"""set -o pipefail
served=0
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
ended() {
  if [ "$1" != "$2" ]; then
    echo "$3: this command ended with $1, and the page says $2 (a comment '# $1: why' behind it would say $1)" >&2
    exit 99
  fi
}
serve() {
  local where=$1 log=".served.$((served += 1))" process
  shift
  orchestrator "$@" >"$log" 2>&1 &
  process=$!
  until [ -s "$log" ]; do
    if ! kill -0 $process 2>/dev/null; then
      wait $process
      echo "$where: this command should serve, and ended with $?: $(cat "$log")" >&2
      exit 99
    fi
    read -r -t 0.05 <> <(:) || true
  done
}"""


def invocations(text: str) -> list[list[str]]:
    """The command lines of ours in a line of bash, as words: `A=b orchestrator wait $(orchestrator x) | y` has two.

    Raises ValueError for quotes that aren't closed.
    """
    found: list[list[str]] = []
    text = _HEREDOC_TEXT.sub(r"\3", text)
    for inner in _SUBSTITUTION.findall(text):
        found += invocations(inner)
    for simple in _simple_commands(_SUBSTITUTION.sub("x", text).replace("\\\n", " ")):
        words = list(simple)
        while words and (
            re.fullmatch(r"\w+=.*", words[0], re.DOTALL) or words[0] in {"if", "!", "then", "do", "until", "while"}
        ):
            words.pop(0)
        if words[:1] == ["orchestrator"]:
            found.append(words[1:])
    return found


def _simple_commands(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()<>")
        lexer.whitespace_split = True
        words: list[str] = []
        redirect = False
        for word in lexer:
            if set(word) <= set("<>&") and set(word) & set("<>"):
                redirect = True
                if words and words[-1].isdigit():
                    words.pop()
            elif set(word) <= set("|&;()"):
                yield words
                words = []
            elif redirect:
                redirect = False
            else:
                words.append(word)
        yield words
