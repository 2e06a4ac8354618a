"""Files in the audio roots that no row names: the writer's orphans and leftovers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import compress, islice
from typing import NamedTuple

import numpy as np

from audio_cache_daemon.cache.listing import is_plain_file
from audio_cache_daemon.cache.neighbours import NeighbourNames
from audio_cache_daemon.cache.walk import Walk
from audio_cache_daemon.columns import are_among, distinct
from audio_cache_daemon.location import is_leftover_name, is_written_name
from audio_cache_daemon.model import Bools, Ints, Rows, StrayKind, Strays
from audio_cache_daemon.paths import Folder, Folders, inode_of

_FOUND = np.dtype(
    [
        ("kind", np.uint8),
        ("root", np.int8),
        ("size", np.int64),
        ("changed", np.float64),
        ("inode", np.int64),
        ("mtime_ns", np.int64),
    ]
)

_NAMES_AT_ONCE = 2**12

_NAMES_KEPT = 10_000
"""So many names are remembered. Of more files without a row each scan lists the directories once more."""

_ORPHAN_SHARE = 5
"""More than one file in so many being an orphan is no litter but a fault: of the index, or of the configuration."""


class _Stray(NamedTuple):
    """A file that no row names: its path below its root, and what is known of it, in the order of _FOUND."""

    path: str
    numbers: tuple[int, int, int, float, int, int]


def find_strays(folders: Folders, walk: Walk, named: Bools, unresolved_names: Ints, names: dict[int, str]) -> Strays:
    """The writer's files among those that the walk found and no row names.

    `named` says which of the walk's files rows name; `unresolved_names` are hashes, ascending, of the names in
    paths that couldn't be resolved: a file of such a name may be the one that is meant. `names` are what is known of
    names, by the keys of files; afterwards it holds those of the files that no row names, unless they are many.
    """
    key, folder = walk.files.key[~named], walk.files.folder[~named]
    for other in names.keys() - set(key.tolist() if len(key) <= _NAMES_KEPT else ()):
        del names[other]
    paths: list[str] = []

    def numbers() -> Iterator[tuple[int, int, int, float, int, int]]:
        for number in distinct(folder).tolist():
            for stray in _look_into(folders, walk.folders[number], key[folder == number], unresolved_names, names):
                paths.append(stray.path)
                yield stray.numbers

    found = np.fromiter(numbers(), _FOUND)
    by_path = np.array(sorted(range(len(paths)), key=paths.__getitem__), np.int64)
    order = by_path[np.argsort(found["root"][by_path], kind="stable")]
    columns = {name: found[name][order] for name in _FOUND.names or ()}
    return Strays(path=tuple(map(paths.__getitem__, order.tolist())), **columns)


def _look_into(
    folders: Folders, folder: Folder, keys: Ints, unresolved: Ints, names: dict[int, str]
) -> Iterator[_Stray]:
    """Those in a folder of which the walk has other `keys` (ascending) than rows name; none if it went away since."""
    with suppress(OSError):
        descriptor = folders.descriptor(folder.root, folder.parts)
        for some in _names_of(keys, folder, descriptor, names):
            free = ~are_among(_hash(some), unresolved)
            strays = (_look_at(folder, descriptor, name) for name in compress(some, free))
            yield from (stray for stray in strays if stray is not None)


def _names_of(keys: Ints, folder: Folder, descriptor: int, names: dict[int, str]) -> Iterator[list[str]]:
    """The names of the files of these keys, as they are known, or else by listing their folder once more.

    The walk kept none, since there can be millions.
    """
    if len(keys) <= _NAMES_KEPT and all(map(names.__contains__, keys.tolist())):
        yield [names[key] for key in keys.tolist()]
        return
    with os.scandir(descriptor) as entries:
        every = (entry.name for entry in entries)
        while listed := list(islice(every, _NAMES_AT_ONCE)):
            found = _hash(listed) ^ folder.key
            mine = are_among(found, keys)
            some = [*compress(listed, mine)]
            if len(names) < _NAMES_KEPT:
                names.update(zip(found[mine].tolist(), some, strict=True))
            yield some


def _hash(names: list[str]) -> Ints:
    return np.fromiter(map(hash, names), np.int64, len(names))


def _look_at(folder: Folder, descriptor: int, name: str) -> _Stray | None:
    if is_leftover_name(name):
        kind = StrayKind.LEFTOVER
    elif is_written_name(name):
        kind = StrayKind.ORPHAN
    else:
        return None
    try:
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not is_plain_file(status):
        return None
    changed = max(status.st_mtime, status.st_ctime)
    numbers = (kind, folder.root, status.st_size, changed, inode_of(status), status.st_mtime_ns)
    return _Stray("/".join((*folder.parts, name)), numbers)


def why_orphans_undecidable(rows: Rows, strays: Strays, neighbours: NeighbourNames) -> str | None:
    """Why it can't be told which files no row names, in words; None if it can."""
    orphans = strays.kind == StrayKind.ORPHAN
    if neighbours.unreadable:
        return f"{neighbours.unreadable}, so which files no row names can't be told"
    if not rows.readable.all():
        return "some lines of meta.jsonl can't be read, so which files they name can't be told"
    if len(rows) == 0 and orphans.any():
        return "the index is empty while there are audio files"
    for root in distinct(strays.root[orphans]).tolist():
        is_named = np.zeros(rows.file_count(), np.bool_)
        is_named[rows.file[(rows.root == root) & rows.present()]] = True
        files = int(is_named.sum())
        in_root = strays.root == root
        if int((orphans & in_root).sum()) * _ORPHAN_SHARE > files + int(in_root.sum()):
            return "more than a fifth of the files in an audio root are named by no row, which is more than litter"
    return None
