"""How long something will still take, in words that promise no more than an estimate can."""

from __future__ import annotations

_SOON = 5.0
_STEPS = ((60.0, 5), (600.0, 60), (3600.0, 60))
"""Below so many seconds an estimate is rounded to so many."""


def left(seconds: float) -> str:
    """`about 2m left`, `about 1h10m left`; what is almost over is `almost done`."""
    return f"about {roughly(seconds)} left" if seconds >= _SOON else "almost done"


def roughly(seconds: float) -> str:
    """Rounded, so that it doesn't tick: `25s`, `2m`, `1h10m`, `2d`."""
    step = next((step for below, step in _STEPS if seconds < below), 600)
    whole = max(step, round(seconds / step) * step)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86400:
        hours, minutes = divmod(whole // 60, 60)
        return f"{hours}h{minutes:02}m" if minutes else f"{hours}h"
    days, hours = divmod(whole // 3600, 24)
    return f"{days}d{hours:02}h" if hours else f"{days}d"
