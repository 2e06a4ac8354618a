"""Shows the figures of all caches to the world: collects them, and lets the HTTP server have them."""

from __future__ import annotations

import time
from collections.abc import Iterable

from audio_cache_daemon.config.settings import HttpSettings
from audio_cache_daemon.daemon.attendance import Attendance
from audio_cache_daemon.daemon.clock import ClockWatch
from audio_cache_daemon.daemon.http_server import HttpServer
from audio_cache_daemon.daemon.log import LOG
from audio_cache_daemon.daemon.measures import measure, measure_watch
from audio_cache_daemon.daemon.overview import Overview, after_pause, standing_problems
from audio_cache_daemon.daemon.site import Site
from audio_cache_daemon.daemon.timetable import Timetable
from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.reporting.metrics import Samples, build_samples


class Publisher:
    """`update` is for the main loop, `listen` and `note_load` for whoever loads the configuration."""

    def __init__(self, site: Site, clock: ClockWatch, timetable: Timetable) -> None:
        self._site = site
        self._clock = clock
        self._timetable = timetable
        self._server: HttpServer | None = None
        self._loads: Samples = {}

    def note_load(self, *, succeeded: bool) -> None:
        """The configuration was loaded, or could not be."""
        loads = {**self._loads, ("audio_cache_config_last_reload_successful", ()): float(succeeded)}
        if succeeded:
            loads["audio_cache_config_last_reload_timestamp_seconds", ()] = time.time()
        self._loads = loads

    def listen(self, settings: HttpSettings | None) -> None:
        """Serve at an address, or nowhere; MaintenanceError when it can't be had, and all stays as it was."""
        before = self._server
        if before is not None and settings in (before.settings, before.address):
            return
        self._server = self._replace(before, settings) if settings is not None else None
        if before is not None:
            before.close()
        if self._server is None:
            return
        address = self._server.address
        LOG.info("http: listening on http://%s/", address)
        if not address.is_loopback:
            LOG.warning("http: anyone who reaches %s can read metrics and status, without a password", address)

    def _replace(self, before: HttpServer | None, settings: HttpSettings) -> HttpServer:
        try:
            return HttpServer(settings, self._site.respond)
        except MaintenanceError:
            if before is None or before.address.port != settings.port:
                raise
        # It may be ourselves who have the port, at another address.
        before.close()
        try:
            return HttpServer(settings, self._site.respond)
        except MaintenanceError:
            self._server = HttpServer(before.address, self._site.respond)
            raise

    def update(self, attended: Iterable[Attendance]) -> None:
        """Show what is known now."""
        now = time.time()
        samples = {**build_samples(), **self._loads, ("audio_cache_clock_jumps_total", ()): float(self._clock.jumps)}
        known = []
        for attendance in attended:
            overview, keeper = self._oversee(attendance), attendance.keeper
            known.append((overview, keeper.chronicle.history))
            # After the look that the overview has: what that found is counted by then.
            samples |= keeper.tally.samples
            samples |= measure_watch(keeper.name, attendance.watch_figures, keeper.view.drift_total)
            samples |= measure(overview, now)
        self._site.update(tuple(known), samples, now)

    def _oversee(self, attendance: Attendance) -> Overview:
        """What the service knows, without a look at the disk."""
        keeper, pause = attendance.keeper, attendance.pause
        # Asked for before the look itself, which may come in between.
        was_looked_at = keeper.has_looked
        target = keeper.target
        schedule, due = target.settings.policy.schedule, self._timetable.next_run(keeper.name)
        return Overview(
            target=target,
            look=keeper.last_look,
            forecast=keeper.view.foresight.forecast,
            standing=keeper.standing,
            pause=pause,
            is_kept=True,
            next_run=after_pause(schedule, due, pause),
            problems=(*keeper.problems, *standing_problems(target, keeper.standing, attendance.accepted)),
            sight_problems=keeper.problems,
            accepted=attendance.accepted,
            was_looked_at=was_looked_at,
            is_deaf=not attendance.watch_figures.is_up,
        )

    def close(self) -> None:
        """Serve no more."""
        if self._server is not None:
            self._server.close()
