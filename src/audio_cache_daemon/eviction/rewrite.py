"""The index rewritten without some of its rows: all of its files at once, or none.

New files are made beside the old and flushed, a journal says what is about to happen, each old file is compared
once more with what was read, then old and new are exchanged, against the writer's order of writing. From then
on the new index counts; the old files stay under our names until the run is through. A journal that is found
later tells how far it came; what lies in our directory without a journal counts for nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from audio_cache_daemon.errors import InconsistentIndexError, MaintenanceError
from audio_cache_daemon.eviction.directories import make_state_directory, sync_directory, write_durably
from audio_cache_daemon.eviction.exchange import exchange, settle
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.ranges import copy_ranges, kept_ranges, write_all
from audio_cache_daemon.formats import array_header, identify, read_array_info
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, CacheLocation
from audio_cache_daemon.manifest import ROWS_NAME
from audio_cache_daemon.model import ArrayInfo, Bools, FileIdentity, Ints, Inventory

REWRITE = "rewrite"
"""Our directory, in the cache's state directory, for a run that isn't through."""

_JOURNAL = "journal.json"
_EXCHANGE_ORDER = (*reversed(ARRAY_NAMES), META_NAME)


class FileExchange(msgspec.Struct, frozen=True):
    """One file of the index: what it was, what is to take its place, and whether the old one is kept for good."""

    name: str
    old: FileIdentity
    new: FileIdentity
    keep_old: bool


class Journal(msgspec.Struct, frozen=True):
    """A run that changes the cache: whether its files go to the trash, and in which order the index is exchanged.

    `roots` are the audio roots that its manifest counts, as bytes: a path need not be text.
    """

    version: Literal[1]
    run: str
    to_trash: bool
    roots: tuple[bytes, ...]
    files: tuple[FileExchange, ...]


@dataclass(frozen=True, slots=True)
class Addition:
    """Rows that come back: numbers of rows saved in `directory`, and the byte offsets of all that are saved there."""

    directory: Path
    offset: Ints
    rows: Ints


def prepare_rewrite(inventory: Inventory, kept: Bools, execution: Execution, added: Addition | None = None) -> Journal:
    """Make the index anew without the rows that aren't `kept` and with those `added`, beside the old, and journal it.

    InconsistentIndexError when the index changed since it was read, MaintenanceError when the new files can't be
    made such that the writer can write them, OSError as it comes.
    """
    location = inventory.location
    directory = make_state_directory(location.path, REWRITE)
    names = () if kept.all() and added is None else _index_names(inventory)
    files = tuple(_build(inventory, name, kept, added) for name in names)
    roots = tuple(os.fsencode(root) for root in location.audio_roots)
    journal = Journal(1, execution.run, execution.to_trash, roots, files)
    write_durably(directory / _JOURNAL, msgspec.json.encode(journal))
    if files:
        _check_unchanged(inventory, files)
    return journal


def exchange_index(location: CacheLocation, journal: Journal) -> None:
    """Let the new files take the place of the old; MaintenanceError when the system refuses, and nothing changed."""
    directory = location.state_directory / REWRITE
    done: list[FileExchange] = []
    try:
        for file in journal.files:
            exchange(directory / file.name, location.path / file.name)
            done.append(file)
    except OSError as error:
        for file in reversed(done):
            exchange(directory / file.name, location.path / file.name)
        finish_rewrite(location)
        raise MaintenanceError(
            f"{location.path}: the new index can't take the place of the old: {error.strerror}; nothing was changed"
        ) from None
    _settle_exchange(location, journal)


def finish_rewrite(location: CacheLocation) -> None:
    """Let go of the journal, of the old index files, and of whatever an interrupted run left without a journal.

    The journal goes first: without it the rest counts for nothing.
    """
    directory = location.state_directory / REWRITE
    with suppress(FileNotFoundError):
        (directory / _JOURNAL).unlink()
        sync_directory(directory)
    with suppress(FileNotFoundError):
        shutil.rmtree(directory)


def recover_rewrite(location: CacheLocation, journal: Journal) -> bool:
    """Put right what an interrupted rewrite left: whether it was completed, or else has still to be undone.

    Forward when an exchange had begun, back when none had. InconsistentIndexError when files changed since, so
    that neither is safe.
    """
    directory = location.state_directory / REWRITE
    for file in journal.files:
        settle(directory / file.name)
    # Nobody but us writes in our directory: what lies there tells what was exchanged, whatever came afterwards.
    pending = tuple(file for file in journal.files if _same(_identity(directory / file.name), file.new))
    if journal.files and len(pending) == len(journal.files):
        return False
    if pending:
        for file in journal.files:
            if not _same(_identity(location.path / file.name), file.old if file in pending else file.new):
                raise InconsistentIndexError(
                    f"{location.path}: run {journal.run} was interrupted and {file.name} changed since; {directory} "
                    "holds the other half of each file: compare them before anything else is done"
                )
        for file in pending:
            exchange(directory / file.name, location.path / file.name)
    _settle_exchange(location, journal)
    return True


def read_journal(location: CacheLocation) -> Journal | None:
    """The journal of a rewrite that was interrupted, if there is one; InconsistentIndexError if it can't be read."""
    path = location.state_directory / REWRITE / _JOURNAL
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


