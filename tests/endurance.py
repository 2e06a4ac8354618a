"""What the tests share that do the same thing many times over."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOAKING = bool(os.environ.get("AUDIO_CACHE_SOAK"))
"""Whether they take their time: `make soak` sets it, and what is drawn at random is drawn more often."""

_SHARED_MEMORY = Path("/dev/shm")
IN_MEMORY = str(_SHARED_MEMORY) if os.access(_SHARED_MEMORY, os.W_OK) else None
"""A place where flushing costs nothing, if the system has one: a busy disk makes a service late, and a test fail."""


@contextmanager
def directory_in_memory() -> Iterator[Path]:
    """An empty directory, in memory if there can be one."""
    with tempfile.TemporaryDirectory(prefix="audio-cache-daemon-", dir=IN_MEMORY) as directory:
        yield Path(directory)
