"""The index rewritten without some of its rows: all of its files at once, or none.

New files are made beside the old and flushed, a journal says what is about to happen, each old file is compared
once more with what was read, then old and new are exchanged, against the writer's order of writing. From then
on the new index counts; the old files stay under our names until the run is through. A journal that is found
later tells how far it came.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from audio_cache_daemon.errors import InconsistentIndexError, MaintenanceError
from audio_cache_daemon.eviction.directories import make_state_directory, sync_directory, write_durably
from audio_cache_daemon.eviction.exchange import exchange
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.ranges import copy_ranges, kept_ranges, write_all
from audio_cache_daemon.formats import ARRAY_NAMES, META_NAME, array_header, identify
from audio_cache_daemon.model import ArrayInfo, Bools, CacheLocation, FileIdentity, Inventory

_DIRECTORY = "rewrite"
_JOURNAL = "journal.json"
_EXCHANGE_ORDER = (*reversed(ARRAY_NAMES), META_NAME)


class FileExchange(msgspec.Struct, frozen=True):
    """One file of the index: what it was, and what is to take its place."""

    name: str
    old: FileIdentity
    new: FileIdentity


class Journal(msgspec.Struct, frozen=True):
    """A rewrite in progress: of which run, whether its files go to the trash, and in which order all is exchanged."""

    version: Literal[1]
    run: str
    to_trash: bool
    files: tuple[FileExchange, ...]


def rewrite_index(inventory: Inventory, kept: Bools, execution: Execution) -> None:
    """Drop the rows that aren't `kept` from `meta.jsonl` and all arrays.

    InconsistentIndexError when the index changed since it was read; MaintenanceError, with the reason, when the
    new files can't be made. Either way nothing was changed. `finish_rewrite` lets go of the old files.
    """
    cache = inventory.location.path
    directory = make_state_directory(cache, _DIRECTORY)
    try:
        files = tuple(_build(inventory, name, kept, directory) for name in _index_names(inventory))
        write_durably(directory / _JOURNAL, msgspec.json.encode(Journal(1, execution.run, execution.to_trash, files)))
    except OSError as error:
        _clear(directory)
        raise MaintenanceError(
            f"{cache}: the new index can't be written: {error.strerror}; nothing was changed"
        ) from None
    except BaseException:
        _clear(directory)
        raise
    for file in files:
        if _identity(cache / file.name) != file.old:
            _clear(directory)
            raise InconsistentIndexError(
                f"{cache / file.name} changed while the new index was made; is the generator really stopped? "
                "Nothing was changed"
            )
    _exchange_all(cache, directory, files)
    _set_short_arrays_aside(inventory, directory, execution.run)


def finish_rewrite(location: CacheLocation) -> None:
    """Let go of the old index files and of the journal, when everything that the run had to do is done."""
    directory = location.state_directory / _DIRECTORY
    if directory.is_dir():
        _clear(directory)


def recover_rewrite(location: CacheLocation, journal: Journal) -> bool:
    """Put right what an interrupted rewrite left: whether it was completed, or else undone.

    Forward when an exchange had begun, back when none had. InconsistentIndexError when files changed since, so
    that neither is safe.
    """
    directory = location.state_directory / _DIRECTORY
    exchanged = [_identity(location.path / file.name) == file.new for file in journal.files]
    untouched = [_identity(location.path / file.name) == file.old for file in journal.files]
    if not any(exchanged):
        _clear(directory)
        return False
    if not all(new or old for new, old in zip(exchanged, untouched, strict=True)):
        raise InconsistentIndexError(
            f"{location.path}: run {journal.run} was interrupted and the index changed since; {directory} holds the "
            "other half of each file: compare them before anything else is done"
        )
    pending = tuple(file for file, done in zip(journal.files, exchanged, strict=True) if not done)
    _exchange_all(location.path, directory, pending)
    return True


def read_journal(location: CacheLocation) -> Journal | None:
    """The journal of a rewrite that was interrupted, if there is one; InconsistentIndexError if it can't be read."""
    path = location.state_directory / _DIRECTORY / _JOURNAL
    try:
        return msgspec.json.decode(path.read_bytes(), type=Journal)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
        raise InconsistentIndexError(
            f"{path} can't be read: {error}; look at its directory before anything is changed"
        ) from None


