"""What users install is whole: every file of the package, and every dependency at a version that is known."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from pathlib import Path

import pages
import pytest
from pin import needed

PROJECT = tomllib.loads((pages.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE = pages.ROOT / "orchestrator"


def data_files() -> list[str]:
    found = (path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*") if path.is_file())
    return [name for name in found if not name.endswith((".py", ".pyc"))]


def test_what_is_no_python_is_installed_too() -> None:
    """setuptools takes what `package-data` names, and leaves out the rest without a word."""
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["orchestrator"]
    left_out = [name for name in data_files() if not any(fnmatch.fnmatchcase(name, each) for each in patterns)]
    assert left_out == []
    unused = [each for each in patterns if not fnmatch.filter(data_files(), each)]
    assert unused == []


def test_every_folder_with_python_is_a_package() -> None:
    """Others aren't found by setuptools either."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [str(each) for each in folders if not (each / "__init__.py").exists()] == []


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", each, maxsplit=1)[0].lower().replace("_", "-") for each in requirements}


def pinned(file: str) -> set[str]:
    lines = (pages.ROOT / "constraints" / file).read_text(encoding="utf-8").splitlines()
    return names([line for line in lines if not line.startswith("#")])


def test_every_dependency_is_pinned() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    runs = names([*PROJECT["project"]["dependencies"], *extras.get("lambda", ())])
    assert runs - pinned("runtime.txt") == set()
    assert needed("orchestrator") - pinned("runtime.txt") == set(), "what they need in turn"
    assert names([each for extra in extras.values() for each in extra]) - pinned("dev.txt") == set()


@pytest.mark.parametrize("file", ["runtime.txt", "dev.txt", "awscli.txt"])
def test_constraints_are_exact_and_name_no_place(file: str) -> None:
    lines = Path(pages.ROOT / "constraints" / file).read_text(encoding="utf-8").splitlines()
    odd = [line for line in lines if not re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[\w.+!]+", line)]
    assert odd == []


def test_what_both_pin_is_the_same() -> None:
    """What is tested is what runs."""
    runtime, dev = (
        dict(line.split("==") for line in (pages.ROOT / "constraints" / file).read_text().splitlines() if "==" in line)
        for file in ("runtime.txt", "dev.txt")
    )
    assert {name: version for name, version in runtime.items() if dev.get(name) != version} == {}
