"""The commands of every page, run as they stand there, against a sandbox. The rules: `tests/doc_commands.py`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import doc_commands
import pages
import pytest
from rig import MakeRig, Programs, fleet_of

SCRATCH = pages.ROOT / "tests" / "docs_scratch"
DEADLINE = 240


def pages_that_run() -> list[Path]:
    """Those with commands. What is wrong with a page is told by its own test."""
    return [path for path in doc_commands.command_pages() if doc_commands.has_commands(path)]


@pytest.mark.parametrize("path", pages_that_run(), ids=lambda path: str(path.relative_to(pages.ROOT)))
def test_the_commands_of_a_page_do_what_it_says(
    path: Path, make_rig: MakeRig, programs: Programs, tmp_path: Path
) -> None:
    folder = tmp_path / "scratch"
    shutil.copytree(SCRATCH, folder)
    shutil.copytree(pages.ROOT / "configs", folder / "configs")
    rig = make_rig([], fleet=fleet_of(folder / "release.yaml", folder / "configs/shop/release.yaml"), time_scale=0)
    before = folder / "before" / f"{path.stem}.sh"
    text = doc_commands.script(doc_commands.blocks_of(path), before.read_text() if before.exists() else "")
    ended = subprocess.run(
        ["bash", "-c", text],
        cwd=folder,
        env={
            "PATH": f"{programs.folder}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "ORCHESTRATOR_TIME_SCALE": "0",
            "ORCHESTRATOR_POLL_INTERVAL": "50ms",
            "ORCHESTRATOR_LISTEN": "127.0.0.1:0",
            "AWS_EC2_METADATA_DISABLED": "true",
            **rig.command.environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stdout[-2000:]}\n{ended.stderr[-3000:]}"


def test_a_command_that_ends_otherwise_fails_the_page(tmp_path: Path) -> None:
    """So that the test above can fail."""
    page = tmp_path / "x.md"
    page.write_text("```sh\ncd / && test -d bin\nfalse     # 1: of course\n(exit 3)\nexit 0\n```\n")
    text = doc_commands.script(doc_commands.blocks_of(page, tmp_path), "")
    ended = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=False)
    assert ended.returncode == 99
    assert "x.md:4: this command ended with 3, and the page says 0" in ended.stderr