def _index_names(inventory: Inventory) -> Iterator[str]:
    return (name for name in _EXCHANGE_ORDER if name == META_NAME or name in inventory.index.arrays)


def _build(inventory: Inventory, name: str, kept: Bools, directory: Path) -> FileExchange:
    """Write one new file; the old one is only read."""
    info = inventory.index.arrays.get(name)
    old = info.identity if info is not None else inventory.index.identity
    source = os.open(inventory.location.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        target = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if info is None:
                copy_ranges(source, target, *kept_ranges(inventory.rows.offset, kept))
            else:
                _build_array(source, target, info, kept)
            copy_permissions(source, target, inventory.location.path / name)
            os.fsync(target)
            return FileExchange(name, old, identify(os.fstat(target)))
        finally:
            os.close(target)
    finally:
        os.close(source)


def _build_array(source: int, target: int, info: ArrayInfo, kept: Bools) -> None:
    write_all(target, array_header(info, int(kept.sum())))
    if info.rows == len(kept):
        boundaries = info.data_offset + np.arange(len(kept) + 1, dtype=np.int64) * info.row_bytes
        copy_ranges(source, target, *kept_ranges(boundaries, kept))
        return
    # Which rows a short array describes can't be told: zeros match nothing, another row's vector would mislead.
    rows_at_once = max(1, 2**20 // max(1, info.row_bytes))
    zeros = bytes(rows_at_once * info.row_bytes)
    for first in range(0, int(kept.sum()), rows_at_once):
        write_all(target, zeros[: (int(kept.sum()) - first) * info.row_bytes])


def _set_short_arrays_aside(inventory: Inventory, directory: Path, run: str) -> None:
    """Keep what could not be matched to rows, since nobody asked for its removal."""
    for name, info in inventory.index.arrays.items():
        if info.rows != len(inventory.rows):
            (directory / name).rename(inventory.location.state_directory / f"{Path(name).stem}-{run}.npy")


def copy_permissions(source: int, target: int, path: Path) -> None:
    """Give a new index file the owner, group, mode and attributes of the old one, so that the writer can write it.

    MaintenanceError when that can't be had.
    """
    old = os.fstat(source)
    try:
        os.fchown(target, old.st_uid, old.st_gid)
    except PermissionError:
        shared = old.st_mode & 0o020
        try:
            os.fchown(target, -1, old.st_gid)
        except PermissionError:
            shared = 0
        if not shared:
            raise MaintenanceError(
                f"{path} belongs to another user, who could not write a new file of ours; run as that user, or share "
                "a group and make the file writable for it (umask 0002 on both sides); nothing was changed"
            ) from None
    os.fchmod(target, old.st_mode & 0o7777)
    for name in os.listxattr(source):
        if name.startswith(("user.", "system.posix_acl")):
            os.setxattr(target, name, os.getxattr(source, name))
    # The time tells when the generator last wrote, and so whether it may be running; that is not changed by us.
    os.utime(target, ns=(old.st_atime_ns, old.st_mtime_ns))


def _exchange_all(cache: Path, directory: Path, files: tuple[FileExchange, ...]) -> None:
    for file in files:
        exchange(directory / file.name, cache / file.name)
    sync_directory(cache)
    sync_directory(directory)


def _identity(path: Path) -> FileIdentity | None:
    try:
        return identify(path.lstat())
    except FileNotFoundError:
        return None


def _clear(directory: Path) -> None:
    """Remove our files; the journal goes first, so that what is left without it counts for nothing."""
    for name in (_JOURNAL, _JOURNAL + ".new", *_EXCHANGE_ORDER):
        (directory / name).unlink(missing_ok=True)
        if name == _JOURNAL:
            sync_directory(directory)
