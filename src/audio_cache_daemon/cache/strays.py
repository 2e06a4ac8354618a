"""Files in the audio roots that no row names: the writer's orphans and leftovers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import msgspec
import numpy as np

from audio_cache_daemon.cache.listing import is_plain_file
from audio_cache_daemon.cache.walk import Walk
from audio_cache_daemon.columns import are_among
from audio_cache_daemon.location import is_leftover_name, is_written_name
from audio_cache_daemon.model import Bools, Ints, StrayKind, Strays
from audio_cache_daemon.paths import Folder, Folders, file_key


class _Found(msgspec.Struct):
    path: list[str] = msgspec.field(default_factory=list)
    kind: list[int] = msgspec.field(default_factory=list)
    root: list[int] = msgspec.field(default_factory=list)
    status: list[os.stat_result] = msgspec.field(default_factory=list)


def find_strays(folders: Folders, walk: Walk, named: Bools, unresolved_names: Ints) -> Strays:
    """The writer's files among those that the walk found and no row names.

    `named` says which of the walk's files rows name; `unresolved_names` are hashes, ascending, of the names in
    paths that couldn't be resolved: a file of such a name may be the one that is meant.
    """
    key, folder = walk.files.key[~named], walk.files.folder[~named]
    found = _Found()
    for number in np.unique(folder).tolist():
        keys = set(key[folder == number].tolist())
        # A directory that went away since has no strays.
        with suppress(OSError):
            _look_into(folders, walk.folders[number], keys, unresolved_names, found)
    return _columns(found)


def _look_into(folders: Folders, folder: Folder, keys: set[int], unresolved: Ints, found: _Found) -> None:
    """The walk kept no names, since there can be millions; so a folder that has strays is listed again."""
    descriptor = folders.descriptor(folder.root, folder.parts)
    for name in _names(descriptor):
        if file_key(folder, name) in keys and not are_among(np.array([hash(name)]), unresolved).any():
            _look_at(folder, descriptor, name, found)


def _names(descriptor: int) -> Iterator[str]:
    with os.scandir(descriptor) as entries:
        for entry in entries:
            yield entry.name


def _look_at(folder: Folder, descriptor: int, name: str, found: _Found) -> None:
    if is_leftover_name(name):
        kind = StrayKind.LEFTOVER
    elif is_written_name(name):
        kind = StrayKind.ORPHAN
    else:
        return
    try:
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return
    if is_plain_file(status):
        found.path.append("/".join((*folder.parts, name)))
        found.kind.append(kind)
        found.root.append(folder.root)
        found.status.append(status)


def _columns(found: _Found) -> Strays:
    order = sorted(range(len(found.path)), key=lambda i: (found.root[i], found.path[i]))
    statuses = [found.status[i] for i in order]
    return Strays(
        path=tuple(found.path[i] for i in order),
        kind=np.array([found.kind[i] for i in order], np.uint8),
        root=np.array([found.root[i] for i in order], np.int8),
        size=np.array([status.st_size for status in statuses], np.int64),
        changed=np.array([max(status.st_mtime, status.st_ctime) for status in statuses], np.float64),
        inode=np.array([status.st_ino for status in statuses], np.int64),
        mtime_ns=np.array([status.st_mtime_ns for status in statuses], np.int64),
    )
