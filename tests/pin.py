"""Writes the constraint files from what is installed, without any index address: names and versions only."""

from __future__ import annotations

from importlib.metadata import distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

FOLDER = Path(__file__).parent.parent / "constraints"
SELF = "orchestrator"
TOOLS = {"pip", "setuptools", "wheel", SELF}


def needed(name: str, extras: frozenset[str] = frozenset(), seen: set[str] | None = None) -> set[str]:
    """The distribution's requirements, with theirs; normalised names."""
    found = set() if seen is None else seen
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        environments = [{"extra": extra} for extra in (extras or {""})]
        if requirement.marker is not None and not any(requirement.marker.evaluate(each) for each in environments):
            continue
        normal = requirement.name.lower().replace("_", "-")
        if normal not in found:
            found.add(normal)
            needed(requirement.name, frozenset(requirement.extras), found)
    return found


def main() -> None:
    versions = {each.name.lower().replace("_", "-"): f"{each.name}=={each.version}" for each in distributions()}
    runtime = sorted(versions[name] for name in needed(SELF, frozenset({"lambda"})))
    dev = sorted(line for name, line in versions.items() if name not in TOOLS)
    again = "`make constraints` writes this file anew."
    (FOLDER / "runtime.txt").write_text(f"# Exact versions of what runs; {again}\n" + "\n".join(runtime) + "\n")
    (FOLDER / "dev.txt").write_text(
        f"# Exact versions of what runs, tests and checks; {again}\n" + "\n".join(dev) + "\n"
    )


if __name__ == "__main__":
    main()