def _build(inventory: Inventory, name: str, kept: Bools, added: Addition | None) -> FileExchange:
    """Write one new file; the old one is only read."""
    info = inventory.index.arrays.get(name)
    old = info.identity if info is not None else inventory.index.identity
    source = os.open(inventory.location.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    new = inventory.location.state_directory / REWRITE / name
    try:
        target = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if info is None:
                copy_ranges(source, target, *kept_ranges(inventory.rows.offset, kept))
                _append_rows(target, added)
            else:
                _build_array(source, target, info, kept, added)
            copy_permissions(source, target, inventory.location.path / name)
            os.fsync(target)
            is_short = info is not None and info.rows != len(kept)
            return FileExchange(name, old, identify(os.fstat(target)), is_short)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _append_rows(target: int, added: Addition | None) -> None:
    if added is not None:
        with (added.directory / ROWS_NAME).open("rb", buffering=0) as saved:
            copy_ranges(saved.fileno(), target, added.offset[added.rows], added.offset[added.rows + 1])


def _build_array(source: int, target: int, info: ArrayInfo, kept: Bools, added: Addition | None) -> None:
    count, more = int(kept.sum()), 0 if added is None else len(added.rows)
    write_all(target, array_header(info, count + more))
    if info.rows != len(kept):
        # Which rows a short array describes can't be told: zeros match nothing, another row's vector would mislead.
        _write_zero_rows(target, info, count + more)
        return
    boundaries = info.data_offset + np.arange(len(kept) + 1, dtype=np.int64) * info.row_bytes
    copy_ranges(source, target, *kept_ranges(boundaries, kept))
    if added is not None:
        _append_vectors(target, info, added)


def _append_vectors(target: int, info: ArrayInfo, added: Addition) -> None:
    """The saved vectors of the rows that come back; zeros where they weren't saved, being none of these rows' own."""
    try:
        descriptor = os.open(added.directory / info.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        _write_zero_rows(target, info, len(added.rows))
        return
    try:
        saved = read_array_info(info.name, descriptor)
        if (saved.width, saved.dtype, saved.rows) != (info.width, info.dtype, len(added.offset) - 1):
            raise InconsistentIndexError(f"{added.directory / info.name} doesn't fit the index; nothing was changed")
        starts = saved.data_offset + added.rows * saved.row_bytes
        copy_ranges(descriptor, target, starts, starts + saved.row_bytes)
    finally:
        os.close(descriptor)


def _write_zero_rows(target: int, info: ArrayInfo, count: int) -> None:
    rows_at_once = max(1, 2**20 // max(1, info.row_bytes))
    zeros = bytes(rows_at_once * info.row_bytes)
    for first in range(0, count, rows_at_once):
        write_all(target, zeros[: (count - first) * info.row_bytes])


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
    for name in set(os.listxattr(target)) - set(os.listxattr(source)):
        if name.startswith("system.posix_acl"):
            # Inherited from our directory; the old file has none.
            os.removexattr(target, name)
            os.fchmod(target, old.st_mode & 0o7777)
    # The time tells when the generator last wrote, and so whether it may be running; that is not changed by us.
    os.utime(target, ns=(old.st_atime_ns, old.st_mtime_ns))


def _check_unchanged(inventory: Inventory, files: tuple[FileExchange, ...]) -> None:
    known = {file.name: file.old for file in files}
    for name in _EXCHANGE_ORDER:
        if _identity(inventory.location.path / name) != known.get(name):
            raise InconsistentIndexError(
                f"{inventory.location.path / name} changed while the new index was made; is the generator really "
                "stopped? Nothing was changed"
            )


def _settle_exchange(location: CacheLocation, journal: Journal) -> None:
    """Make the exchange survive a crash, and keep what could not be matched to rows: nobody asked for its removal."""
    directory = location.state_directory / REWRITE
    for file in journal.files:
        if file.keep_old and (directory / file.name).exists():
            kept_name = f"{Path(file.name).stem}-{journal.run}.npy"
            (directory / file.name).rename(location.state_directory / kept_name)
    sync_directory(location.path)
    sync_directory(directory)
    sync_directory(location.state_directory)


def _same(found: FileIdentity | None, known: FileIdentity) -> bool:
    """Whether it is the same file, unchanged; device numbers needn't be the same after a restart."""
    return found is not None and replace(found, device=known.device) == known


def _identity(path: Path) -> FileIdentity | None:
    try:
        return identify(path.lstat())
    except FileNotFoundError:
        return None
