"""One look at both halves of an exchange: the index files, and the old ones that have our names now.

A generator that had opened a file before its exchange writes to the old one still. So it is asked of each old file
what was appended to it, and of each new one whether it is what we made, with or without something behind it. All is
read by `pread`, in bounded memory, and never mapped: the generator may truncate a file under us.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from audio_cache_daemon.errors import InconsistentIndexError
from audio_cache_daemon.eviction.journal import FileExchange, Generation, identity_of, is_same
from audio_cache_daemon.formats import identify, read_array_info
from audio_cache_daemon.location import META_NAME, CacheLocation
from audio_cache_daemon.model import ArrayInfo, FileIdentity
from audio_cache_daemon.paths import open_regular

_BLOCK_BYTES = 2**20

TORN = -1
"""How much of an array there is that can't be read whole."""


class Stretch(msgspec.Struct, frozen=True):
    """A part of a file, [start, end): in bytes of `meta.jsonl`, in rows of an array."""

    path: Path
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


class FileLook(msgspec.Struct, frozen=True):
    """What was found of one file.

    `info` is the header of the array in the index, None if that is torn; `is_written`: the file in the index is not
    as we made it. `saved` is what was appended to old copies, oldest first, and `is_lost` says that something was
    that can't be read: a copy is torn. `copies` says how much (bytes or rows) there is of each old copy, for the
    journal of a further exchange.
    """

    file: FileExchange
    path: Path
    identity: FileIdentity
    info: ArrayInfo | None
    saved: tuple[Stretch, ...]
    is_lost: bool
    copies: tuple[int, ...]

    @property
    def is_written(self) -> bool:
        return not is_same(self.identity, self.file.new)

    @property
    def is_torn(self) -> bool:
        return self.info is None and self.file.name != META_NAME

    @property
    def saved_count(self) -> int:
        return sum(map(len, self.saved))


class Look(msgspec.Struct, frozen=True):
    """What was found of all files. `arrays` go by name. `identities` tell whether a later look finds the same files.

    Under whichever names: what we exchange doesn't change them.
    """

    generation: Generation
    meta: FileLook
    arrays: dict[str, FileLook]
    identities: frozenset[FileIdentity]

    def lines(self) -> tuple[Stretch, ...]:
        """The bytes of the lines that were appended since the exchange was prepared, in the order of their writing.

        What went to the old file was written first: the generator opens the new one ever after.
        """
        return (*self.meta.saved, Stretch(self.meta.path, self.meta.file.new.size, self.meta.identity.size))

    def is_untouched(self) -> bool:
        """Whether nothing has to be moved from an old file, whatever was appended to the new ones."""
        files = (self.meta, *self.arrays.values())
        return not any(file.saved or file.is_lost or file.is_torn for file in files)

    def copies(self, name: str) -> tuple[int, ...]:
        """How much there is of each old copy of a file."""
        return self.meta.copies if name == META_NAME else self.arrays[name].copies

    def count_lines(self) -> int:
        """How many lines were appended."""
        return sum(1 for _ in iter_lines(self.lines()))

    def open_ends(self) -> list[bool]:
        """For each stretch of appended lines, if there is anything in it, whether its last line lacks its end."""
        return [not _read_end(stretch).endswith(b"\n") for stretch in self.lines() if len(stretch)]


def take_look(location: CacheLocation, generations: Sequence[Generation]) -> Look:
    """Look at all files of exchanges; InconsistentIndexError when they are others than what was exchanged."""
    identities: set[FileIdentity] = set()
    files = {
        file.name: _look_at(location.path / file.name, file, generations, identities)
        for file in generations[-1].journal.files
    }
    return Look(generations[-1], files.pop(META_NAME), files, frozenset(identities))


def look_again(location: CacheLocation, generations: Sequence[Generation]) -> frozenset[FileIdentity]:
    """Only what tells that nothing changed: the identities of all files that a look is at."""
    places = [location.path, *(generation.directory for generation in generations)]
    found = (identity_of(place / file.name) for file in generations[-1].journal.files for place in places)
    return frozenset(_without_device(identity) for identity in found if identity is not None)


