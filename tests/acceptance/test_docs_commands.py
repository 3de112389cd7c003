"""The commands of every page, run as they stand there, against a sandbox. The rules: `tests/doc_commands.py`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import doc_commands
import pages
import pytest
from awscli import find_aws
from quick_command import quick_command
from rig import MakeRig

from orchestrator.app.offline import sandbox_fleet
from orchestrator.sandbox.fleet import FleetSpec

SCRATCH = pages.ROOT / "tests" / "docs_scratch"
DEADLINE = 60


def pages_that_run() -> list[Path]:
    """Those with commands. What is wrong with a page is told by its own test."""
    return [path for path in doc_commands.command_pages() if doc_commands.has_commands(path)]


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `orchestrator` and the stock `aws`, for PATH."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "aws").symlink_to(find_aws())
    with quick_command(folder):
        yield folder


def fleet_of(*manifests: Path) -> FleetSpec:
    """All that these manifests name, in all of their environments."""
    fleets = [sandbox_fleet(each, None, {}, {}, instances=2) for each in manifests]
    return FleetSpec(
        groups=tuple(group for fleet in fleets for group in fleet.groups),
        buckets=tuple(bucket for fleet in fleets for bucket in fleet.buckets),
    )


@pytest.mark.parametrize("path", pages_that_run(), ids=lambda path: str(path.relative_to(pages.ROOT)))
def test_the_commands_of_a_page_do_what_it_says(path: Path, make_rig: MakeRig, programs: Path, tmp_path: Path) -> None:
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
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "ORCHESTRATOR_TIME_SCALE": "0",
            "ORCHESTRATOR_POLL_INTERVAL": "50ms",
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
