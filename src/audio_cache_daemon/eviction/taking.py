"""The files of a run's manifest taken away, one by one: into the trash of their audio root, or for good."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.directories import make_state_directory, sync_directory
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.removal import take_away
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.manifest import TRASH, ManifestEntry
from audio_cache_daemon.model import FileIdentity, Outcome, OutcomeKind
from audio_cache_daemon.paths import Folders


def take_entries_away(
    location: CacheLocation, execution: Execution, roots: Iterable[bytes], entries: Iterable[ManifestEntry]
) -> Iterator[Outcome]:
    """Remove the files of these entries that are still there as they were. Harmless to repeat.

    `roots` are the audio roots that the entries count: the configuration may have changed since.
    """
    with Folders(location) as folders, ExitStack() as stack:
        numbers = _root_numbers(location, roots)
        trashes: dict[int, tuple[int, Path]] = {}
        for entry in entries:
            root = numbers.get(entry.root, -1)
            if entry.file and root >= 0 and execution.to_trash and root not in trashes:
                trashes[root] = _open_trash(folders.roots[root].path, execution.run, stack)
            moved = entry if root == entry.root else replace(entry, root=root)
            yield _take_entry_away(moved, folders, trashes.get(root))
        for _, path in trashes.values():
            sync_directory(path)


def find_closed_roots(location: CacheLocation, roots: Iterable[int]) -> Mapping[int, str]:
    """Those of the audio roots from which nothing can be moved to the trash, and why; the trash of the others is made.

    A root that isn't there is none of them: nothing can be moved from it at all.
    """
    closed: dict[int, str] = {}
    for number in roots:
        if not location.audio_roots[number].is_dir():
            continue
        try:
            path = make_state_directory(location.audio_roots[number], TRASH)
        except MaintenanceError as error:
            closed[number] = str(error)
            continue
        if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
            closed[number] = f"no permission to move files to {path}"
    return closed


def _root_numbers(location: CacheLocation, roots: Iterable[bytes]) -> dict[int, int]:
    """From the root numbers of a run to those of now."""
    now = {os.fsencode(root): number for number, root in enumerate(location.audio_roots)}
    return {number: now[root] for number, root in enumerate(roots) if root in now}


def _open_trash(root: Path, run: str, stack: ExitStack) -> tuple[int, Path]:
    path = make_state_directory(root, TRASH, run)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor, path


def _take_entry_away(entry: ManifestEntry, folders: Folders, trash: tuple[int, Path] | None) -> Outcome:
    row, stray = (entry.row if entry.row >= 0 else None), (entry.stray if entry.stray >= 0 else None)
    if not entry.file:
        return Outcome(OutcomeKind.EVICTED, entry.id, row, stray)
    if entry.root < 0:
        error = f"{entry.file}: its audio root is no longer configured, so it stays"
        return Outcome(OutcomeKind.FAILED, entry.id, row, stray, error=error)
    *parts, name = entry.file.split("/")
    expected = FileIdentity(0, entry.inode, entry.size, entry.mtime_ns)
    try:
        folder = folders.descriptor(entry.root, tuple(parts))
        kind = take_away(folder, name, expected, (trash[0], entry.name) if trash is not None else None)
    except FileNotFoundError:
        return Outcome(OutcomeKind.GONE, entry.id, row, stray)
    except OSError as error:
        reason = f"{entry.file}: {error.strerror or error}"
        denied = isinstance(error, PermissionError)
        return Outcome(OutcomeKind.FAILED, entry.id, row, stray, error=reason, denied=denied)
    return Outcome(kind, entry.id, row, stray, entry.size if kind == OutcomeKind.EVICTED else 0)
