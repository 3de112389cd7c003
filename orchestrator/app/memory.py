"""How the C library keeps memory that threads have used."""

from __future__ import annotations

import sys

_M_ARENA_MAX = -8  # mallopt(3)
_ARENAS = 2


def share_arenas() -> None:
    """Lets threads share two heaps. To be called before they begin.

    glibc gives each thread that allocates a heap of its own, and what is freed there stays there: with the threads that
    read, hash and compress beside each other, twenty bundles took 50 MB more, measured.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # noqa: PLC0415 - only where archives are made

    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
    except (AttributeError, OSError):
        return  # another C library, which has no such heaps
