"""What is remembered of a cache between runs."""

from __future__ import annotations

import math
import os
from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.held import hold_rows, unpack_held
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import AlignedRows, Memory
from audio_cache_daemon.state import AUDIT_HEAD_NAME, encode_memory, load_audit_head, load_memory, memory_path

HELD = hold_rows([2**64 - 1, 0, 7], [1.8e9, math.inf, 1.9e9], [1.7e9, math.nan, 1.6e9])
ALIGNED = AlignedRows(3, "fedcba9876543210", 2**40)
MEMORY = Memory(
    1700000000.5, 3, {"/srv/audio": (64769, 2**40)}, {"0123456789abcdef": 1690000000.0}, HELD.tobytes(), ALIGNED
)
BROKEN = [b"", b"{", b"\xff", b"[]", b"null", b'{"version": 2}', b'{"seq": 1}', b'{"seq": "x", "hash": "y"}']


@pytest.fixture
def location(tmp_path: Path) -> CacheLocation:
    """A cache with an empty state directory."""
    location = CacheLocation("test", tmp_path, (tmp_path,))
    location.state_directory.mkdir()
    return location


def test_what_was_saved_is_remembered(location: CacheLocation) -> None:
    """To the last value."""
    memory_path(location).write_bytes(encode_memory(MEMORY))
    assert load_memory(location) == MEMORY


def test_rows_that_are_held_are_remembered_in_the_order_of_their_ids(location: CacheLocation) -> None:
    """However their ids and times look; of one that is held twice what was said last."""
    memory_path(location).write_bytes(encode_memory(MEMORY))
    memory = load_memory(location)
    assert memory is not None
    held = unpack_held(memory.held)
    assert held["id"].tolist() == [0, 7, 2**64 - 1]
    assert held["until"].tolist() == [math.inf, 1.9e9, 1.8e9]
    assert np.isnan(held["timestamp"][0])
    assert hold_rows([5, 5], [1.0, 2.0], math.nan)["until"].tolist() == [2.0]


@pytest.mark.parametrize("restored", [HELD.tobytes()[:-1], b"x", HELD[::-1].tobytes(), HELD[[0, 0]].tobytes()])
def test_held_rows_that_can_not_be_are_no_memory(location: CacheLocation, restored: bytes) -> None:
    """What was brought back must not be taken again because half of that was lost."""
    content = encode_memory(MEMORY)
    assert b64encode(HELD.tobytes()) in content
    memory_path(location).write_bytes(content.replace(b64encode(HELD.tobytes()), b64encode(restored)))
    with pytest.raises(MaintenanceError, match=r"state\.json can't be read: .*; move it away"):
        load_memory(location)


def test_nothing_is_remembered_of_a_new_cache(location: CacheLocation) -> None:
    """No file is no fault; neither is a cache without a state directory."""
    assert load_memory(location) is None
    assert load_audit_head(location) is None
    location.state_directory.rmdir()
    assert load_memory(location) is None
    assert load_audit_head(location) is None


@pytest.mark.parametrize("content", BROKEN)
def test_a_memory_that_can_not_be_read_ends_the_run(location: CacheLocation, content: bytes) -> None:
    """Taken for an empty one it would switch off the sentinels. The message names the file and what to do."""
    memory_path(location).write_bytes(content)
    with pytest.raises(MaintenanceError, match=r"state\.json can't be read: .*; move it away"):
        load_memory(location)


@pytest.mark.parametrize("content", BROKEN)
def test_an_audit_head_that_can_not_be_read_is_an_error(location: CacheLocation, content: bytes) -> None:
    """Taken for none, a log that was cut short would pass as whole."""
    (location.state_directory / AUDIT_HEAD_NAME).write_bytes(content)
    with pytest.raises(MaintenanceError, match=r"audit-head\.json can't be read: .*; move it away"):
        load_audit_head(location)


