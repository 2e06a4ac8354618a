"""The embedding arrays: what is no array of the writer's is refused, and rows must prove that vectors are theirs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from observing import problems, scan

from audio_cache_daemon.cache.vectors import check_alignment, index_fault
from audio_cache_daemon.errors import InconsistentIndexError
from audio_cache_daemon.location import (
    ARRAY_NAMES,
    BGE_TEXT_NAME,
    CLAP_AUDIO_NAME,
    CLAP_TEXT_NAME,
    META_NAME,
    CacheLocation,
)
from audio_cache_daemon.model import Inventory
from builders import WIDTHS, CacheBuilder

ROWS = 24
CLAP = (CLAP_TEXT_NAME, CLAP_AUDIO_NAME)
FORGERIES = ("object", "fortran", "flat", "empty", "short", "long", "text", "fifo", "link", "directory")


@pytest.fixture
def cache(tmp_path: Path) -> CacheBuilder:
    """A cache whose rows have a score each its own."""
    cache = CacheBuilder(tmp_path)
    for row in range(ROWS):
        cache.add(f"prompt {row}", quality=0.2 + row / 50, audio=None)
    return cache


def _change(location: CacheLocation, name: str, rows: list[int]) -> None:
    """Let an array consist of these of its rows."""
    np.save(location.path / name, np.load(location.path / name)[rows])


def _refusal(inventory: Inventory) -> str:
    with pytest.raises(InconsistentIndexError) as caught:
        check_alignment(inventory)
    return str(caught.value)


def test_a_sound_index_is_aligned(cache: CacheBuilder) -> None:
    """With and without the optional array, and with the width that the headers say."""
    location = cache.write()
    inventory = scan(location)
    check_alignment(inventory)
    assert index_fault(inventory) is None
    assert [inventory.index.arrays[name].width for name in ARRAY_NAMES] == list(WIDTHS)
    (location.path / BGE_TEXT_NAME).unlink()
    check_alignment(scan(location))


@settings(max_examples=20)
@given(
    dropped=st.integers(0, ROWS - 2),
    doubled=st.integers(0, ROWS - 2),
    names=st.sampled_from([CLAP, CLAP[:1], CLAP[1:]]),
)
def test_a_shift_by_one_row_anywhere_is_found(
    tmp_path_factory: pytest.TempPathFactory, dropped: int, doubled: int, names: tuple[str, ...]
) -> None:
    """Of both arrays or of one: a row lost here and one too many there, the counts being right."""
    cache = CacheBuilder(tmp_path_factory.mktemp("vectors"))
    for row in range(ROWS):
        cache.add(f"prompt {row}", quality=0.2 + row / 50, audio=None)
    location = cache.write()
    rows = [row for row in range(ROWS) if row != dropped]
    rows.insert(doubled, rows[doubled])
    for name in names:
        _change(location, name, rows)
    if rows == [*range(ROWS)]:
        check_alignment(scan(location))
    else:
        assert "belong to other rows" in _refusal(scan(location))


def test_the_first_wrong_row_is_named(cache: CacheBuilder) -> None:
    """And how many there are."""
    location = cache.write()
    for name in CLAP:
        _change(location, name, [*range(5), 6, 5, *range(7, ROWS)])
    assert "2 rows (the first: row 5)" in _refusal(scan(location))


@pytest.mark.parametrize("name", CLAP)
@pytest.mark.parametrize("rows", [range(ROWS - 1), [*range(ROWS), 0], range(0)])
def test_an_array_of_another_length_refuses(cache: CacheBuilder, name: str, rows: list[int]) -> None:
    """An addition in flight, a crash, an array that was begun anew."""
    location = cache.write()
    _change(location, name, [*rows])
    assert f"{name} has {len(rows)} rows for {ROWS} lines" in _refusal(scan(location))


@pytest.mark.parametrize("name", CLAP)
def test_a_missing_array_refuses(cache: CacheBuilder, name: str) -> None:
    """The writer would start the other anew beside it."""
    location = cache.write()
    (location.path / name).unlink()
    assert f"{name} is missing" in _refusal(scan(location))


def test_an_index_without_any_array_has_nothing_to_align(cache: CacheBuilder) -> None:
    """Rows alone can be dropped."""
    location = cache.write()
    for name in ARRAY_NAMES:
        (location.path / name).unlink()
    check_alignment(scan(location))


def test_the_optional_array_may_be_short_and_not_long(cache: CacheBuilder) -> None:
    """BGE was off for a while: it decides nothing; but rows beyond the last line are nobody's."""
    location = cache.write()
    bge = np.load(location.path / BGE_TEXT_NAME)
    for rows in (0, 1, ROWS - 1):
        np.save(location.path / BGE_TEXT_NAME, bge[:rows])
        check_alignment(scan(location))
    np.save(location.path / BGE_TEXT_NAME, np.concatenate([bge, bge[:1]]))
    assert f"{BGE_TEXT_NAME} has {ROWS + 1} rows" in _refusal(scan(location))


def test_rows_without_a_score_are_vouched_for_by_the_others(tmp_path: Path) -> None:
    """Lines and vectors are only ever appended, so a shift among them shows in the rows that follow."""
    cache = CacheBuilder(tmp_path)
    scores = [0.2, None, float("nan"), 0.3, None, 0.4]
    for row, score in enumerate(scores):
        cache.add(f"prompt {row}", quality=score, audio=None)
    location = cache.write()
    check_alignment(scan(location))
    for name in CLAP:
        _change(location, name, [0, 2, 3, 4, 5, 5])
    assert "belong to other rows" in _refusal(scan(location))


