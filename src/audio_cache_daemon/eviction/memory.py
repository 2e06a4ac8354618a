"""What a run remembers of a cache for the next one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from audio_cache_daemon.decodings import Decodings, FileKey, decodings_path, load_decodings
from audio_cache_daemon.digests import Digests, digests_path
from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.directories import make_state_directory, write_durably, write_whole
from audio_cache_daemon.formats import identify, read_keys, read_lines, row_id, spell_keys
from audio_cache_daemon.held import unpack_held
from audio_cache_daemon.likenesses import Likenesses, digest_vectors, likenesses_path
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, CacheLocation
from audio_cache_daemon.model import AlignedRows, Bools, Inventory, Memory, Plan, Settled, Sounds
from audio_cache_daemon.own_files import encode_own
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
    aligned = find_aligned(inventory) or (previous.aligned if previous is not None else None)
    return Memory(plan.now, rows, roots, missing_since, restored, aligned)


def find_aligned(inventory: Inventory) -> AlignedRows | None:
    """What is to be remembered of an index no array of which lacks rows; None if one does, or may."""
    index, count = inventory.index, len(inventory.rows)
    lacks = set(index.arrays) != set(ARRAY_NAMES) or any(info.rows != count for info in index.arrays.values())
    return None if lacks or index.torn_tail else _aligned(inventory, count, count - 1)


def aligned_after(inventory: Inventory, kept: Bools) -> AlignedRows | None:
    """What will be to be remembered when only these rows are kept, which gives each array a row a line."""
    numbers = np.flatnonzero(kept)
    return _aligned(inventory, len(numbers), int(numbers[-1]) if len(numbers) else -1)


def _aligned(inventory: Inventory, count: int, last: int) -> AlignedRows | None:
    """So many rows, of which that one will be the last (-1: there is none)."""
    with (inventory.location.path / META_NAME).open("rb", buffering=0) as meta:
        # An addition that ended while arrays were read can give them the same count, of which one lacks a row.
        if last < 0 or identify(os.fstat(meta.fileno())) != inventory.index.identity:
            return None
        line = next(read_lines(meta.fileno(), inventory.rows.offset, np.array([last])))
    return AlignedRows(count, row_id(line, 0))


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
    decodings.forget(
        {
            FileKey(
                inventory.roots[columns.root[row]].device or 0,
                int(columns.inode[row]),
                int(columns.size[row]),
                int(columns.mtime_ns[row]),
            )
            for row in rows
        }
    )
    save_readings(location, Readings(decodings=decodings))


def save_audit_head(location: CacheLocation, seq: int, last_hash: str) -> None:
    """Publish where the audit log ends, beside it but apart, so that a cut tail is found."""
    content = msgspec.json.encode({"seq": seq, "hash": last_hash})
    try:
        # One of an earlier run proves less, and is true.
        write_whole(location.state_directory / AUDIT_HEAD_NAME, content)
    except OSError as error:
        raise MaintenanceError(f"{location.state_directory} can't be written: {error.strerror}") from None
