"""When policies run: the times of a schedule, and the scheduler that tells when one has come."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

from audio_cache_daemon.config.cron import cron_fields
from audio_cache_daemon.retention.policy import Schedule

_JOB_DEFAULTS = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
"""A late job is late, and not dropped: with its default of one second APScheduler drops it in silence."""

_INSTANT = 0.001
"""Less than any two times of a schedule are apart."""

_AHEAD_SECONDS = 8 * 86400.0
_FEWEST_TIMES, _MOST_TIMES = 12, 3000
"""How far is looked for the longest interval: over a year of months, a week, or its working days by the minute."""


def next_time(schedule: Schedule, after: float) -> float:
    """The first time of a schedule after a moment, both in seconds since the epoch, without its jitter.

    An interval counts from the epoch. A local time that comes twice, at the end of summer time, counts once.
    """
    if schedule.every is not None:
        return (after // schedule.every + 1) * schedule.every
    zone = _zone(schedule.timezone)
    trigger = CronTrigger(second="0", timezone=zone, **cron_fields(schedule.cron or ""))
    moment = datetime.fromtimestamp(after + _INSTANT, zone)
    while True:
        moment = trigger.get_next_fire_time(None, moment)
        if not moment.fold:
            return float(moment.timestamp())
        moment = datetime.fromtimestamp(moment.timestamp() + 1, zone)


def is_missed(schedule: Schedule, since: float, now: float) -> bool:
    """Whether a time of the schedule lies after `since`, and no further back from `now` than is made up for."""
    if schedule.catch_up is None:
        return False
    return next_time(schedule, max(since, now - schedule.catch_up)) <= now


@lru_cache
def longest_interval(schedule: Schedule) -> float:
    """The longest time between two runs of a schedule, in seconds; of a cron line, as far as it is looked ahead."""
    if schedule.every is not None:
        return schedule.every
    # From any moment, but always the same: it may take a second.
    first = previous = next_time(schedule, 0.0)
    longest = 0.0
    for count in range(_MOST_TIMES):
        if count >= _FEWEST_TIMES and previous - first > _AHEAD_SECONDS:
            break
        following = next_time(schedule, previous)
        longest, previous = max(longest, following - previous), following
    return longest


@cache
def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


class _ScheduleTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Tells the scheduler the times of a schedule, each put off by a jitter that doesn't add up."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The time after the previous one, or after now."""
        after = (previous_fire_time or now).timestamp()
        put_off = random.uniform(0, self._schedule.jitter)  # noqa: S311 -- spreads load, hides nothing
        return datetime.fromtimestamp(next_time(self._schedule, after) + put_off, UTC)


class Timetable:
    """The scheduler: calls `due` with the name of a cache when a time of its schedule has come, and `alive` always.

    Its jobs do nothing else, so that none is ever late because of another.
    """

    def __init__(self, due: Callable[[str], object], alive: Callable[[], object], heartbeat: float) -> None:
        self._due = due
        self._alive = alive
        self._heartbeat = heartbeat
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            job_defaults=_JOB_DEFAULTS,
            executors={"default": {"type": "threadpool", "max_workers": 1}},
        )

    def start(self) -> None:
        """Begin to tell the times."""
        self._scheduler.start()

    def set(self, schedules: Mapping[str, Schedule]) -> None:
        """Replace all jobs: by cache, when it is due. To be called again when the clock was set."""
        self._scheduler.remove_all_jobs()
        self._scheduler.add_job(self._alive, "interval", seconds=self._heartbeat)
        for name, schedule in schedules.items():
            self._scheduler.add_job(self._due, _ScheduleTrigger(schedule), args=(name,), id=f"cache {name}")

    def next_run(self, name: str) -> float | None:
        """When a cache is due next, jitter included; None if it has no schedule."""
        job = self._scheduler.get_job(f"cache {name}")
        return job.next_run_time.timestamp() if job is not None else None

    def stop(self) -> None:
        """Tell no more times."""
        self._scheduler.shutdown(wait=False)
