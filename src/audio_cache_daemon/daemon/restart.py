"""Notices that the generator was started again, so that files which wait for that can go."""

from __future__ import annotations

import time

from audio_cache_daemon.daemon.pace import Pace
from audio_cache_daemon.eviction.generator import last_start
from audio_cache_daemon.request import Target
from audio_cache_daemon.retired import load_retired
from audio_cache_daemon.upkeep import generator_of


class RestartWatch:
    """Asks now and then when the generator was last started."""

    def __init__(self) -> None:
        self._next = 0.0
        self._seen: str | None = None

    def is_due(self, target: Target, pace: Pace) -> bool:
        """Whether it is time to ask; after that it isn't until the next time."""
        writer, now = target.settings.writer, time.monotonic()
        if now < self._next or writer.mode != "live" or (writer.unit is None and writer.started_file is None):
            return False
        self._next = now + (pace.generator if writer.unit is None else pace.generator_unit)
        return True

    def has_restarted(self, target: Target) -> bool:
        """Whether it was started since files began to wait for that; MaintenanceError when those can't be read."""
        started = last_start(generator_of(target.settings.writer))
        if started is None or started == self._seen:
            return False
        self._seen = started
        marks = [run.mark for run in load_retired(target.settings.location)]
        return any(mark is not None and mark.started not in (None, started) for mark in marks)
