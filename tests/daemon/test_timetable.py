"""When a policy is due: cron lines in their zone, intervals from the epoch, and what counts as missed."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from audio_cache_daemon.daemon.timetable import is_missed, longest_interval, next_time
from audio_cache_daemon.retention.policy import Schedule

BERLIN = ZoneInfo("Europe/Berlin")


def times(schedule: Schedule, start: datetime, end: datetime) -> list[str]:
    """The times of a schedule between two moments, in Berlin."""
    found, moment = [], next_time(schedule, start.timestamp())
    while moment <= end.timestamp():
        found.append(datetime.fromtimestamp(moment, BERLIN).isoformat())
        moment = next_time(schedule, moment)
    return found


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (datetime(2026, 10, 25, tzinfo=BERLIN), ["2026-10-25T02:30:00+02:00"]),
        (datetime(2026, 3, 29, tzinfo=BERLIN), ["2026-03-29T03:30:00+02:00"]),
        (datetime(2026, 7, 1, tzinfo=BERLIN), ["2026-07-01T02:30:00+02:00"]),
    ],
    ids=["autumn", "spring", "summer"],
)
def test_a_daily_run_is_one_a_day_with_summer_time_too(day: datetime, expected: list[str]) -> None:
    schedule = Schedule(cron="30 2 * * *", timezone="Europe/Berlin")
    assert times(schedule, day, day.replace(hour=23, minute=59)) == expected


def test_a_local_time_that_comes_twice_is_one_run() -> None:
    start = datetime(2026, 10, 25, 0, 30, tzinfo=BERLIN)
    hours = times(Schedule(cron="@hourly", timezone="Europe/Berlin"), start, start.replace(hour=4))
    assert [hour[11:] for hour in hours] == ["01:00:00+02:00", "02:00:00+02:00", "03:00:00+01:00", "04:00:00+01:00"]


def test_a_cron_line_is_in_utc_unless_it_says_otherwise() -> None:
    start = datetime(2026, 10, 25, tzinfo=UTC).timestamp()
    assert next_time(Schedule(cron="15 3 * * *"), start) == start + 3.25 * 3600
    assert next_time(Schedule(cron="15 3 * * 0"), start) == start + 3.25 * 3600  # a Sunday


def test_an_interval_counts_from_the_epoch() -> None:
    """However often the service is started anew, and strictly after the moment."""
    schedule = Schedule(every=6 * 3600.0)
    assert next_time(schedule, 0.0) == 21600
    assert next_time(schedule, 21600.0) == 43200
    assert next_time(schedule, 1_000_000_000.5) % 21600 == 0


@pytest.mark.parametrize(
    ("catch_up", "since", "missed"),
    [
        (None, 0.0, False),
        (3600.0, 100_000 - 7200.0, True),
        (3600.0, 100_000 - 100.0, False),
        (600.0, 100_000 - 7200.0, False),
    ],
)
def test_what_was_missed(catch_up: float | None, since: float, missed: bool) -> None:
    """A time between the last success and now, and no further back than is made up for. The last was 96,000 s ago."""
    assert is_missed(Schedule(every=3000.0 * 4, catch_up=catch_up), since, 100_000 - 1000.0) == missed


@pytest.mark.parametrize(
    ("cron", "hours"),
    [("15 3 * * *", 24), ("0 9-17 * * *", 16), ("* 9-17 * * 1-5", 63 + 1 / 60), ("@weekly", 168), ("@yearly", 8784)],
)
def test_the_longest_interval_of_a_schedule_is_found(cron: str, hours: float) -> None:
    """Also when nights, weekends or leap years make it longer than most."""
    assert longest_interval(Schedule(cron=cron)) == pytest.approx(hours * 3600)
    assert longest_interval(Schedule(every=90.0)) == 90.0