def test_without_any_score_nothing_is_proven(tmp_path: Path) -> None:
    """So it is refused, whatever the vectors are; as it is when all that have a score are zero."""
    cache = CacheBuilder(tmp_path)
    for row in range(3):
        cache.add(f"prompt {row}", quality=None, audio=None)
    assert "no row has a score" in _refusal(scan(cache.write()))
    cache.add("scored", quality=0.5, audio=None)
    location = cache.write()
    check_alignment(scan(location))
    np.save(location.path / CLAP_AUDIO_NAME, np.zeros_like(np.load(location.path / CLAP_AUDIO_NAME)))
    assert "no row has a score" in _refusal(scan(location))


@pytest.mark.parametrize("name", CLAP)
def test_a_zero_vector_belongs_to_any_row(cache: CacheBuilder, name: str) -> None:
    """It is the writer's mark for audio that it couldn't read."""
    location = cache.write()
    array = np.load(location.path / name)
    array[[0, 7, ROWS - 1]] = 0
    np.save(location.path / name, array)
    check_alignment(scan(location))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_vectors_that_are_no_numbers_belong_to_no_row(cache: CacheBuilder, value: float) -> None:
    """Found without a warning on the terminal."""
    location = cache.write()
    array = np.load(location.path / CLAP_TEXT_NAME)
    array[3] = value
    np.save(location.path / CLAP_TEXT_NAME, array)
    assert "1 rows (the first: row 3)" in _refusal(scan(location))


@pytest.mark.parametrize(("columns", "dtype"), [(5, "<f4"), (8, "<f8"), (5, "<f8"), (8, "<f2")])
def test_arrays_that_do_not_fit_each_other_refuse(cache: CacheBuilder, columns: int, dtype: str) -> None:
    """Of another model, say: their product is no score."""
    location = cache.write()
    array = np.load(location.path / CLAP_AUDIO_NAME)
    np.save(location.path / CLAP_AUDIO_NAME, array[:, :columns].astype(dtype))
    assert "different widths or types" in _refusal(scan(location))


def test_large_arrays_are_compared_block_by_block(tmp_path: Path) -> None:
    """The last row of a later block is compared too."""
    cache = CacheBuilder(tmp_path)
    cache.add(quality=0.5, audio=None)
    for _ in range(9999):
        cache.repeat(0)
    location = cache.write()
    for name in CLAP:
        array = np.load(location.path / name)
        np.save(location.path / name, np.concatenate([array, np.zeros((10_000, 300), np.float32)], axis=1))
    check_alignment(scan(location))
    array = np.load(location.path / CLAP_TEXT_NAME)
    array[-1] *= 0.9
    np.save(location.path / CLAP_TEXT_NAME, array)
    assert "1 rows (the first: row 9999)" in _refusal(scan(location))


@pytest.mark.parametrize("fault", [b"\n", b"{}{}\n", b'{"path": "x'])
def test_lines_that_are_no_rows_refuse(cache: CacheBuilder, fault: bytes) -> None:
    """With the number of the line, or as torn."""
    location = cache.write()
    cache.append_to_meta(fault)
    refusal = _refusal(scan(location))
    assert f"line {ROWS + 1} of meta.jsonl is no row" in refusal or "torn" in refusal


@pytest.mark.parametrize(
    "kind", ["object", "fortran", "flat", "empty", "short", "long", "text", "fifo", "link", "directory"]
)
@pytest.mark.parametrize("name", [CLAP_AUDIO_NAME, BGE_TEXT_NAME])
def test_what_is_no_array_of_the_writers_is_a_problem_and_refuses(cache: CacheBuilder, name: str, kind: str) -> None:
    """It is neither unpickled, nor allocated, nor followed, nor waited for; and the scan goes on."""
    location = cache.write()
    path = location.path / name
    array = np.load(path)
    content = path.read_bytes()
    path.unlink()
    if kind == "object":
        np.save(path, np.array([[{}] * 8] * ROWS, dtype=object), allow_pickle=True)
    elif kind in ("fortran", "flat", "empty"):
        np.save(path, {"fortran": np.asfortranarray(array), "flat": array.ravel(), "empty": np.zeros(0, "f4")}[kind])
    elif kind in ("short", "long", "text"):
        path.write_bytes({"short": content[:-1], "long": content + b"\0", "text": b"no array"}[kind])
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(location.path / CLAP_TEXT_NAME)
    else:
        path.mkdir()
    inventory = scan(location)
    assert problems(inventory, "unreadable_array") == [name]
    assert name not in inventory.index.arrays
    assert len(inventory.rows) == ROWS
    assert name in _refusal(inventory)


@pytest.mark.parametrize("change", ["replaced", "shorter", "gone", "fifo"])
def test_an_array_that_changed_since_the_scan_refuses(cache: CacheBuilder, change: str) -> None:
    """What was scanned is what must be proven."""
    location = cache.write()
    inventory = scan(location)
    path = location.path / CLAP_TEXT_NAME
    content = path.read_bytes()
    path.unlink()
    if change == "fifo":
        os.mkfifo(path)
    elif change != "gone":
        path.write_bytes(content if change == "replaced" else content[:-1])
    assert "try again" in _refusal(inventory)


def test_the_bytes_of_a_row_are_those_of_its_vectors(cache: CacheBuilder) -> None:
    """What a row frees in the arrays when it is dropped; an index without rows has none to prove."""
    location = cache.write()
    assert scan(location).index.vector_bytes == 4 * sum(WIDTHS)
    (location.path / META_NAME).write_bytes(b"")
    for name, width in zip(ARRAY_NAMES, WIDTHS, strict=True):
        np.save(location.path / name, np.zeros((0, width), np.float32))
    check_alignment(scan(location))
    inventory = scan(location)
    check_alignment(replace(inventory, index=replace(inventory.index, arrays={})))
