"""Where this machine keeps what may be lost at any time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.bundle.remembered import HashCache


def hash_cache(env: Mapping[str, str]) -> HashCache | None:
    """The hashes of files from earlier runs, in `$XDG_CACHE_HOME/orchestrator`; None where there is no such place."""
    home = env.get("HOME")
    folder = env.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else "")
    if not Path(folder).is_absolute():  # the specification wants a relative one ignored
        return None
    return HashCache(Path(folder) / "orchestrator" / "hashes")
