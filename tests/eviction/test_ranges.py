"""Ranges of a file copied, as few or as many as there are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from audio_cache_daemon.errors import InconsistentIndexError
from audio_cache_daemon.eviction.ranges import copy_ranges, kept_ranges

ROW_BYTES = 2048
ROWS = 40_000
"""More than the disk is let wait for."""


@contextmanager
def opened(source: Path, target: Path) -> Iterator[tuple[int, int]]:
    """Descriptors to read the one and to write the other."""
    reading, writing = os.open(source, os.O_RDONLY), os.open(target, os.O_WRONLY | os.O_CREAT)
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("every", [2, 10, ROWS])
def test_what_is_kept_of_a_large_file_is_copied_to_the_byte(tmp_path: Path, every: int) -> None:
    """Behind what the target has already: many short ranges that lie close together, and one long one."""
    content = np.random.default_rng(1).bytes(ROWS * ROW_BYTES)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)
    kept = np.arange(ROWS) % every != 0
    starts, ends = kept_ranges(np.arange(ROWS + 1) * ROW_BYTES, kept)
    with opened(source, target) as (reading, writing):
        os.write(writing, b"head")
        copy_ranges(reading, writing, starts, ends)
    rows = np.frombuffer(content, np.uint8).reshape(ROWS, ROW_BYTES)[kept]
    assert target.read_bytes() == b"head" + rows.tobytes()


@pytest.mark.parametrize("ends", [[10, 30], [10, 2**20]])
def test_a_source_that_became_shorter_is_told(tmp_path: Path, ends: list[int]) -> None:
    (tmp_path / "source").write_bytes(bytes(20))
    with (
        opened(tmp_path / "source", tmp_path / "target") as (reading, writing),
        pytest.raises(InconsistentIndexError, match="became shorter"),
    ):
        copy_ranges(reading, writing, np.array([0, 15]), np.array(ends))
