"""What is known of each cache at a moment: for `status`, for the HTTP server, and as metrics."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from audio_cache_daemon.daemon.first_run import policy_hash
from audio_cache_daemon.daemon.look import Look, look_at
from audio_cache_daemon.daemon.notes import Awaiting, Pause, Standing, load_accepted, load_pause, load_standing
from audio_cache_daemon.daemon.presence import is_kept
from audio_cache_daemon.daemon.timetable import next_time
from audio_cache_daemon.daemon.words import AGAIN_AND_AGAIN
from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.recovery import interrupted_run
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import Forecast
from audio_cache_daemon.request import Target
from audio_cache_daemon.retention.policy import Schedule
from audio_cache_daemon.units import format_time


class Overview(msgspec.Struct, frozen=True):
    """What is known of one cache. `look` is None when it was not seen; `problems` say in words what is wrong.

    Of these `sight_problems` are what the look itself met. `is_kept` tells whether a service looks after it,
    `next_run` when it is due, `accepted` which policies may evict much, `was_looked_at` whether a look was tried,
    `is_deaf` whether changes go unheard of until the next look at everything. `forecast` is what comes, if a service
    has worked it out.
    """

    target: Target
    look: Look | None
    standing: Standing | None
    pause: Pause
    is_kept: bool
    next_run: float | None
    problems: tuple[str, ...]
    sight_problems: tuple[str, ...] = ()
    accepted: frozenset[str] = frozenset()
    was_looked_at: bool = True
    is_deaf: bool = False
    forecast: Forecast | None = None

    @property
    def awaiting(self) -> Awaiting | None:
        """The policy that waits to be accepted, if it is still the one that is configured."""
        awaiting = self.standing.awaiting if self.standing is not None else None
        if awaiting is None or awaiting.hash != policy_hash(self.target) or awaiting.hash in self.accepted:
            return None
        return awaiting

    @property
    def name(self) -> str:
        return self.target.settings.location.name


def oversee(target: Target, now: float) -> Overview:
    """Look at a cache and at what is remembered of it, with a service or without."""
    location, schedule = target.settings.location, target.settings.policy.schedule
    problems: list[str] = []
    look, standing, pause = None, None, Pause()
    try:
        standing, pause = load_standing(location), load_pause(location)
        look = look_at(target, now)
        problems += look.problems
        interrupted = interrupted_run(location)
        if interrupted is not None:
            problems.append(f"run {interrupted} was interrupted; the next run puts that right first")
    except (MaintenanceError, OSError) as error:
        problems.append(str(error))
    problems += standing_problems(target, standing, _accepted(location))
    due = next_time(schedule, now) if schedule is not None else None
    return Overview(
        target, look, standing, pause, is_kept(location), after_pause(schedule, due, pause), tuple(problems)
    )


def after_pause(schedule: Schedule | None, due: float | None, pause: Pause) -> float | None:
    """When a run that is due at that moment will be, given a pause; None: never, or when it is resumed."""
    if schedule is None or due is None or not pause.holds(due):
        return due
    return next_time(schedule, pause.until) if pause.until is not None else None


def standing_problems(target: Target, standing: Standing | None, accepted: frozenset[str]) -> Iterator[str]:
    """What is wrong by what is remembered of a cache, in words."""
    if standing is None:
        return
    awaiting = standing.awaiting
    if awaiting is not None and awaiting.hash == policy_hash(target) and awaiting.hash not in accepted:
        yield f"its policy is new, would evict {awaiting.words}, and waits for accept-policy {awaiting.hash}"
    if standing.vanishings >= AGAIN_AND_AGAIN:
        looks = standing.vanishings
        yield f"{standing.vanished:,} files vanished without the service, in {looks} looks: who else cleans?"
    if standing.last_run is not None and standing.last_run.result in ("failed", "refused"):
        yield f"the last run ended with: {standing.last_run.words}"


def _accepted(location: CacheLocation) -> frozenset[str]:
    try:
        return load_accepted(location)
    except MaintenanceError:
        return frozenset()


def overview_as_json(overview: Overview, now: float) -> dict[str, object]:
    """The facts of `status --format json`, and of `/api/v1/status`."""
    target, look, standing = overview.target, overview.look, overview.standing
    settings, pause = target.settings, overview.pause
    figures = look.statistics if look is not None else None
    last = standing.last_run if standing is not None else None
    return {
        "cache": settings.location.name,
        "path": settings.location.path,
        "policy": settings.policy.name,
        "policy_hash": policy_hash(target),
        "mode": settings.policy.mode,
        "service": overview.is_kept,
        "paused": pause.holds(now),
        "paused_until": _moment(pause.until if pause.holds(now) else None),
        "seen": _moment(look.time if look is not None else None),
        "items": figures.items if figures else None,
        "bytes": figures.audio_bytes if figures else None,
        "marks": {mark.name: {"value": mark.value, "limit": mark.limit, "goal": mark.goal, "crossed": mark.is_crossed}
                  for mark in look.marks} if look else None,
        "missing": figures.missing if figures else None,
        "retired": figures.retired if figures else None,
        "pending": {"items": figures.pending, "bytes": figures.pending_bytes} if figures else None,
        "evictable": dict(look.outlook.evictable) if look else None,
        "trash": {"items": look.trash_items, "bytes": look.trash_bytes} if look else None,
        "last_run": {"run": last.run, "trigger": last.trigger, "time": _moment(last.time), "result": last.result,
                     "words": last.words} if last else None,
        "last_success": _moment(standing.last_success if standing is not None else None),
        "next_run": _moment(overview.next_run),
        "awaiting": standing.awaiting.hash if standing is not None and standing.awaiting is not None else None,
        "vanished": standing.vanished if standing is not None else 0,
        "problems": overview.problems,
    }  # fmt: skip


def _moment(timestamp: float | None) -> str | None:
    return None if timestamp is None else format_time(timestamp)
