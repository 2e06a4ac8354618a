"""What evictions free: a file's bytes are freed when the last row that names it goes, and once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.columns import parts
from audio_cache_daemon.model import Bools, Ints, Inventory, Rows
from audio_cache_daemon.retention.judgement import rank_in_groups


def freed_file_bytes(rows: Rows, order: Ints, before: Bools) -> Ints:
    """Audio bytes freed by each eviction of `order` (row numbers), when only the rows `before` are still there."""
    named, may_go = count_namings(rows, before), rows.present() & ~rows.used_elsewhere
    freed, is_shared = rows.size[order], np.zeros(len(order), np.bool_)
    for part in parts(len(order)):
        some = order[part]
        goes = may_go[some]
        namings = np.zeros(len(some), np.int32)
        namings[goes] = named[rows.file[some][goes]]
        is_shared[part] = namings > 1
        freed[part][namings == 0] = 0
    # Of a file that several rows name, the last of them counts.
    shared = np.flatnonzero(is_shared)
    files = rows.file[order[shared]]
    turn = rank_in_groups(files, np.ones(len(shared), np.bool_), [shared])
    freed[shared[turn != named[files]]] = 0
    return freed


def count_namings(rows: Rows, among: Bools) -> NDArray[np.int32]:
    """For each file (by its number) how many of the rows name it as theirs, and it is there."""
    counts = np.zeros(rows.file_count(), np.int32)
    named = among & rows.present()
    for some in parts(len(named)):
        np.add.at(counts, rows.file[some][named[some]], 1)
    return counts


def freed_bytes(inventory: Inventory, order: Ints, before: Bools) -> Ints:
    """All bytes freed by each eviction of `order`: the audio, the line and the vectors."""
    rows = inventory.rows
    line = rows.offset[order + 1] - rows.offset[order]
    return freed_file_bytes(rows, order, before) + line + inventory.index.vector_bytes
