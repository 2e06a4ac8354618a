"""Looks at one cache that read only what is new, as far as its watch tells what that is."""

from __future__ import annotations

import time

from audio_cache_daemon.cache.tail import Tail
from audio_cache_daemon.daemon.foresight import Foresight
from audio_cache_daemon.daemon.look import Look, look_at
from audio_cache_daemon.daemon.outlook import Outlook
from audio_cache_daemon.daemon.watch import CacheWatch, WatchMode
from audio_cache_daemon.daemon.watch_events import Touched
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.request import Target

_OUTLOOK_COST = 100.0
"""So many times longer than it took an outlook is good enough, unless all is looked at: a hundredth of a core."""

_EVERYTHING = Touched(everything=True)


class View:
    """What is seen of a cache. Its looks are for one thread; `watch` may be set by another.

    `foresight` goes by what they find. `drift_total` counts what a look at everything found changed, and no event had
    announced; `scan_seconds` is how much of a processor the last one took.
    """

    def __init__(self, location: CacheLocation) -> None:
        self._tail = Tail(location)
        self._is_known = False
        self._outlook: Outlook | None = None
        self._outlook_until = float("-inf")
        self.foresight = Foresight()
        self.watch: CacheWatch | None = None
        self.drift_total = 0
        self.scan_seconds = 0.0

    def look(self, target: Target) -> Look:
        """Look at what was touched since the last look; MaintenanceError or OSError when the cache can't be seen."""
        touched = self._take_touched()
        if touched.everything:
            self.forget()
        self._tail.touch(touched.files, touched.directories)
        is_recent = time.monotonic() < self._outlook_until
        look = look_at(target, time.time(), self._tail, self._outlook if is_recent else None)
        if not is_recent:
            self._outlook = look.outlook
            self._outlook_until = time.monotonic() + _OUTLOOK_COST * look.outlook.seconds
        self._is_known = True
        if look.is_whole and look.is_consistent:
            self.foresight.consider(target, look.statistics.items)
        return look

    def look_at_everything(self, target: Target) -> Look:
        """Look at all of it, and count what the watch should have told of; errors as above."""
        started, events = time.thread_time(), self._events_total()
        expected = self.look(target) if self._is_known else None
        self.forget()
        found = self.look(target)
        self.scan_seconds = time.thread_time() - started
        # What was announced only meanwhile is no drift.
        if expected is not None and events is not None and events == self._events_total():
            self.drift_total += _differences(expected, found)
        return found

    def forget(self) -> None:
        """Let the next look be one at everything."""
        self._tail.forget()
        self._is_known = False
        self._outlook_until = float("-inf")

    def _take_touched(self) -> Touched:
        watch = self.watch
        touched = watch.take_touched() if watch is not None else _EVERYTHING
        return touched if watch is not None and watch.mode == WatchMode.EVENTS else _EVERYTHING

    def _events_total(self) -> int | None:
        watch = self.watch
        return watch.figures.events_total if watch is not None and watch.mode == WatchMode.EVENTS else None


def _differences(expected: Look, found: Look) -> int:
    """How many items and files at least are there, or gone, that one look knew of and the other didn't."""
    names = ("items", "missing", "orphans", "leftovers", "pending")
    one, other = expected.statistics, found.statistics
    return sum(abs(getattr(one, name) - getattr(other, name)) for name in names)
