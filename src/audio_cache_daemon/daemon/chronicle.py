"""Keeps the history of one cache on the disk. In the runner's thread."""

from __future__ import annotations

import time

from audio_cache_daemon.daemon.history import History, PastRun, Point
from audio_cache_daemon.daemon.log import LOG, fields
from audio_cache_daemon.daemon.look import Look
from audio_cache_daemon.daemon.notes import load_history, save_history
from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.location import META_NAME, CacheLocation
from audio_cache_daemon.model import OutcomeCounts, RunReport


class Chronicle:
    """Notes how a cache fares. What can't be read is begun anew, what can't be written is complained of once."""

    def __init__(self, location: CacheLocation) -> None:
        self._location = location
        self._complaint = ""
        self.history = self._load()

    def note_look(self, look: Look) -> None:
        """Note the size of the cache, if it is time for it."""
        self._keep(self.history.with_point(Point(look.time, look.size, look.statistics.items)))

    def note_run(self, report: RunReport, trigger: str, words: str) -> None:
        """Note a run that ended just now."""
        counts = report.outcome or OutcomeCounts()
        run = PastRun(report.run, trigger, time.time(), report.result.value, words, counts.evicted, counts.bytes_freed)
        self._keep(self.history.with_run(run))

    def _load(self) -> History:
        try:
            return load_history(self._location)
        except MaintenanceError as error:
            self._complain(f"{error}; its history begins anew")
            return History()

    def _keep(self, history: History) -> None:
        if history is self.history:
            return
        self.history = history
        # As with all that the service remembers: no index, no cache, and nothing of ours there.
        if not (self._location.path / META_NAME).exists():
            return
        try:
            save_history(self._location, history)
        except MaintenanceError as error:
            self._complain(str(error))

    def _complain(self, words: str) -> None:
        if words != self._complaint:
            self._complaint = words
            LOG.warning("%s: %s", self._location.name, words, extra=fields(cache=self._location.name))
