"""Files in the audio roots that no row names: the writer's orphans and leftovers."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from audio_cache_daemon.cache.index import ProblemLog
from audio_cache_daemon.formats import is_audio_name, is_leftover_name, is_written_name
from audio_cache_daemon.model import STATE_DIRECTORY, Ints, StrayKind, Strays
from audio_cache_daemon.paths import Folder, Folders, file_key, root_folder

_NAMES_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """What rows name: sorted keys of files, and hashes of the names in paths that couldn't be resolved."""

    keys: Ints
    unresolved_names: frozenset[int]

    def unnamed(self, folder: Folder, names: list[str]) -> list[str]:
        """Those of the names in a folder that no row can mean."""
        keys = np.fromiter((file_key(folder, name) for name in names), np.int64, len(names))
        places = np.searchsorted(self.keys, keys)
        named = np.zeros(len(names), np.bool_)
        inside = places < len(self.keys)
        named[inside] = self.keys[places[inside]] == keys[inside]
        return [names[i] for i in np.flatnonzero(~named).tolist() if hash(names[i]) not in self.unresolved_names]


@dataclass(slots=True)
class _Found:
    path: list[str] = field(default_factory=list)
    kind: list[int] = field(default_factory=list)
    root: list[int] = field(default_factory=list)
    status: list[os.stat_result] = field(default_factory=list)


def find_strays(folders: Folders, named: NamedFiles, problems: ProblemLog) -> Strays:
    """Walk the roots, on their own mount and through no link, and look at each file that no row names."""
    found = _Found()
    others = {(root.device, root.inode) for root in folders.roots}
    for index, root in enumerate(folders.roots):
        if root.inode is None:
            continue
        pending = [root_folder(root.path, index)]
        while pending:
            folder = pending.pop()
            try:
                descriptor = folders.descriptor(folder.root, folder.parts)
                # A root inside a root is walked once, as itself.
                if folder.parts and _identity(os.fstat(descriptor)) in others:
                    continue
                pending += _visit(folder, descriptor, named, found)
            except OSError as error:
                place = "/".join((str(root.path), *folder.parts))
                problems.add("unreadable_directory", place, f"is passed over: {error.strerror or error}")
    return _columns(found)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _visit(folder: Folder, descriptor: int, named: NamedFiles, found: _Found) -> list[Folder]:
    """Look at the files of one directory; the directories below it."""
    below: list[Folder] = []
    with os.scandir(descriptor) as entries:
        names = _audio_names(entries, folder, below)
        while batch := list(islice(names, _NAMES_AT_ONCE)):
            for name in named.unnamed(folder, batch):
                _look_at(folder, descriptor, name, found)
    return below


def _audio_names(entries: Iterator[os.DirEntry[str]], folder: Folder, below: list[Folder]) -> Iterator[str]:
    for entry in entries:
        if is_audio_name(entry.name):
            yield entry.name
        elif entry.name != STATE_DIRECTORY and entry.is_dir(follow_symlinks=False):
            below.append(folder.child(entry.name))


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
    if stat.S_ISREG(status.st_mode):
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
