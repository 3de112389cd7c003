"""Fixtures of the acceptance tests; the types are in `tests/rig.py`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import start_blocking_portal
from awscli import find_aws
from forks import fork_server, make_program
from rig import REGION, Command, MakeRig, Programs, Rig

from orchestrator.sandbox.fleet import BucketSpec, FleetSpec, GroupSpec
from orchestrator.sandbox.options import Faults, SandboxOptions
from orchestrator.sandbox.server import Sandbox

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each process of pytest-xdist begins with a long test: its first handful is so many in a row."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    handful = max(2, len(items) // (4 * workers))
    long = [item for item in items if item.get_closest_marker("long")]
    ordered = [item for item in items if not item.get_closest_marker("long")]
    for number, item in enumerate(long):
        ordered.insert(number * handful, item)
    items[:] = ordered


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    folder = tmp_path_factory.mktemp("bin")
    with ExitStack() as stack:
        server = stack.enter_context(fork_server(folder / "calls", "orchestrator"))
        python = Path(find_aws()).read_text().splitlines()[0].removeprefix("#!")  # the CLI is a Python program
        aws = stack.enter_context(fork_server(folder / "aws-calls", "aws", python))
        yield Programs(server, make_program(folder / "orchestrator", server), make_program(folder / "aws", aws))


@pytest.fixture
def command(tmp_path: Path, programs: Programs) -> Command:
    """Against nothing: whatever needs AWS fails."""
    return Command(tmp_path, programs)


@pytest.fixture
def make_rig(tmp_path: Path, programs: Programs) -> Iterator[MakeRig]:
    """`make_rig(groups, faults=…, time_scale=…)`: a sandbox with these `application/group`s and a bucket `releases`;
    or with this `fleet`."""
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())

        def make(
            groups: Sequence[str],
            *,
            faults: Faults | None = None,
            time_scale: float = 50.0,
            fleet: FleetSpec | None = None,
            **more: Any,
        ) -> Rig:
            fleet = fleet or FleetSpec(
                groups=tuple(
                    GroupSpec(
                        application=name.split("/")[0], deployment_group=name.split("/")[1], region=REGION, **more
                    )
                    for name in groups
                ),
                buckets=(BucketSpec(name="releases", region=REGION),),
            )
            options = SandboxOptions(time_scale=time_scale, faults=faults or Faults(), seed=7)
            endpoint = stack.enter_context(portal.wrap_async_context_manager(Sandbox(fleet, options).serve()))
            return Rig(Command(tmp_path, programs, endpoint.environment()), endpoint, portal)

        yield make


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For one file's tests: while it is there, nothing else in this process may run an event loop of its own."""
    from browsing import chromium  # noqa: PLC0415 - most tests need none

    with chromium() as found:
        yield found
