"""Other caches that share an audio root: which files their rows name, so that none of them is taken for litter."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from audio_cache_daemon.formats import Row, decode_row, decode_rows, iter_blocks, line_ends
from audio_cache_daemon.location import META_NAME, CacheLocation
from audio_cache_daemon.model import Ints
from audio_cache_daemon.paths import Folder, PathResolver, file_key, open_regular, path_parts


@dataclass(frozen=True, slots=True)
class NeighbourNames:
    """Keys of the files, and hashes of the names in unresolved paths, of other caches' rows.

    `unreadable` says which cache couldn't be read whole, and why.
    """

    keys: Ints
    unresolved_names: frozenset[int]
    unreadable: str | None = None


def read_neighbours(location: CacheLocation, others: Sequence[CacheLocation]) -> NeighbourNames:
    """What the rows of those other caches name that share a root, or a part of one, with this one."""
    keys: list[int] = []
    names: set[int] = set()
    unreadable: str | None = None
    for other in others:
        if not _share_a_root(location, other):
            continue
        try:
            whole = _read_names(other, keys, names)
        except OSError as error:
            unreadable = f"cache {other.name} shares an audio root and can't be read ({error.strerror})"
            continue
        if not whole:
            unreadable = f"cache {other.name} shares an audio root and has lines that can't be read"
    return NeighbourNames(np.unique(np.array(keys, np.int64)), frozenset(names), unreadable)


def _share_a_root(one: CacheLocation, other: CacheLocation) -> bool:
    mine = [os.path.realpath(root) + "/" for root in one.audio_roots]
    theirs = [os.path.realpath(root) + "/" for root in other.audio_roots]
    return any(a.startswith(b) or b.startswith(a) for a in mine for b in theirs)


def _read_names(other: CacheLocation, keys: list[int], names: set[int]) -> bool:
    """Take in the names of another cache's rows; whether all of its lines were rows."""
    resolver = PathResolver(other)
    real: dict[Folder, Folder] = {}
    whole = True
    with os.fdopen(open_regular(other.path / META_NAME), "rb", buffering=0) as file:
        for _, block in iter_blocks(file):
            for row in _decode(block):
                if row is None:
                    whole = False
                elif row.path is not None:
                    folder, name = resolver.split(row.path)
                    if folder.problem is None:
                        if folder not in real:
                            real[folder] = _real_folder(folder)
                        keys.append(file_key(real[folder], name))
                    else:
                        names.add(hash(name))
    return whole


def _decode(block: bytes) -> Sequence[Row | None]:
    rows = decode_rows(block, line_ends(block))
    return rows if rows is not None else [decode_row(line)[0] for line in block.removesuffix(b"\n").split(b"\n")]


def _real_folder(folder: Folder) -> Folder:
    """The folder where it really lies: the rows of another cache may reach it through a link below a root."""
    try:
        parts = path_parts(os.path.realpath("/".join(("", *folder.real, *folder.parts))))
    except ValueError:  # no name that a file can have
        return folder
    return replace(folder, key=hash(parts))
