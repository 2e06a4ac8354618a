"""The trash: what runs evicted and can still be brought back, until it is too old or too much."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from audio_cache_daemon.errors import ConfigError, MaintenanceError
from audio_cache_daemon.eviction.directories import open_state_directory
from audio_cache_daemon.eviction.removal import remove_for_good, remove_run
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.manifest import (
    MANIFEST_NAME,
    RETIRED,
    TRASH,
    RunNote,
    read_manifest,
    read_note,
    summarize_manifest,
)
from audio_cache_daemon.own_files import own_subdirectories
from audio_cache_daemon.retired import UNFINISHED, load_retired


class TrashedRun(msgspec.Struct, frozen=True):
    """A run in the trash: when it was (seconds since the epoch), how many items and files, and their bytes."""

    run: str
    time: float
    items: int
    bytes: int


def list_trash(location: CacheLocation) -> list[TrashedRun]:
    """The runs in the trash of a cache, oldest first; a directory that is none of ours is passed over."""
    return sorted(_read_runs(location), key=lambda run: (run.time, run.run))


def list_pending(location: CacheLocation) -> list[TrashedRun]:
    """The runs whose items are retired and whose files are still in their places; they can be brought back as well."""
    trashed = {directory.name for directory in _directories(location)}
    return [
        TrashedRun(run.run, run.note.time, len(run), int(run.columns["size"][run.columns["has_file"]].sum()))
        for run in load_retired(location)
        if run.run not in trashed and len(run)
    ]


def run_directory(location: CacheLocation, run: str) -> Path:
    """Where a run is in the trash of a cache; ConfigError when no run of that name is there."""
    # A name is found among those that are there: as a part of a path it could lead anywhere.
    for directory in _directories(location):
        if directory.name == run:
            return directory
    raise ConfigError(f"{location.path} has no run {run} in its trash; `trash list` names those that it has")


def find_run(location: CacheLocation, run: str) -> Path:
    """Where that is which brings a run back: in the trash, or, before its files went, with the retired items."""
    for retired in list_pending(location):
        if retired.run == run:
            return location.state_directory / RETIRED / run
    return run_directory(location, run)


def empty_run(location: CacheLocation, run: str) -> tuple[str, ...]:
    """Remove a run from the trash for good. Harmless to repeat; MaintenanceError when a file can't be removed.

    Returns, in words, what had to stay: the run's files in a directory that is no longer an audio root of the cache.
    """
    directory = run_directory(location, run)
    ours = {os.fsencode(root): root for root in (location.path, *location.audio_roots)}
    try:
        note = read_note(directory)
        # Once as a whole, so that nothing is begun by a manifest that can't be read.
        summarize_manifest(directory / MANIFEST_NAME, len(note.roots))
        left = []
        for number, named in enumerate(note.roots):
            names = _names_in_root(directory / MANIFEST_NAME, len(note.roots), number)
            if named in ours:
                _empty_directory(ours[named], run, names)
            elif count := sum(1 for _ in names):
                place = os.fsdecode(named)
                left.append(f"{count} files of run {run} stay: {place} is no longer an audio root of the cache")
        # What was written down goes last: as long as it is there, emptying can be taken up again.
        remove_run(directory)
    except OSError as error:
        raise MaintenanceError(f"{directory} can't be emptied: {error}") from None
    return tuple(left)


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


def _directories(location: CacheLocation) -> list[Path]:
    """Of the runs; one that isn't whole, or no more, is none."""
    found = own_subdirectories(location.state_directory, TRASH)
    return [directory for directory in found if not directory.name.endswith(UNFINISHED)]


def _read_runs(location: CacheLocation) -> Iterator[TrashedRun]:
    for directory in _directories(location):
        with suppress(OSError, ValueError):
            note: RunNote = read_note(directory)
            summary = summarize_manifest(directory / MANIFEST_NAME, len(note.roots))
            yield TrashedRun(directory.name, note.time, summary.entries, sum(summary.bytes.values()))


def _names_in_root(manifest: Path, roots: int, root: int) -> Iterator[str]:
    """The names in the trash of the files of one audio root."""
    return (entry.name for entry in read_manifest(manifest, roots) if entry.file and entry.root == root)


def _empty_directory(root: Path, run: str, names: Iterable[str]) -> None:
    try:
        trash = open_state_directory(root, TRASH)
    except FileNotFoundError:
        return
    try:
        with suppress(FileNotFoundError):
            _remove_from(trash, run, names)
    finally:
        os.close(trash)


def _remove_from(trash: int, run: str, names: Iterable[str]) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    directory = os.open(run, flags, dir_fd=trash)
    try:
        for name in names:
            remove_for_good(directory, name)
    finally:
        os.close(directory)
    # What else lies there is not ours to remove.
    with suppress(OSError):
        os.rmdir(run, dir_fd=trash)
