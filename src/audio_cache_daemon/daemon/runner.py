"""The one thread that does the work, one thing after the other: so no two runs ever meet, nor a run and a reload."""

from __future__ import annotations

import threading
from collections.abc import Callable

from audio_cache_daemon.daemon.household import Household
from audio_cache_daemon.daemon.keeper import Keeper
from audio_cache_daemon.daemon.log import LOG, fields
from audio_cache_daemon.daemon.work import Work
from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.heap import give_back_memory

_IDLE_SECONDS = 5.0


class Runner(threading.Thread):
    """Takes work from the queue until the daemon is to end. `find` tells who keeps a cache; `reload` never raises."""

    def __init__(self, house: Household, find: Callable[[str], Keeper | None], reload: Callable[[], None]) -> None:
        super().__init__(name="runner", daemon=True)
        self._house = house
        self._find = find
        self._reload = reload

    def run(self) -> None:
        """Work."""
        while not self._house.stopping.is_set():
            self._house.pulse.beat("runner", self._house.pace.stale)
            work = self._house.queue.get(_IDLE_SECONDS)
            if work is None or self._house.stopping.is_set():
                continue
            self._house.pulse.beat("runner", self._house.pace.stale_run)
            try:
                self._do(work)
            except Exception:  # noqa: BLE001 -- logged with its traceback
                # The service outlives what nobody thought of: the next run may well succeed.
                LOG.exception("%s: %s failed in a way that nobody thought of", work.cache, work.kind)
            if work.kind != "generator":
                give_back_memory()

    def _do(self, work: Work) -> None:
        if work.kind == "reload":
            self._reload()
            return
        keeper = self._find(work.cache)
        if keeper is None:
            LOG.info(
                "%s: %s: not run, it is no longer configured", work.cache, work.kind, extra=fields(cache=work.cache)
            )
        elif work.kind in ("look", "scan"):
            keeper.look(at_everything=work.kind == "scan")
        elif work.kind == "generator":
            self._ask_for_restart(keeper)
        else:
            keeper.run(work)

    def _ask_for_restart(self, keeper: Keeper) -> None:
        try:
            restarted = keeper.restarts.has_restarted(keeper.target)
        except (MaintenanceError, OSError) as error:
            LOG.warning("%s: %s", keeper.name, error, extra=fields(cache=keeper.name))
            return
        if restarted:
            words = "the generator was started again, so files that waited for that can go"
            LOG.info("%s: %s", keeper.name, words, extra=fields(cache=keeper.name))
            self._house.queue.put(Work("release", keeper.name))
