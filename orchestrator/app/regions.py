"""The region that nobody has named: what the AWS SDK's own chain says, without importing the SDK."""

from __future__ import annotations

from collections.abc import Mapping
from configparser import Error as ConfigError
from configparser import RawConfigParser
from pathlib import Path

from orchestrator.core.errors import UsageError


def default_region(env: Mapping[str, str]) -> str | None:
    """The variables' region, else the profile's; None where neither says one."""
    return env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or _region_of_profile(env)


def require_region(region: str | None) -> str:
    """Raises `UsageError` when there is none."""
    if region is None:
        raise UsageError("no region is set", hint="set AWS_REGION, give --region, or name one in the AWS profile")
    return region


def _region_of_profile(env: Mapping[str, str]) -> str | None:
    name = env.get("AWS_PROFILE") or env.get("AWS_DEFAULT_PROFILE") or "default"
    sections = (f"profile {name}", name) if name != "default" else ("default", "profile default")
    home = env.get("HOME", "")
    path = Path(env.get("AWS_CONFIG_FILE") or f"{home}/.aws/config")
    if path.parts[:1] == ("~",):
        path = Path(home, *path.parts[1:])
    # A file that can't be read, or isn't a configuration, is the SDK's to complain about.
    parser = RawConfigParser(default_section="", strict=False, allow_no_value=True)
    try:
        parser.read(path, encoding="utf-8")
    except (OSError, ConfigError, ValueError):
        return None
    found = (parser.get(section, "region", fallback=None) for section in sections)
    return next((region for region in found if region), None)
