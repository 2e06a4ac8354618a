"""Hints that something changed in a cache, from any thread."""

from __future__ import annotations

import threading
import time

from audio_cache_daemon.daemon.settling import Settling


class Hints:
    """Collects the hints of one cache, and says when a look is due."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settling = Settling()

    def note(self) -> None:
        """Something changed just now."""
        with self._lock:
            self._settling.hint(time.monotonic())

    def take_due(self, patience: float) -> bool:
        """Whether a look is due, `patience` seconds after the first hint at the latest.

        If it is, what is heard from now on leads to the next.
        """
        with self._lock:
            due = self._settling.due(patience)
            if due is None or time.monotonic() < due:
                return False
            self._settling.clear()
            return True
