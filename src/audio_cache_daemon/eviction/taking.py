"""The files of a run's manifest taken away, one by one: into the trash of their audio root, or for good."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from msgspec.structs import replace

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.directories import make_state_directory
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.removal import take_away
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.manifest import TRASH, ManifestEntry
from audio_cache_daemon.model import FileIdentity, Outcome, OutcomeKind
from audio_cache_daemon.own_files import sync_directory
from audio_cache_daemon.paths import Folders

_BATCH = 128
_AT_ONCE = 4
"""So many batches of entries: while one waits for the disk to free blocks, or for a server, the others go on."""

_Trashes: TypeAlias = dict[int, tuple[int, Path]]
"""By audio root: the run's place in its trash, and a descriptor of it."""


def take_entries_away(
    location: CacheLocation, execution: Execution, roots: Iterable[bytes], entries: Iterable[ManifestEntry]
) -> Iterator[Outcome]:
    """Remove the files of these entries that are still there as they were, and tell of each. Harmless to repeat.

    `roots` are the audio roots that the entries count: the configuration may have changed since. Of many entries some
    more than it has told of are done when the iterator is closed early.
    """
    numbers = _root_numbers(location, roots)
    now = (replace(entry, root=numbers.get(entry.root, -1)) for entry in entries)
    trashes: _Trashes = {}
    # The threads end before the descriptors that they use are closed.
    with ExitStack() as stack, ThreadPoolExecutor(_AT_ONCE) as pool:
        running: deque[Future[list[Outcome]]] = deque()
        while batch := list(islice(now, _BATCH)):
            if execution.to_trash:
                _open_trashes(trashes, location, execution.run, batch, stack)
            if len(batch) < _BATCH and not running:
                yield from _take_batch_away(location, trashes, batch)
                break
            running.append(pool.submit(lambda *work: list(_take_batch_away(*work)), location, trashes, batch))
            if len(running) == _AT_ONCE:
                yield from running.popleft().result()
        for future in running:
            yield from future.result()
        for _, path in trashes.values():
            sync_directory(path)


def _open_trashes(
    trashes: _Trashes, location: CacheLocation, run: str, entries: Iterable[ManifestEntry], stack: ExitStack
) -> None:
    """Open the run's place in the trash of each audio root that is needed and not open."""
    for root in {entry.root for entry in entries if entry.file and entry.root >= 0} - trashes.keys():
        path = make_state_directory(location.audio_roots[root], TRASH, run)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        stack.callback(os.close, descriptor)
        trashes[root] = descriptor, path


def _take_batch_away(location: CacheLocation, trashes: _Trashes, entries: list[ManifestEntry]) -> Iterator[Outcome]:
    with Folders(location) as folders:
        for entry in entries:
            yield _take_entry_away(entry, folders, trashes.get(entry.root))


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
