"""Other caches that share an audio root: which files their rows name, so that none of them is taken for litter."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.cache.hashes import Hashes
from audio_cache_daemon.cache.names import names_in
from audio_cache_daemon.columns import are_among, distinct
from audio_cache_daemon.formats import Row, decode_row, decode_rows, iter_blocks, line_ends
from audio_cache_daemon.location import META_NAME, CacheLocation
from audio_cache_daemon.model import Ints
from audio_cache_daemon.paths import Folder, PathResolver, file_key, link_target, open_regular, path_parts


class NeighbourNames(msgspec.Struct, frozen=True):
    """Keys of the files (ascending), and hashes of the names in unresolved paths, of other caches' rows.

    `unreadable` says which cache couldn't be read whole, and why; without its index (`unknown`) any file may be its.
    """

    keys: Ints
    unresolved_names: Ints
    unreadable: str | None = None
    unknown: bool = False


def read_neighbours(location: CacheLocation, others: Sequence[CacheLocation]) -> NeighbourNames:
    """What the rows of those other caches name that share a root, or a part of one, with this one."""
    keys: list[Ints] = [np.empty(0, np.int64)]
    names: list[Ints] = [np.empty(0, np.int64)]
    unreadable: str | None = None
    unknown = False
    for other in others:
        if not _share_a_root(location, other):
            continue
        neighbour = _Neighbour(other)
        try:
            neighbour.read()
        except OSError as error:
            unknown = True
            unreadable = f"cache {other.name} shares an audio root and can't be read ({error.strerror})"
            continue
        keys.append(neighbour.keys.column())
        names.append(neighbour.names.column())
        if not neighbour.is_whole:
            unreadable = f"cache {other.name} shares an audio root and has lines that can't be read"
    return NeighbourNames(distinct(np.concatenate(keys)), np.concatenate(names), unreadable, unknown)


def _share_a_root(one: CacheLocation, other: CacheLocation) -> bool:
    mine = [os.path.realpath(root) + "/" for root in one.audio_roots]
    theirs = [os.path.realpath(root) + "/" for root in other.audio_roots]
    return any(a.startswith(b) or b.startswith(a) for a in mine for b in theirs)


class _Neighbour:
    """The names in another cache's rows: keys of files, hashes of names that can't be resolved or are links' ends."""

    def __init__(self, location: CacheLocation) -> None:
        self._meta = location.path / META_NAME
        self._resolver = PathResolver(location)
        self._real: dict[Folder, Folder] = {}
        self.keys = Hashes()
        self.names = Hashes()
        self.is_whole = True

    def read(self) -> None:
        """Take in the whole index; OSError when it can't be read."""
        with os.fdopen(open_regular(self._meta), "rb", buffering=0) as file:
            for _, block in iter_blocks(file):
                rows = decode_rows(block, line_ends(block))
                if rows is None:
                    self._take_lines(block.removesuffix(b"\n").split(b"\n"))
                    continue
                for row in rows:
                    self._take(row)
        self._follow_links()

    def _take_lines(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            row, _ = decode_row(line)
            if row is not None:
                self._take(row)
                continue
            self.is_whole = False
            self.names.update(map(hash, names_in(line)))

    def _take(self, row: Row) -> None:
        if row.path is None:
            return
        folder, name = self._resolver.split(row.path)
        if folder.problem is None:
            if folder not in self._real:
                self._real[folder] = _real_folder(folder)
            self.keys.add(file_key(self._real[folder], name))
            return
        self.names.add(hash(name))
        where = self._resolver.locate(row.path)
        target = link_target(where) if where is not None else None
        if target is not None:
            self.names.add(hash(target.rpartition("/")[2]))

    def _follow_links(self) -> None:
        """Add what the links among the files lead to; a look at each directory costs less than one at each file."""
        links: dict[int, str] = {}
        for folder, real in self._real.items():
            with suppress(OSError, ValueError), os.scandir("/".join(("", *folder.real, *folder.parts))) as entries:
                links |= {file_key(real, entry.name): entry.path for entry in entries if entry.is_symlink()}
        leading = np.fromiter(links, np.int64, len(links))
        for key in leading[are_among(leading, np.sort(self.keys.column()))].tolist() if links else ():
            self.names.add(hash(os.path.realpath(links[key]).rpartition("/")[2]))


def _real_folder(folder: Folder) -> Folder:
    """The folder where it really lies: the rows of another cache may reach it through a link below a root."""
    try:
        parts = path_parts(os.path.realpath("/".join(("", *folder.real, *folder.parts))))
    except ValueError:  # no name that a file can have
        return folder
    return replace(folder, key=hash(parts))
