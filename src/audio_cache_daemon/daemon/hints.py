"""Hints that something changed in a cache: when a burst of them is over, and a look is due."""

from __future__ import annotations

import threading
import time

QUIET_SECONDS = 2.0
"""The generator adds in bursts, each take some events: a burst is over when nothing was heard for this long..."""

PATIENCE_SECONDS = 30.0
"""...or is looked at while it lasts."""


class Hints:
    """Collects the hints of one cache, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: float | None = None
        self._last = 0.0

    def note(self) -> None:
        """Something changed just now."""
        now = time.monotonic()
        with self._lock:
            self._first = now if self._first is None else self._first
            self._last = now

    def take_due(self) -> bool:
        """Whether a look is due; what is heard from now on leads to the next."""
        now = time.monotonic()
        with self._lock:
            if self._first is None or (now - self._last < QUIET_SECONDS and now - self._first < PATIENCE_SECONDS):
                return False
            self._first = None
            return True
