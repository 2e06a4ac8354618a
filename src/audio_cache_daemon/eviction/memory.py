"""What a run remembers of a cache for the next one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import starmap
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.columns import iter_rows
from audio_cache_daemon.decodings import Decodings, FileKey, decodings_path, load_decodings
from audio_cache_daemon.digests import Digests, digests_path
from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.directories import make_state_directory, write_durably, write_whole
from audio_cache_daemon.formats import identify, read_lines
from audio_cache_daemon.held import unpack_held
from audio_cache_daemon.ids import read_keys, row_id, spell_keys
from audio_cache_daemon.likenesses import Likenesses, digest_vectors, likenesses_path
from audio_cache_daemon.location import ARRAY_NAMES, BGE_TEXT_NAME, META_NAME, CacheLocation
from audio_cache_daemon.model import AlignedRows, Inventory, Memory, Plan, Settled, Sounds
from audio_cache_daemon.own_files import encode_own
from audio_cache_daemon.paths import inode_of
from audio_cache_daemon.readings import Readings
from audio_cache_daemon.state import AUDIT_HEAD_NAME, encode_memory, memory_path


def remember(plan: Plan, previous: Memory | None, *, dropped: int) -> Memory:
    """The memory of a run of this plan that drops so many rows; to be called while the index is as it was scanned.

    It holds all missing files, those of rows that go too: should one stay, it is still known since when.
    """
    inventory = plan.inventory
    subset = np.flatnonzero(inventory.rows.missing())
    keys = inventory.rows.missing_keys
    if keys is None:
        with (inventory.location.path / META_NAME).open("rb", buffering=0) as meta:
            keys = read_keys(meta.fileno(), inventory.rows.offset, subset)
    since = inventory.rows.missing_since[subset]
    since[np.isnan(since)] = plan.now
    roots = {
        str(root.path): (root.device, root.inode)
        for root in inventory.roots
        if root.device is not None and root.inode is not None
    }
    rows = len(inventory.rows) - dropped
    held = unpack_held(previous.held if previous is not None else b"")
    restored = held[held["until"] > plan.now].tobytes()
    missing_since = dict(zip(spell_keys(keys), since.tolist(), strict=True))
    aligned = find_aligned(inventory)
    if aligned is None and previous is not None and inventory.index.aligned:
        aligned = previous.aligned
    return Memory(plan.now, rows, roots, missing_since, restored, aligned)


def find_aligned(inventory: Inventory) -> AlignedRows | None:
    """What is to be remembered of an index no array of which lacks rows; None if one does, or may."""
    index, count = inventory.index, len(inventory.rows)
    lacks = set(index.arrays) != set(ARRAY_NAMES) or any(info.rows != count for info in index.arrays.values())
    last = find_last(inventory, count - 1) if count and not lacks and not index.torn_tail else None
    return AlignedRows(count, last, index.arrays[BGE_TEXT_NAME].identity.inode) if last is not None else None


def find_last(inventory: Inventory, number: int) -> str | None:
    """The id of a row that the index ends with, or will; None when it changed since it was scanned.

    An addition that ended while arrays were read can give them the same count, of which one lacks a row.
    """
    with (inventory.location.path / META_NAME).open("rb", buffering=0) as meta:
        if identify(os.fstat(meta.fileno())) != inventory.index.identity:
            return None
        return row_id(next(read_lines(meta.fileno(), inventory.rows.offset, np.array([number]))), 0)


def note_aligned(location: CacheLocation, memory: Memory, last: str) -> None:
    """Remember, after a rewrite that gave each array a row a line, that all rows up to the `last` are aligned."""
    with suppress(FileNotFoundError):
        inode = inode_of((location.path / BGE_TEXT_NAME).stat())
        save_memory(location, replace(memory, aligned=AlignedRows(memory.rows, last, inode)))


def save_memory(location: CacheLocation, memory: Memory) -> None:
    """Keep the memory for the next run; MaintenanceError when it can't be written."""
    make_state_directory(location.path)
    path = memory_path(location)
    try:
        write_durably(path, encode_memory(memory))
    except OSError as error:
        raise MaintenanceError(f"{path} can't be written: {error.strerror}; the next run will know less") from None


def save_readings(location: CacheLocation, readings: Readings) -> None:
    """Keep the readings for the next run, where anything is new; where that can't be it reads the files again."""
    new: list[tuple[Path, Digests | Decodings]] = [
        (digests_path(location), readings.digests),
        (decodings_path(location), readings.decodings),
    ]
    for path, remembered in new:
        if remembered.is_changed:
            with suppress(OSError, MaintenanceError):
                make_state_directory(location.path)
                write_durably(path, remembered.encode())


def save_likenesses(location: CacheLocation, sounds: Sounds, settled: Settled, known: Likenesses | None) -> None:
    """Keep what was settled of the sounds for the next run, if that is anything new."""
    unlike, protected = (
        sorted(digest_vectors(sounds.vectors[sounds.place[rows]]).tolist())
        for rows in (settled.unlike, settled.protected)
    )
    likenesses = Likenesses(1, settled.similarity, unlike, protected)
    if likenesses != known:
        with suppress(OSError, MaintenanceError):
            make_state_directory(location.path)
            write_durably(likenesses_path(location), encode_own(likenesses))


def forget_decodings(inventory: Inventory, rows: Sequence[int]) -> None:
    """Forget how the files of these rows decode: they are no longer what they were, whatever their times say."""
    columns, location = inventory.rows, inventory.location
    decodings = load_decodings(location)
    places = np.array(rows, np.int64)
    decodings.forget(set(starmap(FileKey, iter_rows(columns.inode, columns.size, columns.mtime_ns, at=places))))
    save_readings(location, Readings(decodings=decodings))


def save_audit_head(location: CacheLocation, seq: int, last_hash: str) -> None:
    """Publish where the audit log ends, beside it but apart, so that a cut tail is found."""
    content = msgspec.json.encode({"seq": seq, "hash": last_hash})
    try:
        # One of an earlier run proves less, and is true.
        write_whole(location.state_directory / AUDIT_HEAD_NAME, content)
    except OSError as error:
        raise MaintenanceError(f"{location.state_directory} can't be written: {error.strerror}") from None
