"""The trash: what runs evicted and can still be brought back, until it is too old or too much."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.execution import TRASH
from audio_cache_daemon.eviction.removal import remove_for_good
from audio_cache_daemon.location import STATE_DIRECTORY, CacheLocation
from audio_cache_daemon.manifest import MANIFEST_NAME, RunNote, read_manifest, read_note


@dataclass(frozen=True, slots=True)
class TrashedRun:
    """A run in the trash: when it was (seconds since the epoch), how many items and files, and their bytes."""

    run: str
    time: float
    items: int
    bytes: int


def list_trash(location: CacheLocation) -> list[TrashedRun]:
    """The runs in the trash of a cache, oldest first; a directory that is none of ours is passed over."""
    return sorted(_read_runs(location), key=lambda run: (run.time, run.run))


def empty_run(location: CacheLocation, run: str) -> None:
    """Remove a run from the trash for good. Harmless to repeat; MaintenanceError when a file can't be removed."""
    directory = location.state_directory / TRASH / run
    try:
        note = read_note(directory)
        names = [entry.name for entry in read_manifest(directory / MANIFEST_NAME) if entry.file]
        for root in note.roots:
            _empty_directory(Path(os.fsdecode(root)) / STATE_DIRECTORY / TRASH / run, names)
        # The manifest goes last: as long as it is there, emptying can be taken up again.
        shutil.rmtree(directory)
    except FileNotFoundError:
        raise MaintenanceError(f"{location.path} has no run {run} in its trash") from None
    except (OSError, ValueError) as error:
        raise MaintenanceError(f"{directory} can't be emptied: {error}") from None


def expired_runs(location: CacheLocation, keep: float, max_size: int | None, now: float) -> list[TrashedRun]:
    """The runs that are older than `keep` seconds, and the oldest of the others while all are over `max_size` bytes.

    Exactly at a limit is kept.
    """
    runs = list_trash(location)
    total = sum(run.bytes for run in runs)
    expired = []
    for run in runs:
        if now - run.time > keep or (max_size is not None and total > max_size):
            expired.append(run)
            total -= run.bytes
    return expired


def _read_runs(location: CacheLocation) -> Iterator[TrashedRun]:
    trash = location.state_directory / TRASH
    for directory in sorted(trash.iterdir()) if trash.is_dir() else ():
        with suppress(OSError, ValueError):
            note: RunNote = read_note(directory)
            sizes = [entry.size if entry.file else 0 for entry in read_manifest(directory / MANIFEST_NAME)]
            yield TrashedRun(directory.name, note.time, len(sizes), sum(sizes))


def _empty_directory(directory: Path, names: list[str]) -> None:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        for name in names:
            remove_for_good(descriptor, name)
    finally:
        os.close(descriptor)
    # What else lies there is not ours to remove.
    with suppress(OSError):
        directory.rmdir()