def test_a_directory_in_place_of_a_state_file_is_an_error(location: CacheLocation) -> None:
    """And no traceback."""
    memory_path(location).mkdir()
    (location.state_directory / AUDIT_HEAD_NAME).mkdir()
    with pytest.raises(MaintenanceError, match="move it away"):
        load_memory(location)
    with pytest.raises(MaintenanceError, match="move it away"):
        load_audit_head(location)


def test_the_audit_head_is_number_and_hash(location: CacheLocation) -> None:
    """As the last run published them."""
    (location.state_directory / AUDIT_HEAD_NAME).write_bytes(b'{"seq": 12, "hash": "ab12"}')
    assert load_audit_head(location) == (12, "ab12")


@given(
    last_run=st.floats(0, 1e11),
    rows=st.integers(0, 2**40),
    roots=st.dictionaries(st.text(), st.tuples(st.integers(0, 2**63), st.integers(0, 2**63)), max_size=3),
    missing=st.dictionaries(st.text(), st.floats(0, 1e11), max_size=3),
)
def test_any_memory_survives(
    tmp_path_factory: pytest.TempPathFactory,
    last_run: float,
    rows: int,
    roots: dict[str, tuple[int, int]],
    missing: dict[str, float],
) -> None:
    """Paths of any characters, devices and inodes of any size."""
    location = CacheLocation("test", tmp_path_factory.mktemp("state"), ())
    location.state_directory.mkdir()
    memory = Memory(last_run, rows, roots, missing)
    memory_path(location).write_bytes(encode_memory(memory))
    assert load_memory(location) == memory


def test_a_root_whose_name_is_no_text_is_remembered(location: CacheLocation) -> None:
    """A path is bytes; what is no UTF-8 comes back as it was."""
    memory = replace(MEMORY, roots={os.fsdecode(b"/srv/\xff\xe9"): (1, 2), "/srv/\u96e8": (1, 3)})
    memory_path(location).write_bytes(encode_memory(memory))
    assert load_memory(location) == memory


@pytest.mark.parametrize("rows", [-1, 2**63])
def test_aligned_rows_that_can_not_be_are_no_memory(location: CacheLocation, rows: int) -> None:
    """Nor is an index of so many."""
    content = encode_memory(replace(MEMORY, rows=4))
    for count in (b'"rows":3', b'"rows":4'):
        assert count in content
        memory_path(location).write_bytes(content.replace(count, b'"rows":%d' % rows))
        with pytest.raises(MaintenanceError, match="rows can't be"):
            load_memory(location)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_number_that_is_none_is_no_memory(location: CacheLocation, number: str) -> None:
    """A last run at no time would switch off the sentinel of the clock, or hold every run back."""
    content = encode_memory(replace(MEMORY, roots={os.fsdecode(b"/srv/\xff"): (1, 2)}))
    memory_path(location).write_bytes(content.replace(b"1700000000.5", number.encode()))
    with pytest.raises(MaintenanceError, match=r"state\.json can't be read"):
        load_memory(location)


@pytest.mark.parametrize("open_", [b"[", b'{"memory":'])
def test_what_is_nested_too_deep_is_no_memory(location: CacheLocation, open_: bytes) -> None:
    """And no end of the program."""
    memory_path(location).write_bytes(b'{"version": 1, "x": ' + open_ * 100_000)
    with pytest.raises(MaintenanceError, match=r"state\.json can't be read"):
        load_memory(location)


@pytest.mark.parametrize("rows", [-1, 2**63, 10**400])
def test_an_index_of_no_possible_size_is_no_memory(location: CacheLocation, rows: int) -> None:
    """The sentinel that compares with it would fail in a worse way."""
    content = encode_memory(MEMORY).replace(b'"rows":3', b'"rows":%d' % rows)
    memory_path(location).write_bytes(content)
    with pytest.raises(MaintenanceError, match=r"state\.json can't be read"):
        load_memory(location)
