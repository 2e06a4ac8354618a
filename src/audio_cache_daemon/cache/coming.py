"""What is as good as gone on the disk of each audio root: in the trash, or a file of a retired item."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress

from msgspec.structs import replace

from audio_cache_daemon.columns import distinct
from audio_cache_daemon.location import CacheLocation, Root
from audio_cache_daemon.manifest import MANIFEST_NAME, TRASH, read_note, summarize_manifest
from audio_cache_daemon.model import Retired
from audio_cache_daemon.own_files import own_subdirectories
from audio_cache_daemon.retired import load_retired


def with_coming(roots: tuple[Root, ...], location: CacheLocation, retired: Retired) -> tuple[Root, ...]:
    """The roots, each with the bytes on it that are to be freed before anything else must go."""
    coming = _trash_bytes(location) + _pending_bytes(location, retired)
    return tuple(replace(root, coming=coming[os.fsencode(root.path)]) for root in roots)


def _trash_bytes(location: CacheLocation) -> Counter[bytes]:
    found: Counter[bytes] = Counter()
    for directory in own_subdirectories(location.state_directory, TRASH):
        # What can't be read there frees nothing, and is told of by the commands that are about the trash.
        with suppress(OSError, ValueError):
            note = read_note(directory)
            for root, size in summarize_manifest(directory / MANIFEST_NAME, len(note.roots)).bytes.items():
                found[note.roots[root]] += size
    return found


def _pending_bytes(location: CacheLocation, retired: Retired) -> Counter[bytes]:
    found: Counter[bytes] = Counter()
    first = 0
    for run in load_retired(location) if retired.pending.any() else ():
        waits = retired.pending[first : first + len(run)]
        first += len(run)
        for root in distinct(run.columns["root"][waits]).tolist():
            found[run.note.roots[root]] += int(run.columns["size"][waits & (run.columns["root"] == root)].sum())
    return found
