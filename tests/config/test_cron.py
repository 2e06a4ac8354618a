"""Cron lines mean what they mean to cron, or are refused with a reason."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from apscheduler.triggers.cron import CronTrigger

from audio_cache_daemon.config.cron import cron_fields

SUNDAY = datetime(2024, 6, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("15 3 * * *", {"minute": "15", "hour": "3", "day": "*", "month": "*", "day_of_week": "*"}),
        ("*/20 * * * *", {"minute": "0,20,40", "hour": "*"}),
        ("5/25 0-4/2 * * *", {"minute": "5,30,55", "hour": "0,2,4"}),
        ("0 0 1,15 JAN-mar *", {"day": "1,15", "month": "1,2,3", "day_of_week": "*"}),
        ("0 0 * * 0", {"day_of_week": "sun"}),
        ("0 0 * * 7", {"day_of_week": "sun"}),
        ("0 0 * * fri-sun", {"day_of_week": "sun,fri,sat"}),
        ("0 0 * * 1-5", {"day_of_week": "mon,tue,wed,thu,fri"}),
        ("0 0 * * 0-7", {"day_of_week": "*"}),
        ("0 0 1 * 1-7", {"day": "1", "day_of_week": "*"}),
        ("0 0 29 2 *", {"day": "29", "month": "2"}),
        ("@hourly", {"minute": "0", "hour": "*"}),
        ("@Weekly", {"minute": "0", "hour": "0", "day": "*", "day_of_week": "sun"}),
    ],
)
def test_a_line_is_spelled_out(line: str, fields: dict[str, str]) -> None:
    spelled = cron_fields(line)
    assert {name: spelled[name] for name in fields} == fields
    assert CronTrigger(**spelled, timezone=UTC).get_next_fire_time(None, SUNDAY) is not None


def test_zero_is_sunday_to_the_scheduler_too() -> None:
    trigger = CronTrigger(**cron_fields("30 4 * * 0"), timezone=UTC)
    assert trigger.get_next_fire_time(None, SUNDAY) == SUNDAY.replace(hour=4, minute=30)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("* * * * * *", "6 fields"),
        ("60 * * * *", "60 is no minute"),
        ("* 24 * * *", "24 is no hour"),
        ("* * 0 * *", "0 is no day"),
        ("* * * 13 *", "13 is no month"),
        ("* * * * 8", "8 is no day of week"),
        ("* * * mon *", "mon is no month"),
        ("*/0 * * * *", "is zero"),
        ("30-10 * * * *", "runs backwards"),
        ("1,,2 * * * *", "'' is no minute"),
        ("1-2-3 * * * *", "is no minute"),
        ("١ * * * *", "is no minute"),  # noqa: RUF001 - a digit, but none of cron's
        ("0 0 1 * mon", "both a day of the month and a weekday"),
        ("0 0 31 4,6 *", "no month"),
        ("@reboot", "is none of @yearly"),
    ],
)
def test_what_is_no_cron_line_is_refused_with_the_reason(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        cron_fields(line)
