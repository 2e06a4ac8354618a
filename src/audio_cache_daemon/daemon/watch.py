"""The watcher of a cache: hints that something changed, and where. What really changed is told by a scan.

No hint means nothing: events can be lost, and some changes make none. So it is watched itself, by `check`, and says
when it hears nothing, or not everything.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum

import msgspec

from audio_cache_daemon.daemon.watch_events import ComplaintListener, Ear, Touched
from audio_cache_daemon.daemon.watch_observer import RunningObserver
from audio_cache_daemon.daemon.watch_trees import Identity, WatchPlan, identify_places, plan_watches
from audio_cache_daemon.location import CacheLocation

logger = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
"""How often `check` is to be called: it costs a look at the roots, and one at what the kernel tells of the watches."""

_STALE_SECONDS = 6 * CHECK_SECONDS
"""A check that is so late is no delay any more: the loop that should call it hangs."""

_OVERFLOWS = 3
_OVERFLOW_SECONDS = 60.0
"""So many overflows within so long are no burst: the observer can't keep up, and repairs itself in vain."""

_REST_SECONDS = 600.0
"""How long it then rests, and how long what needs an operator is left alone."""

_RETRY_SECONDS = 60.0
"""How soon a directory that couldn't be watched is tried again, unless it is seen to have changed."""

_PACE = 200.0
"""New watches after a change of directories cost a walk over all: it is done at most for a 200th of the time."""


class WatchMode(StrEnum):
    """How changes are come to know of."""

    EVENTS = "events"
    PARTIAL = "partial"
    PERIODIC = "periodic"


class WatchFigures(msgspec.Struct, frozen=True):
    """What the watcher counts. `is_up` says whether all of the cache is watched."""

    events_total: int
    overflows_total: int
    rearmed_total: int
    is_up: bool


