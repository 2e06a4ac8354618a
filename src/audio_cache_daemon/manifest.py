"""What a run evicted, as it was written down: enough to finish the run after a crash, and to bring it back.

A run has a directory of its own in the cache's state directory, with the manifest, the evicted rows as they were
(`rows.jsonl`) and their vectors, in the order of the manifest: in `trash/<run>` what can be brought back, in
`retired/<run>` what is still in the index, as rows whose vectors are zero.

What is read is checked: files are moved and removed by it, and whoever can write there must not lead us elsewhere.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from audio_cache_daemon.errors import StateUnreadableError
from audio_cache_daemon.own_files import Number, decode_own, is_path_below, is_plain_name
from audio_cache_daemon.paths import inode_of

TRASH = "trash"
"""The directory of evicted files, in a state directory."""

RETIRED = "retired"
"""The directory of retired items, in the state directory of a cache."""

MANIFEST_NAME = "manifest.jsonl"
ROWS_NAME = "rows.jsonl"
NOTE_NAME = "run.json"


class ManifestEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One eviction. `row` and `stray` are numbers in the run's plan, one of them -1.

    `file` is the path below the audio root `root` (its number in the cache), or "" when no file goes with it;
    `name` is the file's name in the trash; size, inode and mtime_ns are the file's. ValueError for a path or name
    that leads elsewhere.
    """

    id: str
    root: Number
    file: str
    name: str
    size: Number
    inode: Number
    mtime_ns: Number
    row: Number = -1
    stray: Number = -1

    def __post_init__(self) -> None:
        if self.file and not is_path_below(self.file):
            raise ValueError(f"{self.file!r} is no path below an audio root")
        if not is_plain_name(self.name):
            raise ValueError(f"{self.name!r} is no name in a trash")


class RunNote(msgspec.Struct, frozen=True):
    """What is common to the entries of a run: when it was (seconds since the epoch), and its audio roots, as bytes.

    `index` is the inode of the `meta.jsonl` in which the entries' rows are counted.
    """

    version: Literal[1]
    run: str
    time: float
    roots: tuple[bytes, ...]
    index: int = 0


def read_note(directory: Path) -> RunNote:
    """The note of a run; OSError or StateUnreadableError when it can't be read."""
    path = directory / NOTE_NAME
    try:
        return decode_own(path.read_bytes(), RunNote)
    except ValueError as error:
        raise _unreadable(path, error) from None


def read_manifest(path: Path, roots: int | None = None) -> Iterator[ManifestEntry]:
    """The entries of a run, in order; a torn last line is no entry, since nothing was done before it was whole.

    `roots` is how many audio roots the run had, where that is known. OSError or StateUnreadableError when the manifest
    can't be read, or names what is none of a run's.
    """
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                entry = decode_own(line, ManifestEntry)
            except ValueError as error:
                raise _unreadable(path, error) from None
            if entry.file and not 0 <= entry.root < (roots if roots is not None else sys.maxsize):
                raise _unreadable(path, f"{entry.file!r} is in audio root {entry.root}, of which the run has none")
            yield entry


class ManifestSummary(msgspec.Struct, frozen=True):
    """How many entries a manifest has, and the bytes of the files that go with them, by audio root."""

    entries: int
    bytes: Mapping[int, int]


def summarize_manifest(path: Path, roots: int) -> ManifestSummary:
    """The summary of the manifest of a run that had so many audio roots; OSError or StateUnreadableError as above.

    It is read once, since nobody changes it any more: in a service that looks each minute a full trash is long.
    """
    found = path.stat()
    return _summarize(path, roots, (found.st_dev, inode_of(found), found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=4096)
def _summarize(path: Path, roots: int, _identity: tuple[int, ...]) -> ManifestSummary:
    entries, sizes = 0, Counter[int]()
    for entry in read_manifest(path, roots):
        entries += 1
        if entry.file:
            sizes[entry.root] += entry.size
    return ManifestSummary(entries, sizes)


def _unreadable(path: Path, reason: object) -> StateUnreadableError:
    return StateUnreadableError(
        f"{path} isn't what was written there: {reason}; nothing is done by it: mend it, or move its directory away"
    )
