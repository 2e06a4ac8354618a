"""What a run evicts, written down before it happens: enough to finish the run after a crash, and to bring it back.

A run has a directory `trash/<run>` in the cache's state directory with the manifest, the evicted rows as they
were (`rows.jsonl`) and their vectors, in the order of the manifest. The files go to `trash/<run>` in the state
directory of their own audio root, so that a move never copies.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from audio_cache_daemon.eviction.ranges import copy_ranges, write_all
from audio_cache_daemon.formats import array_header, read_lines
from audio_cache_daemon.model import Ints, Inventory

MANIFEST_NAME = "manifest.jsonl"
ROWS_NAME = "rows.jsonl"


class ManifestEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One eviction. `row` and `stray` are numbers in the run's plan, one of them -1.

    `file` is the path below the audio root `root` (its number in the cache), or "" when no file goes with it;
    `name` is the file's name in the trash; size, inode and mtime_ns are the file's.
    """

    id: str
    root: int
    file: str
    name: str
    size: int
    inode: int
    mtime_ns: int
    row: int = -1
    stray: int = -1


def append_entry(file: BinaryIO, entry: ManifestEntry) -> None:
    """Write one entry."""
    file.write(msgspec.json.encode(entry))
    file.write(b"\n")


def read_manifest(path: Path) -> Iterator[ManifestEntry]:
    """The entries of a run, in order; a torn last line is no entry, since nothing was done before it was whole."""
    decoder = msgspec.json.Decoder(ManifestEntry)
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield decoder.decode(line)


def save_rows(inventory: Inventory, rows: Ints, directory: Path) -> None:
    """Copy the bytes of rows (ascending) and their vectors into the run's directory, flushed."""
    cache, index = inventory.location.path, inventory.index
    with (cache / "meta.jsonl").open("rb", buffering=0) as meta, (directory / ROWS_NAME).open("wb") as target:
        target.writelines(read_lines(meta.fileno(), inventory.rows.offset, rows))
        target.flush()
        os.fsync(target.fileno())
    for name, info in index.arrays.items():
        if info.rows != len(inventory.rows):
            continue
        starts = info.data_offset + rows * info.row_bytes
        with (cache / name).open("rb", buffering=0) as source, (directory / name).open("wb", buffering=0) as target:
            write_all(target.fileno(), array_header(info, len(rows)))
            copy_ranges(source.fileno(), target.fileno(), np.ascontiguousarray(starts), starts + info.row_bytes)
            os.fsync(target.fileno())
