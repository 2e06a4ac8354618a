"""What the tests share that do the same thing many times over."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOAKING = bool(os.environ.get("AUDIO_CACHE_SOAK"))
"""Whether they take their time: `make soak` sets it, and what is drawn at random is drawn more often."""

_IN_MEMORY = Path("/dev/shm")


@contextmanager
def directory_in_memory() -> Iterator[Path]:
    """An empty directory where flushing costs nothing, if the system has such a place."""
    parent = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="audio-cache-daemon-", dir=parent) as directory:
        yield Path(directory)
