"""An earlier walk brought up to date: what was touched since is looked at again, and nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator

import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.cache.listing import is_plain_file, list_below
from audio_cache_daemon.cache.walk import Files, Walk, in_order
from audio_cache_daemon.location import is_audio_name
from audio_cache_daemon.model import Bools
from audio_cache_daemon.paths import Folder, Folders, file_key, inode_of


class DoubtError(Exception):
    """What was touched can't be put together with what was found before."""


def relist(
    folders: Folders, walk: Walk, files: Collection[str], directories: Collection[str], names: dict[int, str]
) -> Walk:
    """The walk as it is now, when only these audio files and directories (with all in them) may have changed.

    Paths are real ones; the names of the files are added to `names`, by their keys. DoubtError when a path isn't
    understood. Who doesn't hold on to the walk doesn't hold the files twice: of a million that is 36 MB.
    """
    relisting = _Relisting(folders, walk, names)
    del walk
    # A directory may be called like a sound; the walk takes it for an audio file that is none.
    named_like_audio = {path for path in directories if is_audio_name(path)}
    outer = _outermost(set(relisting.below_roots(directories)) - named_like_audio)
    for path in outer:
        relisting.look_into(path)
    for path in relisting.below_roots({*files, *named_like_audio}):
        if is_audio_name(path) and not _lies_in_any(path, outer):
            relisting.look_at(path)
    return relisting.finish()


class _Relisting:
    def __init__(self, folders: Folders, walk: Walk, names: dict[int, str]) -> None:
        self._folders = folders
        self._names = names
        self._files = walk.files
        self._listed = [*walk.folders]
        self._numbers = {_spell(folder): number for number, folder in enumerate(walk.folders)}
        self._unlisted = [*walk.unlisted]
        self._stale: Bools = np.zeros(len(walk.files), np.bool_)
        self._fresh: list[Files] = []
        self._roots = {os.path.realpath(root.path) for root in folders.roots}

    def below_roots(self, paths: Iterable[str]) -> Iterator[str]:
        """Those of the paths that are, or contain, or lie in audio roots."""
        for path in paths:
            if any(_lies_in(path, root) or _lies_in(root, path) for root in self._roots):
                yield path

    def look_into(self, path: str) -> None:
        """Look at all audio files of a directory that came, changed or went."""
        if any(_lies_in(root, path) for root in self._roots):
            raise DoubtError(path)
        parent, name = self._enter(path)
        gone = [self._numbers.pop(known) for known in [*self._numbers] if _lies_in(known, path)]
        self._stale |= np.isin(self._files.folder, gone)
        status = self._status(parent, name)
        if status is None or not stat.S_ISDIR(status.st_mode):
            return
        listing = list_below(self._folders, [self._listed[parent].child(name)])
        fresh = in_order(listing)
        self._fresh.append(replace(fresh, folder=fresh.folder + np.int32(len(self._listed))))
        self._numbers.update((_spell(folder), len(self._listed) + n) for n, folder in enumerate(listing.folders))
        self._listed += listing.folders
        self._unlisted += listing.unlisted

    def look_at(self, path: str) -> None:
        """Look at an audio file that came, changed or went."""
        parent, name = self._enter(path)
        key = file_key(self._listed[parent], name)
        self._names[key] = name
        keys = self._files.key
        first, last = np.searchsorted(keys, [key, key + 1] if key < 2**63 - 1 else [key, key])
        self._stale[first:last] = True
        status = self._status(parent, name)
        if status is None:
            return
        found = (status.st_size, inode_of(status), status.st_mtime_ns) if is_plain_file(status) else (-1, 0, 0)
        self._fresh.append(Files.of(np.array([value]) for value in (key, *found, parent)))

    def finish(self) -> Walk:
        """The walk with what was found."""
        if not self._fresh and not self._stale.any():
            return Walk(self._files, tuple(self._listed), tuple(self._unlisted))
        fresh = self._fresh_in_order()
        columns, stays = [*self._files.columns()], ~self._stale
        del self._files
        places = np.searchsorted(columns[0][stays], fresh.key)
        for number, added in enumerate(fresh.columns()):
            columns[number] = np.insert(columns[number][stays], places, added)
        return Walk(Files.of(columns), tuple(self._listed), tuple(self._unlisted))

    def _fresh_in_order(self) -> Files:
        """What was looked at, in ascending order of the keys."""
        new = [self._files.pick(slice(0)), *self._fresh]
        fresh = Files.of(map(np.concatenate, zip(*(files.columns() for files in new), strict=True)))
        return fresh.pick(np.argsort(fresh.key, kind="stable"))

    def _enter(self, path: str) -> tuple[int, str]:
        """The number of the folder in which a path is, and its name."""
        directory, _, name = path.rpartition("/")
        number = self._numbers.get(directory)
        if number is None:
            raise DoubtError(path)
        return number, name

    def _status(self, parent: int, name: str) -> os.stat_result | None:
        folder = self._listed[parent]
        try:
            descriptor = self._folders.descriptor(folder.root, folder.parts)
            return os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DoubtError(name) from error


def _spell(folder: Folder) -> str:
    return "/".join(("", *folder.real, *folder.parts))


def _outermost(paths: Iterable[str]) -> list[str]:
    outer: list[str] = []
    for path in sorted(paths, key=len):
        if not _lies_in_any(path, outer):
            outer.append(path)
    return outer


def _lies_in_any(path: str, directories: Iterable[str]) -> bool:
    return any(_lies_in(path, directory) for directory in directories)


def _lies_in(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(f"{outer}/")
