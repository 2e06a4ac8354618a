"""Sizes, durations, percentages and times as people write and read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_cache_daemon.units import (
    format_duration,
    format_size,
    format_time,
    parse_duration,
    parse_percentage,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1024", 1024),
        ("20GiB", 20 * 2**30),
        (" 1.5 kib ", 1536),
        ("500 MB", 500_000_000),
        ("7B", 7),
        ("9007199254740993", 2**53 + 1),
        ("8000000TiB", 8_000_000 * 2**40),
    ],
)
def test_a_size_is_a_number_with_or_without_a_unit(text: str, size: int) -> None:
    """Binary and decimal units, in any case; whole numbers are exact."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "GiB", "-1", "1e5", "1 2", "1,5GB", "1.GB", ".5GB", "nan", "inf", "10 g", "9" * 400, "9" * 5000, "1TiB1"],
)
def test_anything_else_is_no_size(text: str) -> None:
    """Not a negative number, and not more than a file system holds; always as ValueError with a short reason."""
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30d", 2592000),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("90s", 90),
        ("1.5H", 5400),
        ("2w", 1209600),
        ("250ms", 0.25),
    ],
)
def test_a_duration_is_numbers_with_units(text: str, seconds: float) -> None:
    """Several parts add up."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "30", "d", "-1d", "1d2", "1 2h", "1.5.5h", "1y", "h1", "1d,2h", "1 0m 5s", "5m s", "9" * 400 + "d", "inf s"],
)
def test_anything_else_is_no_duration(text: str) -> None:
    """A bare number least of all: seconds or days would be a guess."""
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "number"), [("10%", 10), ("0 %", 0), ("100%", 100), ("2.5%", 2.5)])
def test_a_percentage_has_its_sign(text: str, number: float) -> None:
    """From 0 to 100."""
    assert parse_percentage(text) == number


@pytest.mark.parametrize("text", ["10", "-1%", "101%", "100.1%", "%", "1%%", "nan%", "9" * 400 + "%"])
def test_anything_else_is_no_percentage(text: str) -> None:
    """0.1 may mean a tenth or a thousandth, so a sign is asked for."""
    with pytest.raises(ValueError, match="not a percentage"):
        parse_percentage(text)


@given(st.text(max_size=12) | st.from_regex(r"[0-9. ]{0,4}[a-zA-Z%]{0,3}[0-9. ]{0,3}[a-z]?", fullmatch=True))
def test_no_text_raises_anything_but_a_value_error(text: str) -> None:
    """What is accepted is a finite number from 0."""
    for parse in (parse_size, parse_duration, parse_percentage):
        try:
            value = parse(text)
        except ValueError:
            continue
        assert 0 <= value < math.inf


@given(st.integers(0, 2**62))
def test_a_size_for_people_is_right_to_a_tenth(size: int) -> None:
    """And can be read again."""
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.06, abs=0.5)


@given(st.floats(0, 1e9))
def test_a_duration_for_people_is_right_to_a_tenth_of_its_unit(seconds: float) -> None:
    """And can be read again."""
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.06, abs=0.06)


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1700000000.9, "2023-11-14T22:13:20Z"),
        (253402300799, "9999-12-31T23:59:59Z"),
        (1.7e12, "9999-12-31T23:59:59Z"),
        (1e300, "9999-12-31T23:59:59Z"),
        (math.inf, "9999-12-31T23:59:59Z"),
        (-1e300, "0001-01-01T00:00:00Z"),
    ],
)
def test_any_time_can_be_shown(timestamp: float, text: str) -> None:
    """A writer that counts milliseconds, or a broken row, must not end a listing."""
    assert format_time(timestamp) == text
