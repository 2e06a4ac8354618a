"""Names of the writer's files: its sounds, and what it leaves behind while it makes them."""

from __future__ import annotations

import pytest

from audio_cache_daemon.location import is_leftover_name, is_written_name


@pytest.mark.parametrize(
    "name",
    [
        "rain_1700000000000.wav",
        "a_1700000000000.mp3",
        "_1700000000000.mp3",
        "x" * 40 + "_1700000000000.wav",
        "évé\n雨\udcff_1700000000000.wav",
    ],
)
def test_names_of_slug_and_milliseconds_are_the_writers(name: str) -> None:
    """The slug has up to 40 characters of any kind, and none for a prompt without letters."""
    assert is_written_name(name)
    assert not is_leftover_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "rain.wav",
        "rain_1700000000.wav",
        "field_recording_20240101123045.wav",
        "field_recording_202401011230.wav",
        "1700000000000.wav",
        "rain-1700000000000.wav",
        "rain_1700000000000.flac",
        "rain_1700000000000.wav.bak",
        "rain_1700000000000.WAV",
        "rain_1700000000000_2.wav",
        "rain_１７００００００００００００.wav",  # noqa: RUF001 - digits of another script
        "x" * 41 + "_1700000000000.wav",
    ],
)
def test_other_names_are_not_the_writers(name: str) -> None:
    """Most of all not those that end in a date and time as people write them, with 12 or 14 digits."""
    assert not is_written_name(name)
    assert not is_leftover_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "temp_rain_1700000000000.mp3",
        "temp_rain_1700000000000.wav",
        "temp__1700000000000.wav",
        "temp_norm_1700000000000.wav",
        "temp_fallback_norm_1700000000000.wav",
        "rain_1700000000000_normalized.mp3",
        "any name_normalized.mp3",
    ],
)
def test_temporary_names_are_leftovers(name: str) -> None:
    """To the letter of the writer's four kinds."""
    assert is_leftover_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "temp_1700000000000.wav",
        "temp.wav",
        "temp_rain.wav",
        "rain_normalized.wav",
        "Temp_a_1700000000000.wav",
        "temp_a_1700000000000.ogg",
    ],
)
def test_names_that_only_resemble_temporary_ones_are_no_leftovers(name: str) -> None:
    """`temp_{ms}` is a sound for the prompt "temp"."""
    assert not is_leftover_name(name)
