"""Memory that was needed for a moment, given back to the system."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD of glibc's mallopt(3)."""

_LARGE_BYTES = 2**20


def give_back_large_memory_at_once() -> None:
    """Let a column of a large cache that isn't used any more take no memory from then on, in all of this process.

    By itself glibc keeps what was freed, up to 32 MB apiece, in case that it is asked for again: that is a tenth
    quicker, and a plan of a million items takes 30 MB more, a run of the service 60.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)


def give_back_memory() -> None:
    """Let go of what the allocator keeps for later: after a look at a large cache that is as much as the look needs.

    Where the C library can't (musl gives back by itself) nothing happens. A millisecond or two.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
