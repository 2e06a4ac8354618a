"""Whether the vectors of retired items are zero, read while the generator may be saving an array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audio_cache_daemon.cache.index import ProblemLog
from audio_cache_daemon.cache.retired import are_back, find_nonzero
from audio_cache_daemon.cache.vectors import read_arrays
from audio_cache_daemon.location import CLAP_AUDIO_NAME, CLAP_NAMES
from audio_cache_daemon.model import ArrayInfo
from builders import CacheBuilder

ROWS = np.array([0, 1, 2])


def make_cache(directory: Path) -> Path:
    """Three rows, of which the second has zeros for vectors."""
    cache = CacheBuilder(directory)
    for number in range(3):
        cache.add(f"prompt {number}", quality=0.5)
    path = cache.write().path
    for name in CLAP_NAMES:
        array = np.load(path / name)
        array[1] = 0
        np.save(path / name, array)
    return path


def clap_arrays(path: Path) -> dict[str, ArrayInfo]:
    arrays = read_arrays(path, ProblemLog())
    return {name: arrays[name] for name in CLAP_NAMES}


def test_zeros_are_told_from_other_vectors(tmp_path: Path) -> None:
    path = make_cache(tmp_path)
    arrays = clap_arrays(path)
    for if_short in (False, True):
        found = find_nonzero(path, arrays.values(), np.array([2, -1, 1, 0]), if_short=if_short)
        assert found.tolist() == [True, False, False, True]
    assert are_back(path, arrays, 3, ROWS).tolist() == [True, False, True]


@pytest.mark.parametrize("left", [0, 1, -1])
def test_what_is_being_saved_is_proven_neither_to_be_zero_nor_to_be_back(tmp_path: Path, left: int) -> None:
    """The generator empties an array before it writes it anew: what is read of it then says nothing of its vectors."""
    path = make_cache(tmp_path)
    arrays = clap_arrays(path)
    whole = (path / CLAP_AUDIO_NAME).read_bytes()
    (path / CLAP_AUDIO_NAME).write_bytes(whole[: left % len(whole)])
    audio = [arrays[CLAP_AUDIO_NAME]]
    assert find_nonzero(path, audio, ROWS, if_short=True)[2]
    for name in CLAP_NAMES:
        (path / name).write_bytes(b"")
    assert find_nonzero(path, audio, ROWS, if_short=True).tolist() == [True, True, True]
    assert not are_back(path, arrays, 3, ROWS).any()