class CacheWatch:
    """Watches the directories that hold the index and the audio of a cache, from `start` to `stop`.

    `hint` is called on each change, in another thread, and must return soon. `start`, `check` and `stop` are for one
    thread, that of the daemon's loop. To be started before the first scan, so that no change falls between.
    `clock` never goes back.
    """

    def __init__(
        self, location: CacheLocation, hint: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._location = location
        self._clock = clock
        self._ear = Ear(hint)
        self._complaints = ComplaintListener(self._note_overflow)
        self._observer: RunningObserver | None = None
        self._plan = WatchPlan()
        self._watches = 0
        self._places: tuple[Identity | None, ...] = ()
        self._overflows_total = 0
        self._overflows_seen = 0
        self._overflow_times: deque[float] = deque(maxlen=_OVERFLOWS)
        self._rearmed_total = 0
        self._checked = float("-inf")
        self._next_try = float("inf")
        self._next_walk = float("-inf")
        self._resting = False
        self._reason: str | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._complaints.attach()
        self._checked = now = self._clock()
        self._places = identify_places(self._location)
        self._arm(now, plan_watches(self._location))

    def stop(self) -> None:
        """End all threads. Nothing is heard afterwards."""
        self._disarm()
        self._complaints.detach()

    def check(self) -> None:
        """See that the watches are still those that are needed, or make them anew; every CHECK_SECONDS."""
        self._checked = now = self._clock()
        if self._overflows_too_often(now):
            self._give_up(now, "more changes at once than the kernel's queue of events holds, again and again")
            self._resting = True
        if self._resting and now < self._next_try:
            return
        self._resting = False
        places = identify_places(self._location)
        is_broken = places != self._places or not self._is_intact()
        self._places = places
        if is_broken or (self._ear.directories_changed and now >= self._next_walk):
            self._rearm(now, plan_watches(self._location))
        elif now >= self._next_try:
            self._try_again(now)

    @property
    def mode(self) -> WatchMode:
        """Whether all changes, those in some of the directories, or none are heard of."""
        if self._observer is None:
            return WatchMode.PERIODIC
        return WatchMode.PARTIAL if self._reason else WatchMode.EVENTS

    @property
    def reason(self) -> str | None:
        """Why not everything is watched, in words; None if it is."""
        return self._reason

    def take_touched(self) -> Touched:
        """Where something changed since the last call. To be called before the look at it."""
        return self._ear.take_touched()

    def is_fresh(self) -> bool:
        """Whether `check` was called lately."""
        return self._clock() - self._checked < _STALE_SECONDS

    @property
    def figures(self) -> WatchFigures:
        """What was counted since the start."""
        is_up = self.mode == WatchMode.EVENTS
        return WatchFigures(self._ear.events_total, self._overflows_total, self._rearmed_total, is_up)

    def _note_overflow(self) -> None:
        """Called in the thread of watchdog's that reads."""
        self._overflows_total += 1
        self._ear.doubt()

    def _overflows_too_often(self, now: float) -> bool:
        new = self._overflows_total - self._overflows_seen
        if new:
            logger.warning("cache %s: %d overflows of the queue of events; all is looked at", self._location.name, new)
        self._overflows_seen += new
        self._overflow_times.extend([now] * new)
        if len(self._overflow_times) < _OVERFLOWS or self._overflow_times[0] < now - _OVERFLOW_SECONDS:
            return False
        self._overflow_times.clear()
        return True

    def _is_intact(self) -> bool:
        """Whether the observer, if there should be one, lives and has its watches."""
        if self._observer is None:
            return True
        if not self._observer.is_alive():
            return False
        count = self._observer.count_watches()
        if self._ear.take_own_directories_changed():
            self._watches = count
        # With directories that came and went the number changes by itself, and they are a reason of their own.
        return self._ear.directories_changed or count == self._watches

    def _try_again(self, now: float) -> None:
        """Watch what couldn't be watched, if it can by now; else leave the rest undisturbed."""
        plan = plan_watches(self._location)
        if self._observer is None or plan != self._plan:
            self._rearm(now, plan)
        else:
            self._next_try = now + _RETRY_SECONDS

    def _rearm(self, now: float, plan: WatchPlan) -> None:
        self._arm(now, plan)
        self._rearmed_total += self._observer is not None
        # What happened while nothing was watched made no events.
        self._ear.doubt()

    def _arm(self, now: float, plan: WatchPlan) -> None:
        self._disarm()
        self._ear.forget_directories()
        self._plan = plan
        begun = time.monotonic()
        problem = self._observe(plan) if plan.trees else "; ".join(plan.problems)
        if problem is not None:
            self._give_up(now, problem)
            if plan_watches(self._location) != plan:
                # A directory came or went meanwhile, which may be all that was wrong.
                self._next_try = now
            return
        self._next_walk = now + _PACE * (time.monotonic() - begun)
        self._next_try = now + _RETRY_SECONDS if plan.problems else float("inf")
        self._say("; ".join(plan.problems) or None)

    def _observe(self, plan: WatchPlan) -> str | None:
        """Start an observer of all that is planned; why that can't be, if so."""
        try:
            observer = RunningObserver(plan.trees, self._ear)
        except OSError as error:
            return f"the kernel gives no watch: {error.strerror}"
        self._watches = observer.count_watches()
        if self._watches < plan.directories and plan_watches(self._location) == plan:
            observer.stop()
            return f"the kernel gives {self._watches:,} watches for {plan.directories:,} directories"
        self._complaints.threads = observer.thread_idents
        self._observer = observer
        return None

    def _disarm(self) -> None:
        self._complaints.threads = frozenset()
        if self._observer is not None:
            self._observer.stop()
            self._observer = None

    def _give_up(self, now: float, reason: str) -> None:
        self._disarm()
        self._next_try = now + _REST_SECONDS
        self._say(reason)

    def _say(self, reason: str | None) -> None:
        """Tell the log, once, when what is watched changes."""
        if reason == self._reason:
            return
        self._reason = reason
        name = self._location.name
        if reason is None:
            logger.info("cache %s: all of it is watched", name)
        elif self._observer is None:
            logger.warning("cache %s: not watched, so changes show in the periodic scan: %s", name, reason)
        else:
            logger.warning("cache %s: watched in part, so some changes show in the periodic scan: %s", name, reason)
