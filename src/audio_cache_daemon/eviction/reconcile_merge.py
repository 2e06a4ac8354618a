"""The index as it would be had the generator made its additions after the exchange, as changes to what is there.

Lines: those that stay, those that went to the old file, those that went to the new one. Of each array: the rows of the
lines that stay, then the rows that were appended, in the same order. Where the generator died in an addition the last
line is left without the vectors that it hadn't saved, as it would be without us.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import numpy as np

from audio_cache_daemon.eviction.build import added_name
from audio_cache_daemon.eviction.changes import Copied, FileChange, Kept, Part, Zeros
from audio_cache_daemon.eviction.journal import Source
from audio_cache_daemon.eviction.reconcile_look import FileLook, Look, Stretch
from audio_cache_daemon.eviction.reconcile_reading import Choice, Reading
from audio_cache_daemon.formats import read_array_info
from audio_cache_daemon.location import META_NAME
from audio_cache_daemon.model import ArrayInfo, Ints
from audio_cache_daemon.paths import open_regular


def merge_changes(look: Look, choice: Choice) -> list[FileChange] | None:
    """The changes that put the index right; None when an array can be had from neither half."""
    meta = look.meta
    parts: list[Part] = [_kept(0, meta.file.new.size)]
    parts += (_copied(stretch) for stretch in meta.saved)
    parts.append(_kept(meta.file.new.size, meta.identity.size))
    changes = [FileChange(META_NAME, meta.identity, tuple(parts))]
    for name, found in look.arrays.items():
        like = found.info or _info_of_copy(look, name)
        rows = _rows(look, found, choice) if like is not None else None
        if rows is None:
            return None
        changes.append(FileChange(name, found.identity, tuple(rows), like))
    return changes


def _rows(look: Look, found: FileLook, choice: Choice) -> list[Part] | None:
    reading = choice.readings.get(found.file.name)
    if reading is None:
        return _rebuilt(look, found, choice.lines)
    assert found.info is not None
    if reading.has_old_in_front:
        return None if found.is_lost else [*_front(look, found, is_in_index=True), *_tail(found, reading)]
    front = _kept(0, found.file.new_rows)
    if not found.is_lost:
        return [front, *_tail(found, reading)]
    # The generator died while it saved to the old file: what it had saved there before can't be had any more. Zeros
    # in its place let all rows behind have their own lines.
    if found.saved:
        return None
    appended = found.info.rows - found.file.new_rows
    lacking = choice.lines - appended - (0 if appended else 1)
    return [front, Zeros(max(0, lacking)), _kept(found.file.new_rows, found.info.rows)]


def _rebuilt(look: Look, found: FileLook, lines: int) -> list[Part] | None:
    """An array that the generator tore, or whose rows can't be told apart: what we made of it once more.

    Of the appended rows only those are had that went to the old file. Of a torn one the last was being saved.
    """
    if _info_of_copy(look, found.file.name) is None:
        return None
    saved = found.saved if found.is_torn else ()
    count = sum(map(len, saved))
    lacking = lines - count - (1 if found.is_torn else 0)
    return [*_front(look, found, is_in_index=False), *map(_copied, saved), Zeros(max(0, lacking))]


def _front(look: Look, found: FileLook, *, is_in_index: bool) -> Iterator[Part]:
    """The rows of the array as we made it, from the old rows: those in front in the index, or those of our copy."""
    directory = look.generation.directory
    for source, group in itertools.groupby(found.file.runs().tolist(), key=lambda run: run[0]):
        runs: Ints = np.array([run[1:] for run in group], np.int64)
        starts, ends = np.ascontiguousarray(runs[:, 0]), np.ascontiguousarray(runs[:, 1])
        if source == Source.ZEROS:
            yield Zeros(int((ends - starts).sum()))
        elif source == Source.BESIDE:
            yield Copied(directory / added_name(found.file.name), starts, ends)
        elif is_in_index:
            yield Kept(starts, ends)
        else:
            yield Copied(directory / found.file.name, starts, ends)


def _tail(found: FileLook, reading: Reading) -> Iterator[Part]:
    for stretch in reading.tail:
        yield _kept(stretch.start, stretch.end) if stretch.path == found.path else _copied(stretch)


def _kept(start: int, end: int) -> Kept:
    return Kept(np.array([start], np.int64), np.array([end], np.int64))


def _copied(stretch: Stretch) -> Copied:
    return Copied(stretch.path, np.array([stretch.start], np.int64), np.array([stretch.end], np.int64))


def _info_of_copy(look: Look, name: str) -> ArrayInfo | None:
    """The header of the old copy, if that can be read."""
    try:
        descriptor = open_regular(look.generation.directory / name)
    except FileNotFoundError:
        return None
    try:
        return read_array_info(name, descriptor)
    except ValueError:
        return None
    finally:
        os.close(descriptor)
