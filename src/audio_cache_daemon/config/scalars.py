"""The kinds of single values in a configuration file: how each is written, read, and described in the schema."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from audio_cache_daemon.config.cron import cron_fields
from audio_cache_daemon.config.settings import HttpSettings
from audio_cache_daemon.patterns import compile_pattern
from audio_cache_daemon.retention.policy import Share, YoungerThan
from audio_cache_daemon.units import format_duration, parse_duration, parse_percentage, parse_size

_LONGEST_DURATION = 36500 * 86400.0
"""A century: beyond it a number of seconds can't be added to a date."""

_LARGEST_SIZE = 2**60

_TEXT = frozenset({"str"})
_NUMBER = frozenset({"int", "float"})
_QUANTITY = _TEXT | _NUMBER
DURATION_PATTERN = r"[0-9]+(\.[0-9]+)?\s*(ms|[smhdw])(\s*[0-9]+(\.[0-9]+)?\s*(ms|[smhdw]))*"
_SIZE_PATTERN = r"[0-9]+(\.[0-9]+)?\s*([kKmMgGtT]?[iI]?[bB])?"
_PERCENT_PATTERN = r"[0-9]+(\.[0-9]+)?\s*%"


class Scalar(msgspec.Struct, frozen=True):
    """One kind of value. `parse` turns its text into the value, or raises ValueError with what else is to be said.

    `tags` are the YAML types that it may be written as (text is not taken for a number, nor the reverse);
    `schema` is its JSON Schema, `write` the reverse of `parse`, for showing a default.
    """

    name: str
    expected: str
    parse: Callable[[str], object]
    schema: Mapping[str, object]
    tags: frozenset[str] = _TEXT
    write: Callable[[Any], object] = msgspec.field(default=lambda value: value)


def choice(*options: str) -> Scalar:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in options:
            raise ValueError
        return text

    return Scalar("_or_".join(options), " or ".join(options), parse, {"enum": list(options)})


def _matching(pattern: str) -> Callable[[str], str]:
    expression = re.compile(pattern)

    def parse(text: str) -> str:
        if expression.fullmatch(text) is None:
            raise ValueError
        return text

    return parse


def _duration(text: str) -> float:
    return _within(parse_duration, text, _LONGEST_DURATION)


def _size(text: str) -> int:
    return int(_within(parse_size, text, _LARGEST_SIZE))


def _percentage(text: str) -> float:
    return _within(parse_percentage, text if text.strip().endswith("%") else text + "%", 100)


def _within(parse: Callable[[str], float], text: str, most: float) -> float:
    try:
        value = parse(text)
    except (ValueError, OverflowError):
        raise ValueError from None  # what was found and what is expected is said by the reader
    if not math.isfinite(value) or value > most:
        raise ValueError("too large")
    return value


def _or(word: str, meaning: object, parse: Callable[[str], object]) -> Callable[[str], object]:
    return lambda text: meaning if text == word else parse(text)


def _count(text: str) -> int:
    if re.fullmatch(r"[1-9][0-9]{0,11}", text) is None:
        raise ValueError
    return int(text)


def _between(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not least <= float(text) <= most:
            raise ValueError
        return float(text)

    return parse


def _age(text: str) -> YoungerThan:
    match = re.fullmatch(r"\s*<(.*)", text)
    if match is None:
        raise ValueError
    return YoungerThan(_duration(match[1]))


def _interval(text: str) -> float:
    seconds = _duration(text)
    if seconds < 60:
        raise ValueError("too short")
    return seconds


def _free_space(text: str) -> int | Share:
    return Share(_percentage(text)) if text.strip().endswith("%") else _size(text)


def _cron(text: str) -> str:
    cron_fields(text)
    return text


def _timezone(text: str) -> str:
    if text != "UTC":
        from zoneinfo import ZoneInfo  # noqa: PLC0415 - 3 ms that a configuration in UTC need not spend

        try:
            ZoneInfo(text)
        except (KeyError, ValueError, OSError):  # a KeyError is no ValueError, and a directory's name is an OSError
            raise ValueError from None
    return text


def _pattern(text: str) -> str:
    compile_pattern(text)
    return text


def _absolute_path(text: str) -> Path:
    if not text.startswith("/"):
        raise ValueError("not absolute; a service's working directory is /")
    if ".." in text.split("/"):
        raise ValueError("it contains ..")
    if any(character < " " for character in text):
        raise ValueError("it contains control characters")
    os.fsencode(text)
    return Path("/" + text.lstrip("/"))


def _listen(text: str) -> HttpSettings:
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", text)
    if match is None or int(match[3]) > 65535:
        raise ValueError
    return HttpSettings(match[1] or match[2], int(match[3]))


def text_schema(pattern: str, *examples: str) -> dict[str, object]:
    return {"type": "string", "pattern": f"^({pattern})$", "examples": list(examples)}


_NAME_PATTERN = r"[a-z0-9][a-z0-9_-]{0,63}"
_RULE_NAME_PATTERN = rf"(?!budget){_NAME_PATTERN}"
_UNIT_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_.@:\\-]*\.service"
_A_DURATION = "a duration such as 30d, 12h or 90s"
_A_SIZE = "a size such as 20GiB or 500MB"

