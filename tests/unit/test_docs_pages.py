"""What the pages refer to exists: tests, files, headings, modules."""

from __future__ import annotations

import re
from pathlib import Path

import pages
import pytest

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def pains() -> list[list[str]]:
    return pages.rows(pages.page("pains"))


def test_there_are_all_the_pains() -> None:
    assert [int(row[0]) for row in pains()] == list(range(1, 36))


@pytest.mark.parametrize("row", pains(), ids=lambda row: row[0])
def test_every_pain_names_a_test_that_exists_or_says_later(row: list[str]) -> None:
    named = pages.codes(row[4])
    assert named or row[4] == "later"
    for each in named:
        path, _, name = each.partition("::")
        source = (pages.ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^ *(async )?def {name}\(", source, flags=re.MULTILINE), each


def anchors(path: Path) -> set[str]:
    """Of the headings, as the usual renderers name them."""
    found = pages.headings(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("path", pages.all_pages(), ids=lambda path: str(path.relative_to(pages.ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in LINK.findall(path.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), link
        if anchor:
            assert anchor in anchors(there), link


def test_every_page_is_in_the_index() -> None:
    listed = {link.partition("#")[0] for link in LINK.findall(pages.page("README"))}
    missing = {path.name for path in pages.DOCS.glob("*.md")} - listed - {"README.md"}
    assert not missing, f"docs/README.md, the index, doesn't list {', '.join(sorted(missing))}"


def test_every_decision_is_listed() -> None:
    folder = pages.DOCS / "decisions"
    listed = LINK.findall((folder / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(path.name for path in folder.glob("0*.md"))


def test_every_package_and_every_module_that_the_architecture_names_exists() -> None:
    text = pages.page("architecture")
    code = pages.ROOT / "orchestrator"
    packages = {f"{path.name}/" for path in code.iterdir() if (path / "__init__.py").exists()}
    assert packages <= set(pages.keys(pages.section(text, "Layout")))
    for name in set(pages.codes(text)):
        if re.fullmatch(r"\w+(/\w+)+\.py", name):
            assert (code / name).exists() or (pages.ROOT / name).exists(), name
