"""What a run evicts, written down before it happens: enough to finish the run after a crash, and to bring it back.

A run has a directory `trash/<run>` in the cache's state directory with the manifest, the evicted rows as they
were (`rows.jsonl`) and their vectors, in the order of the manifest; until the index was exchanged, it is `saved` in
the directory of the rewrite, and counts for nothing. The files go to `trash/<run>` in the state
directory of their own audio root, so that a move never copies.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from audio_cache_daemon.columns import parts
from audio_cache_daemon.eviction.directories import create_file, write_whole
from audio_cache_daemon.eviction.ranges import copy_ranges, write_all
from audio_cache_daemon.formats import array_header, read_lines
from audio_cache_daemon.manifest import NOTE_NAME, ROWS_NAME, ManifestEntry, RunNote
from audio_cache_daemon.model import Ints, Inventory


def save_note(directory: Path, note: RunNote) -> None:
    """Write the note of a run into its directory, flushed; its name is so with the directory."""
    write_whole(directory / NOTE_NAME, msgspec.json.encode(note))


def append_entry(file: BinaryIO, entry: ManifestEntry) -> None:
    """Write one entry."""
    try:
        line = msgspec.json.encode(entry)
    except UnicodeEncodeError:
        # A byte of a file name that is no UTF-8: Python's own library has an escape for it, and reads it back.
        line = json.dumps(msgspec.to_builtins(entry)).encode()
    file.write(line + b"\n")


def save_rows(inventory: Inventory, rows: Ints, directory: Path) -> None:
    """Copy the bytes of rows (ascending) and their vectors into the run's directory, flushed."""
    cache = inventory.location.path
    with (cache / "meta.jsonl").open("rb", buffering=0) as meta, create_file(directory / ROWS_NAME) as target:
        target.writelines(read_lines(meta.fileno(), inventory.rows.offset, rows))
        target.flush()
        os.fsync(target.fileno())
    for name, info in inventory.whole_arrays().items():
        with (cache / name).open("rb", buffering=0) as source, create_file(directory / name) as target:
            write_all(target.fileno(), array_header(info, len(rows)))
            for part in parts(len(rows)):
                starts = info.data_offset + rows[part] * info.row_bytes
                copy_ranges(source.fileno(), target.fileno(), starts, starts + info.row_bytes)
            os.fsync(target.fileno())
