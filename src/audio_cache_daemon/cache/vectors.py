"""The embedding arrays: what their headers say, and whether their rows are those of `meta.jsonl`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.cache.index import ProblemLog
from audio_cache_daemon.columns import distinct, parts
from audio_cache_daemon.errors import InconsistentIndexError
from audio_cache_daemon.formats import identify, read_array_info, read_vectors
from audio_cache_daemon.location import ARRAY_NAMES, BGE_TEXT_NAME, CLAP_AUDIO_NAME, CLAP_NAMES, CLAP_TEXT_NAME
from audio_cache_daemon.model import ArrayInfo, Bools, Floats, Ints, Inventory
from audio_cache_daemon.paths import open_regular

SCORE_TOLERANCE = 1e-3
"""How far the product of a row's two CLAP vectors may be from its score: float32, and scores rounded on saving."""

_BLOCK_BYTES = 2**22

_ROWS_AT_ONCE = 2**10


def read_arrays(directory: Path, problems: ProblemLog) -> dict[str, ArrayInfo]:
    """The arrays that are there and sound, by name; one that isn't sound is a problem."""
    arrays: dict[str, ArrayInfo] = {}
    for name in ARRAY_NAMES:
        try:
            descriptor = open_regular(directory / name)
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.add("unreadable_array", name, f"can't be opened: {error.strerror}")
            continue
        try:
            arrays[name] = read_array_info(name, descriptor)
        except (ValueError, OSError) as error:
            problems.add("unreadable_array", name, str(error))
        finally:
            os.close(descriptor)
    return arrays


def check_alignment(inventory: Inventory) -> None:
    """Prove that row i of the arrays belongs to line i; InconsistentIndexError, with the reason, if it can't be.

    The proof is the score: it is the product of the row's two CLAP vectors. A row without a score is vouched for
    by its neighbours, since lines and vectors are only ever appended.
    """
    path = inventory.location.path
    fault = index_fault(inventory)
    if fault is not None:
        raise InconsistentIndexError(f"{path}: {fault}; nothing was changed: repair the index first")
    arrays = inventory.index.arrays
    if not arrays or len(inventory.rows) == 0:
        return
    wrong = _rows_off_their_score(inventory)
    if wrong is None:
        raise InconsistentIndexError(
            f"{path}: no row has a score, so nothing proves which vectors belong to which row; nothing was changed"
        )
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise InconsistentIndexError(
            f"{path}: the vectors of {int(wrong.sum())} rows (the first: row {first}) don't give the rows' scores, "
            "so they belong to other rows; nothing was changed: repair the index first"
        )


def check_rows(inventory: Inventory, rows: Ints) -> None:
    """Prove of these rows (ascending) alone that their vectors are theirs: it costs what they are, not the cache.

    As `check_alignment`: a row without a score is vouched for by the nearest ones with a score before and after it.
    """
    path = inventory.location.path
    fault = index_fault(inventory)
    if fault is not None:
        raise InconsistentIndexError(f"{path}: {fault}; if no item is being added just now, repair the index first")
    if not inventory.index.arrays or not len(rows):
        return
    scored = _scored(inventory, rows)
    if not len(scored):
        raise InconsistentIndexError(
            f"{path}: no row has a score, so nothing proves which vectors belong to which row; nothing was changed"
        )
    for part in parts(len(rows), _ROWS_AT_ONCE):
        some = rows[part]
        after = np.minimum(np.searchsorted(scored, some), len(scored) - 1)
        before = np.maximum(np.searchsorted(scored, some, side="right") - 1, 0)
        witnesses = distinct(np.concatenate([scored[after], scored[before]]))
        text, audio = (_read_vectors(inventory, name, witnesses) for name in CLAP_NAMES)
        wrong = witnesses[contradicts(text, audio, inventory.rows.quality[witnesses])]
        if len(wrong):
            raise InconsistentIndexError(
                f"{path}: the vectors of row {wrong[0]} don't give the row's score, so they belong to another row; "
                "nothing was changed: repair the index first"
            )


def _scored(inventory: Inventory, rows: Ints) -> Ints:
    """The items with a score, ascending; only these rows if they all are: a score vouches for its own row best."""
    quality = inventory.rows.quality
    own = inventory.rows.items_among(rows[~np.isnan(quality[rows])])
    return own if len(own) == len(rows) else inventory.rows.items_among(np.flatnonzero(~np.isnan(quality)))


