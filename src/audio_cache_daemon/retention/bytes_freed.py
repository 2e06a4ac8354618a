"""What evictions free: a file's bytes are freed when the last row that names it goes, and once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.columns import parts
from audio_cache_daemon.model import Bools, Ints, Inventory, Rows
from audio_cache_daemon.retention.judgement import rank_in_groups


def freed_file_bytes(rows: Rows, order: Ints, before: Bools) -> Ints:
    """Audio bytes freed by each eviction of `order` (row numbers), when only the rows `before` are still there."""
    files = rows.file[order]
    named = count_namings(rows, before)
    namings = np.where(files >= 0, named[files], np.int32(0)) if len(named) else np.zeros(len(order), np.int32)
    goes = namings == 1
    # Of a file that several rows name, the last of them counts.
    several = np.flatnonzero(namings > 1)
    turn = rank_in_groups(files[several], np.ones(len(several), np.bool_), [several])
    goes[several] = turn == namings[several]
    freed = rows.size[order]
    freed[~(goes & rows.present()[order] & ~rows.used_elsewhere[order])] = 0
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
