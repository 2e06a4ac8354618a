"""What a run evicted, as it was written down: enough to finish the run after a crash, and to bring it back.

A run has a directory of its own in the cache's state directory, with the manifest, the evicted rows as they were
(`rows.jsonl`) and their vectors, in the order of the manifest: in `trash/<run>` what can be brought back, in
`retired/<run>` what is still in the index, as rows whose vectors are zero.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

MANIFEST_NAME = "manifest.jsonl"
ROWS_NAME = "rows.jsonl"
NOTE_NAME = "run.json"


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


class RunNote(msgspec.Struct, frozen=True):
    """What is common to the entries of a run: when it was (seconds since the epoch), and its audio roots, as bytes."""

    version: Literal[1]
    run: str
    time: float
    roots: tuple[bytes, ...]


def read_note(directory: Path) -> RunNote:
    """The note of a run; OSError or ValueError when it can't be read."""
    return msgspec.json.decode((directory / NOTE_NAME).read_bytes(), type=RunNote)


def read_manifest(path: Path) -> Iterator[ManifestEntry]:
    """The entries of a run, in order; a torn last line is no entry, since nothing was done before it was whole."""
    decoder = msgspec.json.Decoder(ManifestEntry)
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError:
                yield msgspec.convert(json.loads(line), ManifestEntry)
