"""What evictions free: a file's bytes are freed when the last row that names it goes, and once."""

from __future__ import annotations

import numpy as np

from audio_cache_daemon.model import Bools, Ints, Inventory, Rows
from audio_cache_daemon.retention.judgement import rank_in_groups


def freed_file_bytes(rows: Rows, order: Ints, before: Bools) -> Ints:
    """Audio bytes freed by each eviction of `order` (row numbers), when only the rows `before` are still there."""
    files = rows.file[order]
    turn = rank_in_groups(files, np.ones(len(order), np.bool_), [np.arange(len(order))])
    named = count_namings(rows, before)
    last = (files >= 0) & (turn == named[files] if len(named) else False)
    goes = last & rows.present()[order] & ~rows.used_elsewhere[order]
    return np.where(goes, rows.size[order], 0)


def count_namings(rows: Rows, among: Bools) -> Ints:
    """For each file (by its number) how many of the rows name it as theirs, and it is there."""
    return np.bincount(rows.file[among & rows.present()], minlength=int(rows.file.max(initial=-1)) + 1)


def freed_bytes(inventory: Inventory, order: Ints, before: Bools) -> Ints:
    """All bytes freed by each eviction of `order`: the audio, the line and the vectors."""
    rows = inventory.rows
    line = rows.offset[order + 1] - rows.offset[order]
    return freed_file_bytes(rows, order, before) + line + inventory.index.vector_bytes
