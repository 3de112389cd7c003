"""`bundle check` and `bundle inspect`: what is printed, and the exit code."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli.main import cli

APPSPEC = """\
version: 0.0
os: linux
files:
  - source: app
    destination: /opt/shop
permissions:
  - object: /opt/shop
    mode: "0640"
    type: [file]
hooks:
  ApplicationStop:
    - location: s/go.sh
  AfterInstall:
    - location: s/go.sh
      timeout: 60
      runas: web
  BeforeInstall:
    - location: s/go.sh
      timeout: 10
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["bundle", *(str(argument) for argument in arguments)])


@pytest.fixture
def good(tmp_path: Path) -> Path:
    root = tmp_path / "good"
    for path, content in {"appspec.yml": APPSPEC, "app/x.txt": "hi\n", "s/go.sh": "#!/bin/sh\n"}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    (root / "s/go.sh").chmod(0o755)
    return root


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    root = tmp_path / "bad"
    root.mkdir()
    text = "version: 0.0\nos: linux\nhook: {}\nhooks:\n  AfterInstall:\n    - location: none.sh\n      timeout: 0\n"
    (root / "appspec.yml").write_text(text)
    return root


def test_many_paths_in_one_call_as_json(good: Path, bad: Path, tmp_path: Path) -> None:
    result = run("check", good, bad, tmp_path / "nothing", "--output", "json")
    assert result.exit_code == 2
    first, second, third = json.loads(result.stdout)
    assert first == {"path": str(good), "verdict": "accept", "errors": [], "warnings": []}
    assert (second["verdict"], third["verdict"]) == ("reject", "reject")
    assert [set(finding) for finding in second["errors"]] == [{"code", "file", "line", "column", "message", "hint"}] * 2
    assert [(f["code"], f["file"], f["line"], f["column"]) for f in (*second["errors"], *second["warnings"])] == [
        ("script_missing", f"{bad}/appspec.yml", 6, 17),
        ("timeout_invalid", f"{bad}/appspec.yml", 7, 16),
        ("unknown_key", f"{bad}/appspec.yml", 3, 1),
    ]
    assert [finding["code"] for finding in third["errors"]] == ["path_missing"]


def test_for_people(good: Path, bad: Path) -> None:
    assert run("check", good).stdout == f"{good}: accept\n"
    result = run("check", bad)
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    assert lines[0] == (
        f"{bad}/appspec.yml:6:17: error: hooks.AfterInstall[0].location: "
        "script 'none.sh' is not in the bundle [script_missing]"
    )
    assert lines[-1] == f"{bad}: reject, 2 errors, 1 warning"


def test_strict_makes_errors_of_warnings(good: Path) -> None:
    (good / "appspec.yml").write_text(f"{APPSPEC}hook: {{}}\n")
    assert (run("check", good).exit_code, run("check", good, "--strict").exit_code) == (0, 2)
    (one,) = json.loads(run("check", good, "--strict", "--output", "json").stdout)
    assert (one["verdict"], [f["code"] for f in one["errors"]], one["warnings"]) == ("reject", ["unknown_key"], [])


def test_what_the_deployment_says(good: Path) -> None:
    (good / "appspec.yml").rename(good / "other.yml")
    assert run("check", good).exit_code == 2
    assert run("check", good, "--appspec-filename", "other.yml").exit_code == 0
    assert run("check", good, "--file-exists-behavior", "sometimes").exit_code == 2
    archive = good.parent / "a.zip"
    with tarfile.open(archive, "w") as out:
        out.addfile(tarfile.TarInfo("appspec.yml"), io.BytesIO())
    assert "archive_type_mismatch" in run("check", archive).stdout
    assert "appspec_empty" in run("check", archive, "--bundle-type", "tar").stdout


def test_no_path_is_bad_input() -> None:
    assert run("check").exit_code == 2


def test_inspect_shows_what_an_instance_gets(good: Path) -> None:
    result = run("inspect", good)
    assert result.exit_code == 0
    text = result.stdout
    assert "  0755        10 B s/go.sh" in text
    assert "  app -> /opt/shop (1 file, 3 B)" in text
    assert "  /opt/shop: mode 0640 on 1 path" in text
    events = [text.index(event) for event in ("ApplicationStop", "BeforeInstall", "AfterInstall")]
    assert events == sorted(events)
    assert "    s/go.sh (at most 60 s, as web)" in text


def test_inspect_as_json(good: Path) -> None:
    found = json.loads(run("inspect", good, "--output", "json").stdout)
    assert (found["platform"], found["verdict"], found["total_bytes"]) == ("server", "accept", len(APPSPEC) + 3 + 10)
    assert found["digest"].startswith("sha256:")
    assert found["installed"] == [
        {"path": "/opt/shop", "from": "app", "type": "dir", "mode": "0755", "size": 0},
        {"path": "/opt/shop/x.txt", "from": "app/x.txt", "type": "file", "mode": "0640", "size": 3},
    ]
    assert [hook["event"] for hook in found["hooks"]] == ["ApplicationStop", "BeforeInstall", "AfterInstall"]
    assert found["permissions"][0]["targets"] == ["/opt/shop/x.txt"]


def test_inspect_of_an_archive_has_the_same_content(good: Path) -> None:
    archive = good.parent / "a.tar"
    with tarfile.open(archive, "w") as out:
        out.add(good, "top")
    of_folder = json.loads(run("inspect", good, "--output", "json").stdout)
    of_archive = json.loads(run("inspect", archive, "--output", "json").stdout)
    assert of_archive["top_folder"] == "top"
    for key in ("entries", "installed", "hooks", "permissions", "destinations"):
        assert of_archive[key] == of_folder[key]


def test_inspect_of_what_the_agent_refuses(bad: Path, tmp_path: Path) -> None:
    result = run("inspect", bad)
    assert result.exit_code == 2
    assert "script_missing" in result.stderr
    assert "appspec.yml" in result.stdout
    nothing = run("inspect", tmp_path / "nothing")
    assert (nothing.exit_code, "path_missing" in nothing.stderr) == (2, True)


def test_names_that_are_not_utf8_can_be_shown(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as out:
        for name, content in (("appspec.yml", b"version: 0.0\nos: linux\n"), ("caf\udce9", b"")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    assert run("inspect", archive).exit_code == 0
    assert run("inspect", archive, "--output", "json").exit_code == 0