def _read_vectors(inventory: Inventory, name: str, rows: Ints) -> NDArray[np.floating]:
    info = inventory.index.arrays[name]
    path = inventory.location.path / name
    try:
        descriptor = open_regular(path)
    except OSError as error:
        raise InconsistentIndexError(f"{path} can't be read any more: {error.strerror}; try again") from None
    try:
        content = b"".join(read_vectors(descriptor, info, rows))
    finally:
        os.close(descriptor)
    if len(content) != len(rows) * info.row_bytes:
        raise InconsistentIndexError(f"{path} became shorter while it was read; try again")
    return np.frombuffer(content, info.dtype).reshape(len(rows), info.width)


def contradicts(text: NDArray[np.floating], audio: NDArray[np.floating], expected: Floats) -> Bools:
    """Which rows' vectors don't give the expected scores; NaN is no expectation.

    A zero row is the writer's mark for audio that it could not read, or ours: it belongs to any score.
    """
    scores = np.einsum("ij,ij->i", text, audio, dtype=np.float64)
    known = ~np.isnan(expected) & text.any(axis=1) & audio.any(axis=1)
    wrong: Bools = known & ~(np.abs(scores - expected) <= SCORE_TOLERANCE)
    return wrong


def index_fault(inventory: Inventory) -> str | None:
    """What in lines, headers and counts already rules out that rows and vectors match; None if nothing does."""
    return next(_faults(inventory), None)


def _faults(inventory: Inventory) -> Iterator[str]:
    arrays, rows = inventory.index.arrays, len(inventory.rows)
    for problem in inventory.problems:
        if problem.kind == "unreadable_array":
            yield f"{problem.where} {problem.message}"
    if inventory.index.torn_tail:
        yield "the last line of meta.jsonl is torn"
    if not inventory.rows.readable.all():
        line = int(np.flatnonzero(~inventory.rows.readable)[0]) + 1
        yield f"line {line} of meta.jsonl is no row"
    for name in CLAP_NAMES:
        if name not in arrays and arrays and rows:
            yield f"{name} is missing"
        if name in arrays and arrays[name].rows != rows:
            yield f"{name} has {arrays[name].rows} rows for {rows} lines of meta.jsonl"
    if arrays and len({(arrays[name].width, arrays[name].dtype) for name in CLAP_NAMES if name in arrays}) > 1:
        yield f"{CLAP_TEXT_NAME} and {CLAP_AUDIO_NAME} have rows of different widths or types"
    if BGE_TEXT_NAME in arrays and arrays[BGE_TEXT_NAME].rows > rows:
        yield f"{BGE_TEXT_NAME} has {arrays[BGE_TEXT_NAME].rows} rows for {rows} lines of meta.jsonl"


def _rows_off_their_score(inventory: Inventory) -> Bools | None:
    """For each row whether its vectors contradict its score; None when there is no score to compare with."""
    quality = inventory.rows.quality
    wrong = np.zeros(len(quality), np.bool_)
    # Where all rows are retired none stays that could get the vectors of another.
    proven = not inventory.rows.items().any()
    position = 0
    for text, audio in zip(
        _iter_vectors(inventory, CLAP_TEXT_NAME), _iter_vectors(inventory, CLAP_AUDIO_NAME), strict=True
    ):
        expected = quality[position : position + len(text)]
        proven = proven or bool((~np.isnan(expected) & text.any(axis=1) & audio.any(axis=1)).any())
        wrong[position : position + len(text)] = contradicts(text, audio, expected)
        position += len(text)
    return wrong if proven else None


def _iter_vectors(inventory: Inventory, name: str) -> Iterator[NDArray[np.floating]]:
    """An array in blocks of rows; never mapped, since the writer may truncate it under us."""
    info = inventory.index.arrays[name]
    rows_at_once = max(1, _BLOCK_BYTES // max(1, info.row_bytes))
    path = inventory.location.path / name
    try:
        descriptor = open_regular(path)
    except OSError as error:
        raise InconsistentIndexError(f"{path} can't be read any more: {error.strerror}; try again") from None
    try:
        if identify(os.fstat(descriptor)) != info.identity:
            raise InconsistentIndexError(f"{path} changed while it was looked at; try again")
        for first in range(0, info.rows, rows_at_once):
            count = min(rows_at_once, info.rows - first)
            block = os.pread(descriptor, count * info.row_bytes, info.data_offset + first * info.row_bytes)
            if len(block) < count * info.row_bytes:
                raise InconsistentIndexError(f"{path} became shorter while it was read; try again")
            yield np.frombuffer(block, info.dtype).reshape(count, info.width)
    finally:
        os.close(descriptor)
