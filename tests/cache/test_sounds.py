"""How items sound: read for the items that are asked for, and only where the vectors are provably theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from observing import scan

from audio_cache_daemon.cache import sounds as sounds_module
from audio_cache_daemon.formats import read_vectors
from audio_cache_daemon.location import CLAP_AUDIO_NAME, CacheLocation
from audio_cache_daemon.model import ArrayInfo, Ints, ScanNeeds, Sounds
from builders import CacheBuilder

ROWS = 12


@pytest.fixture
def cache(tmp_path: Path) -> CacheBuilder:
    """Ten takes of rain, two of wind."""
    cache = CacheBuilder(tmp_path)
    for row in range(ROWS):
        cache.add("wind" if row in (3, 7) else "rain", quality=0.2 + row / 50, audio=None)
    return cache


def _sounds(location: CacheLocation, over: int) -> Sounds:
    found = scan(location, ScanNeeds(sounds_over=over)).rows.sounds
    assert found is not None
    return found


def _heard(location: CacheLocation, over: int) -> list[int]:
    return np.flatnonzero(_sounds(location, over).place >= 0).tolist()


def _change(location: CacheLocation, change: Callable[[np.ndarray], None]) -> None:
    array = np.load(location.path / CLAP_AUDIO_NAME)
    change(array)
    np.save(location.path / CLAP_AUDIO_NAME, array)


def test_without_a_rule_that_asks_no_sound_is_read(cache: CacheBuilder) -> None:
    assert scan(cache.write()).rows.sounds is None


def test_only_prompts_with_more_takes_than_that_are_read(cache: CacheBuilder) -> None:
    location = cache.write()
    assert _heard(location, 2) == [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]
    assert _heard(location, 1) == list(range(ROWS))
    assert _heard(location, 10) == []


def test_a_sound_is_the_audio_vector_of_its_row(cache: CacheBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    """At length 1, whatever length the file has it in; read in several parts."""
    monkeypatch.setattr(sounds_module, "_ROWS_AT_ONCE", 4)
    location = cache.write()
    expected = np.load(location.path / CLAP_AUDIO_NAME)
    found = _sounds(location, 2)
    rows = np.flatnonzero(found.place >= 0)
    np.testing.assert_allclose(found.vectors[found.place[rows]], expected[rows], atol=1e-6)
    assert found.vectors.dtype == np.float32


def test_zeros_are_no_sound_and_neither_is_what_is_no_number(cache: CacheBuilder) -> None:
    """Zeros are the generator's mark for audio that it could not read."""
    location = cache.write()

    def spoil(array: np.ndarray) -> None:
        array[0], array[1] = 0.0, np.nan

    _change(location, spoil)
    assert _heard(location, 0) == list(range(2, ROWS))


def test_a_vector_that_does_not_give_its_rows_score_is_not_its_own(cache: CacheBuilder) -> None:
    location = cache.write()

    def swap(array: np.ndarray) -> None:
        array[[0, 5]] = array[[5, 0]]

    _change(location, swap)
    assert _heard(location, 0) == [row for row in range(ROWS) if row not in (0, 5)]


def test_while_lines_and_vectors_do_not_match_there_are_no_sounds_and_it_is_said_why(cache: CacheBuilder) -> None:
    location = cache.write()
    cache.drop_array_rows(CLAP_AUDIO_NAME)
    found = _sounds(location, 0)
    assert (found.place == -1).all()
    assert found.fault is not None
    assert CLAP_AUDIO_NAME in found.fault


@pytest.mark.parametrize("action", ["shorten", "rewrite"])
def test_an_array_that_changes_while_it_is_read_gives_no_sounds(
    cache: CacheBuilder, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The generator may rewrite it at any time: rows that were read before and after don't belong together."""
    location = cache.write()
    path = location.path / CLAP_AUDIO_NAME

    def read_and_change(descriptor: int, info: ArrayInfo, rows: Ints) -> Iterator[bytes]:
        if action == "shorten":
            path.write_bytes(path.read_bytes()[:-40])
        else:
            path.write_bytes(path.read_bytes())
        return read_vectors(descriptor, info, rows)

    monkeypatch.setattr(sounds_module, "read_vectors", read_and_change)
    found = _sounds(location, 0)
    assert (found.place == -1).all()
    assert found.fault is not None