VERSION = Scalar("version", "1, the only version there is", choice("1").parse, {"const": 1}, frozenset({"int"}))
TEXT = Scalar("text", "text", _matching(r"[^\0]+"), {"type": "string", "minLength": 1})
NAME = Scalar(
    "name",
    "a name of lower-case letters, digits, - and _ (at most 64), beginning with a letter or digit",
    _matching(_NAME_PATTERN),
    text_schema(_NAME_PATTERN, "exhibit"),
)
RULE_NAME = Scalar(
    "rule_name",
    f"{NAME.expected}, and not with the reserved word budget",
    _matching(_RULE_NAME_PATTERN),
    text_schema(_RULE_NAME_PATTERN, "stale"),
)
PATH = Scalar("path", "an absolute path", _absolute_path, text_schema("/.*", "/srv/audio"))
PREFIX = replace(PATH, parse=lambda text: str(_absolute_path(text)))
UNIT = Scalar(
    "unit",
    "the name of a systemd service such as image-server.service",
    _matching(_UNIT_PATTERN),
    text_schema(_UNIT_PATTERN, "image-server.service"),
)
PATTERN = Scalar("pattern", "a Python regular expression", _pattern, {"type": "string", "format": "regex"})
COUNT = Scalar("count", "a whole number, 1 or more", _count, {"type": "integer", "minimum": 1}, _NUMBER)
FRACTION = Scalar(
    "fraction", "a number from 0 to 1", _between(0, 1), {"type": "number", "minimum": 0, "maximum": 1}, _NUMBER
)
LEVEL = Scalar("level", "a level in dBFS, such as -60", _between(-200, 0), {"type": "number", "maximum": 0}, _NUMBER)
COUNT_OR_NONE = Scalar(
    "count_or_none",
    "a whole number, 1 or more, or none",
    _or("none", None, _count),
    {"anyOf": [COUNT.schema, {"const": "none"}]},
    _QUANTITY,
    lambda value: value or "none",
)
PERCENT_OR_NONE = Scalar(
    "percent_or_none",
    "a percentage from 0 to 100, or none",
    _or("none", None, _percentage),
    {"anyOf": [{"type": "number", "minimum": 0, "maximum": 100}, text_schema(_PERCENT_PATTERN), {"const": "none"}]},
    _QUANTITY,
    lambda value: "none" if value is None else value,
)
DURATION = Scalar(
    "duration",
    _A_DURATION,
    _duration,
    text_schema(DURATION_PATTERN, "30d", "12h", "1h30m"),
    _QUANTITY,
    lambda value: None if value is None else format_duration(value),
)
AGE = Scalar(
    "age",
    '"< " and a duration, such as "< 1h"',
    _age,
    text_schema(rf"\s*<\s*{DURATION_PATTERN}\s*", "< 1h"),
)
INTERVAL = Scalar("interval", f"{_A_DURATION}, at least 1m", _interval, DURATION.schema, _QUANTITY)
WAIT = Scalar(
    "wait",
    f"{_A_DURATION}, or never",
    _or("never", None, _duration),
    {"anyOf": [DURATION.schema, {"const": "never"}]},
    _QUANTITY,
    lambda value: "never" if value is None else format_duration(value),
)
RETENTION = Scalar(
    "retention",
    f"{_A_DURATION}, or 0",
    _or("0", 0.0, _duration),
    {"anyOf": [DURATION.schema, {"const": 0}]},
    _QUANTITY,
    format_duration,
)
SIZE = Scalar(
    "size",
    _A_SIZE,
    _size,
    {"anyOf": [text_schema(_SIZE_PATTERN, "20GiB", "500MB"), {"type": "integer", "minimum": 0}]},
    _QUANTITY,
)
SIZE_OR_NONE = Scalar(
    "size_or_none",
    f"{_A_SIZE}, or none",
    _or("none", None, _size),
    {"anyOf": [SIZE.schema, {"const": "none"}]},
    _QUANTITY,
    lambda value: "none" if value is None else value,
)
FREE_SPACE = Scalar(
    "free_space",
    f"{_A_SIZE}, or a share of the disk such as 10%",
    _free_space,
    {"anyOf": [SIZE.schema, text_schema(_PERCENT_PATTERN, "10%")]},
    _QUANTITY,
)
CRON = Scalar(
    "cron",
    'a cron line of five fields such as "15 3 * * *", or @daily',
    _cron,
    text_schema(r"@[a-z]+|\S+(\s+\S+){4}", "15 3 * * *", "@daily"),
)
TIMEZONE = Scalar(
    "timezone",
    "a time zone such as UTC or Europe/Berlin",
    _timezone,
    {"type": "string", "examples": ["UTC", "Europe/Berlin"]},
)
LISTEN_OR_NONE = Scalar(
    "listen_or_none",
    "host:port such as 127.0.0.1:9843 or [::1]:9843, or none",
    _or("none", None, _listen),
    text_schema(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}|none", "127.0.0.1:9843", "[::1]:9843"),
    write=lambda value: "none" if value is None else str(value),
)