def _without_device(identity: FileIdentity) -> FileIdentity:
    """Device numbers needn't be the same after a restart."""
    return replace(identity, device=0)


def _look_at(
    path: Path, file: FileExchange, generations: Sequence[Generation], identities: set[FileIdentity]
) -> FileLook:
    saved, copies, is_lost = [], [], False
    for known, generation in zip((*file.merged, None), generations, strict=True):
        copy = generation.directory / file.name
        found = _measure(copy)
        copies.append(TORN if found is None else found[0])
        if found is None:
            # Only one that is kept for good, after all held.
            continue
        units, identity, _ = found
        identities.add(_without_device(identity))
        before = _units_before(file, units, identity) if known is None else known
        if units == TORN:
            is_lost = is_lost or before != TORN
        elif units < before or before == TORN:
            raise undecidable(generations, f"{copy} is not what was exchanged")
        elif units > before:
            saved.append(Stretch(copy, before, units))
    found = _measure(path)
    if found is None or found[1].inode != file.new.inode:
        raise undecidable(generations, f"{path} is not the file that was put there")
    units, identity, info = found
    identities.add(_without_device(identity))
    if path.name == META_NAME and units < file.new.size:
        raise undecidable(generations, f"{path} became shorter")
    return FileLook(file, path, identity, info, tuple(saved), is_lost, tuple(copies))


def _units_before(file: FileExchange, units: int, identity: FileIdentity) -> int:
    """How much there was of an old file when its exchange was prepared; `units` and `identity` are what is found."""
    if is_same(identity, file.old):
        return units
    return file.old.size if file.name == META_NAME else file.old_rows


def _measure(path: Path) -> tuple[int, FileIdentity, ArrayInfo | None] | None:
    """How much there is of a file (bytes, or rows), its identity and header; None when it isn't there."""
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return None
    try:
        identity = identify(os.fstat(descriptor))
        if path.name == META_NAME:
            return identity.size, identity, None
        try:
            info = read_array_info(path.name, descriptor)
        except ValueError:
            return TORN, identity, None
        return info.rows, info.identity, info
    finally:
        os.close(descriptor)


def undecidable(generations: Sequence[Generation], reason: str) -> InconsistentIndexError:
    """The error that blocks a cache: nothing is guessed, and both halves stay."""
    first = generations[0]
    return InconsistentIndexError(
        f"the index was exchanged by run {first.journal.run}, and what the generator wrote meanwhile can't be matched "
        f"to it: {reason}; both generations stay, in the cache and in {first.directory}: repair the index from them"
    )


def iter_lines(stretches: Sequence[Stretch]) -> Iterator[bytes]:
    """The lines in stretches of `meta.jsonl`, ends included; the last of a stretch may lack its end."""
    for stretch in stretches:
        held = b""
        for block in _iter_bytes(stretch):
            *lines, held = (held + block).split(b"\n")
            yield from (line + b"\n" for line in lines)
        if held:
            yield held


def _read_end(stretch: Stretch) -> bytes:
    return b"".join(_iter_bytes(replace(stretch, start=stretch.end - 1)))


def _iter_bytes(stretch: Stretch) -> Iterator[bytes]:
    descriptor = open_regular(stretch.path)
    try:
        for start in range(stretch.start, stretch.end, _BLOCK_BYTES):
            yield os.pread(descriptor, min(_BLOCK_BYTES, stretch.end - start), start)
    finally:
        os.close(descriptor)


def iter_rows(stretches: Sequence[Stretch]) -> Iterator[bytes]:
    """The rows in stretches of arrays, as bytes; fewer when an array became shorter."""
    for stretch in stretches:
        descriptor = open_regular(stretch.path)
        try:
            info = read_array_info(stretch.path.name, descriptor)
            at_once = max(1, _BLOCK_BYTES // info.row_bytes)
            for first in range(stretch.start, stretch.end, at_once):
                count = min(at_once, stretch.end - first)
                block = os.pread(descriptor, count * info.row_bytes, info.data_offset + first * info.row_bytes)
                for place in range(0, len(block) - info.row_bytes + 1, info.row_bytes):
                    yield block[place : place + info.row_bytes]
        except ValueError:
            return
        finally:
            os.close(descriptor)
