"""Which instances a sandbox has: some that follow a clock, or some that really deploy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from orchestrator.sandbox.home import Home
    from orchestrator.sandbox.ports import Agents
    from orchestrator.sandbox.storage import Storage

Hooks = Literal["none", "skip", "run"]
"""none: nothing is unpacked, events follow a clock. skip: bundles are installed, scripts only looked at. run: all."""


def agents_maker(
    hooks: Hooks, instances_dir: Path | None, repositories: Mapping[str, Path] | None, *, image: Path | None = None
) -> Callable[[Storage, Home], Agents] | None:
    """What `Sandbox` takes as its agents; None where none are asked for.

    `instances_dir`: where the instances' folders are; without it, in the sandbox's own. With it alone, hooks are
    skipped. `repositories`: GitHub's owner/name -> a local clone; None: GitHub's revisions are empty bundles.
    `image`: a folder whose contents every new instance has. Raises ValueError when hooks can't be run on this machine.
    """
    if hooks == "none" and instances_dir is None:
        if image is not None:
            raise ValueError("--instance-image is for instances that really deploy: give --hooks or --instances-dir")
        return None
    # A sandbox without such instances pays for none of this.
    from orchestrator.sandbox.agent.bubble import NoBubblewrapError, find_tools  # noqa: PLC0415 - see above
    from orchestrator.sandbox.agent.fleet import InstanceAgents  # noqa: PLC0415 - see above
    from orchestrator.sandbox.agent_bundles import SandboxBundles  # noqa: PLC0415 - see above

    try:
        tools = find_tools() if hooks == "run" else None
        if instances_dir is not None:
            instances_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except NoBubblewrapError as error:
        raise ValueError(str(error)) from error
    except OSError as error:
        raise ValueError(f"{instances_dir} can't hold the instances: {error.strerror}") from error

    def make(storage: Storage, home: Home) -> Agents:
        folder = instances_dir.absolute() if instances_dir is not None else home.folder("instances")
        return InstanceAgents(folder=folder, bundles=SandboxBundles(storage, repositories), tools=tools, image=image)

    return make
