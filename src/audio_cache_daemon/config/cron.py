"""Cron lines as operators know them, checked and turned into the fields of APScheduler's `CronTrigger`.

Its own `from_crontab` takes 0 for Monday, knows neither 7 nor `@daily`, and asks for both days where cron asks
for either. So each field is spelled out here as a list that leaves nothing to interpret.
"""

from __future__ import annotations

import re

import msgspec

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_PART = re.compile(
    r"(?:(?P<all>\*)|(?P<first>[a-z]+|[0-9]{1,2})(?:-(?P<last>[a-z]+|[0-9]{1,2}))?)(?:/(?P<step>[0-9]{1,2}))?"
)


class _Field(msgspec.Struct, frozen=True):
    """A field of a cron line: what `CronTrigger` calls it, its numbers, and the names that stand for some of them."""

    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        if text in self.names:
            return self.names.index(text) + self.lowest
        if not text.isdigit() or not self.lowest <= int(text) <= self.highest:
            raise ValueError(f"{text} is no {self.name.replace('_', ' ')}")
        return int(text)


_DAY = _Field("day", 1, 31)
_MONTH = _Field("month", 1, 12, _MONTHS)
_WEEKDAY = _Field("day_of_week", 0, 7, _WEEKDAYS)
_FIELDS = (_Field("minute", 0, 59), _Field("hour", 0, 23), _DAY, _MONTH, _WEEKDAY)


def cron_fields(line: str) -> dict[str, str]:
    """The keyword arguments of `CronTrigger` for a cron line; ValueError saying what is wrong with it."""
    words = line.lower().split()
    if len(words) == 1 and words[0].startswith("@"):
        if words[0] not in _SHORTHANDS:
            raise ValueError(f"{words[0]} is none of {', '.join(_SHORTHANDS)}")
        words = _SHORTHANDS[words[0]].split()
    if len(words) != len(_FIELDS):
        raise ValueError(f"{len(words)} fields instead of 5: minute, hour, day, month, weekday")
    numbers = {field.name: _numbers(field, word) for field, word in zip(_FIELDS, words, strict=True)}
    _check_days(numbers)
    return {field.name: _spelled(field, numbers[field.name]) for field in _FIELDS}


def _numbers(field: _Field, word: str) -> set[int]:
    numbers = {number for part in word.split(",") for number in _range(field, part)}
    return {number % 7 for number in numbers} if field is _WEEKDAY else numbers


def _range(field: _Field, part: str) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        raise ValueError(f"{part!r} is no {field.name.replace('_', ' ')}")
    step = int(match["step"] or 1)
    if step == 0:
        raise ValueError(f"the step of {part!r} is zero")
    if match["all"]:
        return range(field.lowest, field.highest + (field is not _WEEKDAY), step)
    first = field.number(match["first"])
    last = field.highest if match["step"] else first
    if match["last"]:
        last = field.number(match["last"])
    if field is _WEEKDAY and last == 0 < first:
        last = 7
    if last < first:
        raise ValueError(f"{part!r} runs backwards")
    return range(first, last + 1, step)


def _is_all(field: _Field, numbers: set[int]) -> bool:
    return len(numbers) == (7 if field is _WEEKDAY else field.highest - field.lowest + 1)


def _check_days(numbers: dict[str, set[int]]) -> None:
    days, months = numbers["day"], numbers["month"]
    if not _is_all(_DAY, days) and not _is_all(_WEEKDAY, numbers["day_of_week"]):
        raise ValueError("both a day of the month and a weekday; cron would run on either, so write two policies")
    if all(min(days) > _LONGEST[month - 1] for month in months):
        raise ValueError("no month that it names has such a day")


def _spelled(field: _Field, numbers: set[int]) -> str:
    if _is_all(field, numbers):
        return "*"
    return ",".join(_WEEKDAYS[number] if field is _WEEKDAY else str(number) for number in sorted(numbers))
