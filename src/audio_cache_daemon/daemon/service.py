"""The service as a whole: it starts the others, turns its loop, and ends between two items when told to."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType

from audio_cache_daemon.config.load import load_settings
from audio_cache_daemon.config.settings import Settings
from audio_cache_daemon.daemon.attendance import Attendance
from audio_cache_daemon.daemon.clock import ClockWatch
from audio_cache_daemon.daemon.config_file import ConfigFile, Load
from audio_cache_daemon.daemon.household import Every, Household
from audio_cache_daemon.daemon.keeper import Keeper
from audio_cache_daemon.daemon.log import LOG, set_up_log
from audio_cache_daemon.daemon.notify import Notifier
from audio_cache_daemon.daemon.pace import Pace
from audio_cache_daemon.daemon.publisher import Publisher
from audio_cache_daemon.daemon.runner import Runner
from audio_cache_daemon.daemon.site import Site
from audio_cache_daemon.daemon.timetable import Timetable
from audio_cache_daemon.daemon.work import Work
from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.request import configured_target
from audio_cache_daemon.units import format_duration, format_time

_ENDS = (signal.SIGTERM, signal.SIGINT)


class Service:
    """The daemon, from a configuration file; `run` is its whole life."""

    def __init__(
        self, path: Path, environ: Mapping[str, str], pace: Pace | None = None, load: Load = load_settings
    ) -> None:
        pace = pace or Pace()
        self._environ = environ
        self._config = ConfigFile(path, load, environ)
        self._house = Household(pace, ClockWatch(pace.clock_drift, pace.settle))
        self._notifier = Notifier(environ)
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._keepers: dict[str, Keeper] = {}
        self._attended: dict[str, Attendance] = {}
        self._timetable = Timetable(
            lambda name: self._house.queue.put(Work("schedule", name)),
            lambda: self._house.pulse.beat("scheduler", pace.stale),
            pace.heartbeat,
        )
        self._runner = Runner(self._house, self._find_keeper, self._reload)
        self._look_at_config, self._feed = Every(pace.config), Every(self._notifier.watchdog or float("inf"))
        self._publisher = Publisher(Site(self._silent), self._house.clock, self._timetable)
        self._publish = Every(pace.publish)

    def run(self) -> int:
        """Serve until a signal ends it; the signal's number.

        ConfigError when the configuration can't be used, MaintenanceError when its address is taken.
        """
        settings = self._config.load()
        set_up_log(settings.log, self._environ)
        for number in (*_ENDS, signal.SIGHUP):
            signal.signal(number, self._take_signal)
        self._publisher.listen(settings.http)
        self._publisher.note_load(succeeded=True)
        LOG.info("started with %s, %d caches", self._config.path, len(settings.caches))
        self._timetable.start()
        self._take_over(settings)
        self._attend_all()
        self._runner.start()
        self._notifier.ready()
        end = self._turn()
        self._stop(end)
        return end

    def _find_keeper(self, name: str) -> Keeper | None:
        return self._keepers.get(name)

    def _take_signal(self, number: int, _frame: FrameType | None) -> None:
        # Nothing else is safe here: a handler may interrupt a thread that holds a lock.
        self._signals.put(number)

    def _turn(self) -> int:
        """The main loop: only asks for work, and is never kept waiting by any."""
        while True:
            self._house.pulse.beat("main loop", self._house.pace.stale)
            for number in self._take_signals():
                if number in _ENDS:
                    return number
                self._house.queue.put(Work("reload"))
            self._see_clock()
            if self._look_at_config.is_due() and self._config.has_changed():
                LOG.info("%s has changed", self._config.path)
                self._house.queue.put(Work("reload"))
            self._attend_all()
            if self._publish.is_due():
                self._publisher.update(self._attended.values())
            self._report()

    def _take_signals(self) -> list[int]:
        """The signals since the last call, or none after a tick; many of a kind are one."""
        try:
            first = self._signals.get(timeout=self._house.pace.tick)
        except Empty:
            return []
        more = [self._signals.get_nowait() for _ in range(self._signals.qsize())]
        return list(dict.fromkeys([first, *more]))

    def _see_clock(self) -> None:
        jump = self._house.clock.look()
        if not jump:
            return
        where = "ahead" if jump > 0 else "back"
        LOG.warning("the clock was set %s by %s; the schedule begins anew", where, format_duration(round(abs(jump))))
        unsettled = self._house.clock.seconds_unsettled()
        if unsettled:
            LOG.warning("policies that go by age are held back for %s: now all looks old", format_duration(unsettled))
        self._set_timetable()
        for attendance in self._attended.values():
            attendance.catch_up(self._house.pace.catch_up)

    def _take_over(self, settings: Settings) -> None:
        """Put a configuration in force. In the runner's thread, once that runs."""
        keepers = {}
        for name in settings.caches:
            target, above = configured_target(settings, name), settings.first_run.confirm_above
            keeper = self._keepers.get(name)
            if keeper is not None and keeper.target.settings.location == target.settings.location:
                keeper.take_over(target, above)
            else:
                keeper = Keeper(target, above, self._house)
            keepers[name] = keeper
        self._keepers = keepers
        self._set_timetable()

    def _set_timetable(self) -> None:
        policies = {name: keeper.target.settings.policy for name, keeper in self._keepers.items()}
        self._house.pulse.beat("scheduler", self._house.pace.stale)
        self._timetable.set({name: policy.schedule for name, policy in policies.items() if policy.schedule is not None})

    def _reload(self) -> None:
        """Read the configuration anew; one that can't be used changes nothing, and is complained of."""
        self._notifier.reloading()
        try:
            settings = self._config.load()
            self._publisher.listen(settings.http)
        except MaintenanceError as error:
            for problem in str(error).splitlines():
                LOG.error("configuration: %s", problem)
            LOG.error("the configuration was not reloaded; the one before stays in force")
            self._publisher.note_load(succeeded=False)
        else:
            self._publisher.note_load(succeeded=True)
            set_up_log(settings.log, self._environ)
            self._take_over(settings)
            LOG.info("reloaded %s, %d caches", self._config.path, len(settings.caches))
        self._notifier.ready()

    def _attend_all(self) -> None:
        keepers = self._keepers
        for name, attendance in tuple(self._attended.items()):
            if keepers.get(name) is not attendance.keeper:
                attendance.end()
                del self._attended[name]
        for name, keeper in keepers.items():
            if name not in self._attended:
                self._attended[name] = Attendance(keeper, self._house)
                self._attended[name].begin()
            self._attended[name].attend()

    def _report(self) -> None:
        """Tell the service manager that all is well, if it is."""
        self._notifier.status(self._describe())
        if not self._feed.is_due() or self._notifier.watchdog is None:
            return
        silent = self._silent()
        if silent:
            LOG.error("these loops hang: %s", ", ".join(silent))
        else:
            self._notifier.alive()

    def _silent(self) -> list[str]:
        """The loops that hang."""
        stale = [name for name, attendance in tuple(self._attended.items()) if not attendance.is_fresh()]
        return [*self._house.pulse.silent(), *stale]

    def _describe(self) -> str:
        parts = []
        for name, keeper in self._keepers.items():
            last, due = keeper.standing.last_run, self._timetable.next_run(name)
            words = f"last run {last.result} at {format_time(last.time)}" if last is not None else "no run yet"
            parts.append(f"{name}: {words}" + (f", next {format_time(due)}" if due is not None else ""))
        return "; ".join(parts)

    def _stop(self, number: int) -> None:
        """Come to rest within a bound; what is cut off then is completed by the next start, as after a crash."""
        self._notifier.stopping()
        LOG.info("told to stop (%s)", signal.Signals(number).name)
        self._house.stopping.set()
        self._house.queue.wake()
        self._timetable.stop()
        self._runner.join(self._house.pace.stop)
        for attendance in self._attended.values():
            attendance.end()
        self._publisher.close()
        if self._runner.is_alive():
            LOG.warning("a run didn't come to rest; the next start completes it")
        LOG.info("stopped")
