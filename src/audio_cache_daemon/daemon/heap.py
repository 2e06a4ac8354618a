"""Memory that was needed for a moment, given back to the system."""

from __future__ import annotations

import ctypes


def give_back_memory() -> None:
    """Let go of what the allocator keeps for later: after a look at a large cache that is as much as the look needs.

    Where the C library can't (musl gives back by itself) nothing happens. A millisecond or two.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
