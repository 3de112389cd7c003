"""Every command line of ours in the pages is one that the CLI takes: the command, its options and their values."""

from __future__ import annotations

import re
from pathlib import Path

import click
import doc_commands
import pages
import pytest

from orchestrator.cli.main import COMMANDS, cli

SCRATCH = pages.ROOT / "tests" / "docs_scratch"
PAGES = doc_commands.command_pages()


def parse(words: list[str]) -> None:
    """As the command line would be. Raises click.UsageError."""
    context = cli.make_context("orchestrator", list(words))
    _, command, rest = cli.resolve_command(context, [*context._protected_args, *context.args])
    while command is not None:
        try:
            context = command.make_context(command.name, list(rest), parent=context)
        except click.exceptions.Exit:  # --help
            return
        except click.BadParameter as error:
            if error.message.endswith("does not exist."):  # a file that an earlier command of the page makes
                return
            raise
        if not isinstance(command, click.Group) or not isinstance(context.command, click.Group):
            return
        _, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])


def relative(path: Path) -> str:
    return str(path.relative_to(pages.ROOT))


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_every_command_line_is_understood(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SCRATCH)
    wrong: list[str] = []
    for block in doc_commands.blocks_of(path):
        for command in block.commands:
            for words in doc_commands.invocations(command.text):
                try:
                    parse(words)
                except click.ClickException as error:
                    wrong.append(f"{command.where}: orchestrator {' '.join(words)}: {error.format_message()}")
    assert not wrong, "\n".join(wrong)


def options_known(name: str) -> set[str]:
    """All options of a command and of those below it."""
    command = cli.get_command(click.Context(cli), name)
    todo, found = [command], {"--help", "-h"}
    while todo:
        each = todo.pop()
        if isinstance(each, click.Group):
            todo += each.commands.values()
        if (serve := getattr(each, "serve", None)) is not None:
            todo.append(serve)
        for param in each.params if each is not None else ():
            found.update([*param.opts, *param.secondary_opts])
    return found


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_what_the_text_calls_a_command_is_one(path: Path) -> None:
    """In the text there are placeholders, so only commands and options are looked at."""
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for code in re.findall(r"`orchestrator ([^`]+)`", text):
        words = code.split()
        if not words[0][0].isalpha() or not words[0].islower():
            continue  # `orchestrator COMMAND --help`
        assert words[0] in COMMANDS, f"{relative(path)}: `orchestrator {code}`: there is no such command"
        used = {found for word in words for found in re.findall(r"^\[?(--?[a-z][a-z0-9-]*)", word)}
        unknown = used - options_known(words[0])
        assert not unknown, f"{relative(path)}: `orchestrator {code}`: no such options: {', '.join(sorted(unknown))}"


def test_what_is_parsed_is_what_stands_there() -> None:
    """The splitting itself, so that the tests above don't hold for want of commands."""
    line = "A=b orchestrator wait d-1 2> err --for 5s | tee x && ! orchestrator runs > $(orchestrator version) # x"
    assert doc_commands.invocations(line) == [["version"], ["wait", "d-1", "--for", "5s"], ["runs"]]
    assert doc_commands.invocations("orchestrator plan \\\n  'a b'") == [["plan", "a b"]]
    assert doc_commands.invocations("cat > x <<'EOF'\norchestrator nonsense\nEOF\norchestrator runs") == [["runs"]]
    total = sum(len(block.commands) for path in PAGES for block in doc_commands.blocks_of(path))
    assert total > 20
    with pytest.raises(click.UsageError, match="No such option"):
        parse(["sandbox", "status", "--envfile", "x"])
    with pytest.raises(click.UsageError, match="nonsense"):
        parse(["bundle", "nonsense"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("    orchestrator runs\n", "go into a fenced block"),
        ("<!-- not run -->\n```sh\norchestrator runs\n```\n", "not understood"),
        ("<!-- not run: it is long -->\ntext\n```sh\norchestrator runs\n```\n", "right before its fenced block"),
        ("```sh\nif true; then\n```\n", "waits for more"),
    ],
)
def test_a_page_that_hides_its_commands_is_told(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "x.md").write_text(text)
    with pytest.raises(ValueError, match=says):
        doc_commands.blocks_of(tmp_path / "x.md", tmp_path)
