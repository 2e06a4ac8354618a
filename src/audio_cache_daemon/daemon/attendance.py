"""What the main loop does for one cache: sees what the command line left, keeps its watch, and asks for looks."""

from __future__ import annotations

import random
import time
from contextlib import suppress

from audio_cache_daemon.daemon.hints import Hints
from audio_cache_daemon.daemon.household import Every, Household
from audio_cache_daemon.daemon.keeper import Keeper
from audio_cache_daemon.daemon.log import LOG, fields
from audio_cache_daemon.daemon.notes import Pause, load_accepted, load_pause
from audio_cache_daemon.daemon.presence import claim, release
from audio_cache_daemon.daemon.timetable import is_missed
from audio_cache_daemon.daemon.watch import CHECK_SECONDS, CacheWatch, WatchFigures
from audio_cache_daemon.daemon.work import Work
from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.generator import is_left_out_of_step
from audio_cache_daemon.eviction.recovery import interrupted_run
from audio_cache_daemon.units import format_time


class Attendance:
    """Attends to one cache, from `begin` to `end`, in the main loop's thread. It asks for work, and does none."""

    def __init__(self, keeper: Keeper, house: Household) -> None:
        self.keeper = keeper
        self._house = house
        self._hints = Hints()
        self._watch = CacheWatch(keeper.target.settings.location, self._hints.note)
        keeper.view.watch = self._watch
        self._location = keeper.target.settings.location
        self._control, self._check = Every(house.pace.control), Every(CHECK_SECONDS)
        self._scan_asked = float("-inf")
        self._paused = False
        self.pause = Pause()
        self.accepted: frozenset[str] = frozenset()
        self._accepted: str | None = None
        self._claim: int | None = None

    def begin(self) -> None:
        """Watch, look, and make up for what was missed."""
        self._watch.start()
        self._see_controls(first=True)
        if self._was_interrupted():
            self._house.queue.put(Work("start", self.keeper.name))
        self.catch_up(self._house.pace.catch_up)

    def end(self) -> None:
        """Let go of the cache."""
        self._watch.stop()
        self.keeper.view.foresight.close()
        if self._claim is not None:
            release(self._claim)

    @property
    def watch_figures(self) -> WatchFigures:
        """What the watch of the cache counted."""
        return self._watch.figures

    def is_fresh(self) -> bool:
        return self._watch.is_fresh()

    def attend(self) -> None:
        """One round."""
        now = time.monotonic()
        if self._check.is_due():
            self._watch.check()
            self._stay_present()
        if self._control.is_due():
            self._see_controls()
        if self.keeper.restarts.is_due(self.keeper.target, self._house.pace):
            self._house.queue.put(Work("generator", self.keeper.name))
        if now >= self._scan_asked + max(
            self._house.pace.scan, self._house.pace.scan_cost * self.keeper.view.scan_seconds
        ):
            self._scan_asked = now
            self._house.queue.put(Work("scan", self.keeper.name))
        elif self._hints.take_due(self._patience()):
            self._house.queue.put(Work("look", self.keeper.name))

    def _patience(self) -> float:
        pace, look = self._house.pace, self.keeper.last_look
        cost = pace.look_cost * look.seconds if look is not None else 0.0
        return min(max(pace.patience, cost), pace.longest_patience)

    def catch_up(self, within: float) -> None:
        """Ask for a run, within so many seconds, if one was missed."""
        schedule, standing = self.keeper.target.settings.policy.schedule, self.keeper.standing
        since = standing.last_success if standing.last_success is not None else standing.since
        if schedule is None or not is_missed(schedule, since, time.time()):
            return
        delay = random.uniform(0, within)  # noqa: S311 -- spreads load, hides nothing
        LOG.info(
            "%s: a run was missed since %s; it is made up for in %.0f s", self.keeper.name, format_time(since), delay,
            extra=fields(cache=self.keeper.name),
        )  # fmt: skip
        self._house.queue.put(Work("catch_up", self.keeper.name), delay)

    def _was_interrupted(self) -> bool:
        # What is wrong there is said by the run that would put it right.
        with suppress(MaintenanceError, OSError):
            return is_left_out_of_step(self._location) or interrupted_run(self._location) is not None
        return False

    def _stay_present(self) -> None:
        if self._claim is None:
            self._claim = claim(self._location)

    def _see_controls(self, *, first: bool = False) -> None:
        try:
            pause, accepted = load_pause(self._location), load_accepted(self._location)
        except MaintenanceError:
            return  # what can't be read holds back each run, which says so
        self.pause, self.accepted = pause, accepted
        name, awaiting = self.keeper.name, self.keeper.standing.awaiting
        paused = pause.holds(time.time())
        if paused != self._paused:
            self._paused = paused
            until = "" if pause.until is None else f" until {format_time(pause.until)}"
            words = f"paused{until} by {pause.by}" if paused else "resumed"
            LOG.info("%s: %s", name, words, extra=fields(cache=name))
            if not paused and not first:
                self.catch_up(0.0)
        if awaiting is not None and awaiting.hash in accepted and awaiting.hash != self._accepted:
            self._accepted = awaiting.hash
            LOG.info("%s: policy %s was accepted", name, awaiting.hash, extra=fields(cache=name))
            self._house.queue.put(Work("start", name))
