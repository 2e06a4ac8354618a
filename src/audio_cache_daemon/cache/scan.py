"""One look at a whole cache: index, arrays, audio files and the files that no row names, as an inventory."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from audio_cache_daemon.beside import beside
from audio_cache_daemon.cache.audio import AudioFiles
from audio_cache_daemon.cache.coming import with_coming
from audio_cache_daemon.cache.content import ContentReader
from audio_cache_daemon.cache.files import FileFinder, number_groups
from audio_cache_daemon.cache.index import IndexReader, ProblemLog
from audio_cache_daemon.cache.listing import Listing, list_files
from audio_cache_daemon.cache.names import FileNames, NoNames
from audio_cache_daemon.cache.neighbours import NeighbourNames, read_neighbours
from audio_cache_daemon.cache.recall import MissingRows, count_aligned, recall
from audio_cache_daemon.cache.retired import RetiredItems
from audio_cache_daemon.cache.sounds import with_sounds
from audio_cache_daemon.cache.strays import find_strays, why_orphans_undecidable
from audio_cache_daemon.cache.tail import Tail
from audio_cache_daemon.cache.vectors import read_arrays
from audio_cache_daemon.cache.walk import Walk
from audio_cache_daemon.columns import are_among, parts
from audio_cache_daemon.errors import CacheUnreadableError
from audio_cache_daemon.formats import identify, sample_lines
from audio_cache_daemon.held import NONE_HELD, HeldRows
from audio_cache_daemon.location import BGE_TEXT_NAME, META_NAME, CacheLocation
from audio_cache_daemon.model import (
    FileIdentity,
    IndexInfo,
    Ints,
    Inventory,
    ItemState,
    Memory,
    Rows,
    ScanNeeds,
)
from audio_cache_daemon.paths import Folders, PathResolver, open_regular
from audio_cache_daemon.patterns import compile_pattern
from audio_cache_daemon.readings import Readings
from audio_cache_daemon.retired import holds_retired

_LOOKS = 3
"""How often an index that changes while it is read is read anew before what was seen last is taken."""


class Surroundings(msgspec.Struct, frozen=True):
    """What a scan has to know beyond the cache itself.

    `neighbours` are the other configured caches, `memory` is what is remembered of this one; `listing` waits for
    the files' listing that was begun ahead, and can be called once; `tail` is what was found before by this process.
    `pins` are the rows that are pinned. `readings` are what is known of
    the files' audio; what is found is added to them. Files are decoded for `decode_for` seconds at most.
    """

    neighbours: Sequence[CacheLocation] = ()
    memory: Memory | None = None
    listing: Callable[[], Listing] | None = None
    tail: Tail | None = None
    pins: HeldRows = NONE_HELD
    readings: Readings = msgspec.field(default_factory=Readings)
    decode_for: float = math.inf


def scan_cache(location: CacheLocation, needs: ScanNeeds, around: Surroundings | None = None) -> Inventory:
    """The inventory of a cache; CacheUnreadableError when there is no index that can be read."""
    around = around or Surroundings()
    if around.tail is not None and around.tail.location != location:
        raise ValueError(f"what was found before is of cache {around.tail.location.name}, not of {location.name}")
    inventory = _scan_until_it_holds(location, needs, around)
    if needs.sounds_over is None:
        return inventory
    return with_sounds(inventory, needs.sounds_over, around.readings.likenesses)


def _scan_until_it_holds(location: CacheLocation, needs: ScanNeeds, around: Surroundings) -> Inventory:
    for _ in range(_LOOKS - 1):
        with suppress(_ChangedMeanwhileError):
            return _scan_once(location, needs, around, strict=True)
        around = replace(around, listing=None)
    return _scan_once(location, needs, around, strict=False)


class _ChangedMeanwhileError(Exception):
    pass


def _scan_once(location: CacheLocation, needs: ScanNeeds, around: Surroundings, *, strict: bool) -> Inventory:
    resolver = PathResolver(location)
    with open_index(location) as meta, Folders(location) as folders, _begin_walk(folders, needs, around) as finish_walk:
        before = identify(os.fstat(meta.fileno()))
        reader, prompt = _read_index(meta, resolver, needs, around.tail)
        names, problems = reader.names, reader.problems
        arrays = read_arrays(location.path, problems)
        index = IndexInfo(before, arrays, reader.torn_tail)
        neighbours = read_neighbours(location, around.neighbours)
        walk = finish_walk()
        if strict and _identity_of(location.path / META_NAME) != before:
            raise _ChangedMeanwhileError
        offset = reader.columns.take("offset", np.int64)
        retired = RetiredItems(location, meta.fileno(), offset, arrays, walk)
        gone = np.concatenate([_known_missing(around).rows, retired.rows[retired.rows >= 0]])
        walk = walk if needs.identities else walk.without_identities()
        finder = FileFinder(names, walk, folders, meta.fileno(), gone)
        # Its columns are let go one by one.
        del walk
        rows = _mark_retired(_build_rows(reader, (offset, prompt), finder, neighbours), retired.rows)
        unresolved = finder.unresolved(neighbours.unresolved_names)
        _note_paths(problems, names, finder.walk)
        named = finder.named | finder.walk.mark_keys(np.concatenate([neighbours.keys, retired.keys]))
        strays = find_strays(folders, finder.walk, named, unresolved, _known_names(around))
        held = retired.find_files(partial(_keys_in_use, reader.keys, rows, neighbours), unresolved)
        # Of a million files 12 MB, of as many retired items 50, and not needed any more.
        del finder, retired
        audio = AudioFiles(meta.fileno(), resolver, folders)
        rows = _read_audio(_recall(meta.fileno(), rows, around, torn=reader.torn_tail), audio, needs, around)
        return Inventory(
            location=location,
            index=_with_lines(index, meta.fileno(), rows.offset, around.memory),
            rows=rows,
            strays=strays,
            roots=with_coming(folders.roots, location, held) if needs.coming else folders.roots,
            problems=problems.problems(),
            orphans_undecidable=why_orphans_undecidable(rows, strays, neighbours),
            retired=held,
        )


@contextmanager
def _begin_walk(folders: Folders, needs: ScanNeeds, around: Surroundings) -> Iterator[Callable[[], Walk]]:
    """Begin to look for the files, where that takes long; the call that the context gives waits for the end."""
    tail = around.tail
    if not needs.files:
        yield Walk.nowhere
    elif tail is not None:
        identities = needs.identities or holds_retired(tail.location)
        yield lambda: tail.walk(folders, identities=identities)
    elif around.listing is not None:
        listing = around.listing
        yield lambda: Walk.of(listing())
    else:
        with beside(lambda: list_files(folders)) as finish:
            yield lambda: Walk.of(finish())


def _read_index(
    meta: BinaryIO, resolver: PathResolver, needs: ScanNeeds, tail: Tail | None
) -> tuple[IndexReader, NDArray[np.int32]]:
    """A reader that has read all lines, if need be from the first one on, and the numbers of the rows' prompts."""
    patterns = sorted(needs.patterns)
    reader = tail.resume(meta.fileno(), patterns) if tail is not None else None
    if reader is None:
        names = FileNames(resolver) if needs.files else NoNames(resolver)
        reader = IndexReader(names, [compile_pattern(text) for text in patterns], ProblemLog())
    reader.read_on(meta)
    if tail is not None:
        tail.keep(meta.fileno(), reader)
    reader.finish()
    prompts = reader.columns.take("prompt", np.int64)
    return reader, number_groups(prompts, prompts != 0)


def _keys_in_use(keys: Ints, rows: Rows, neighbours: NeighbourNames) -> Iterator[Ints]:
    items = rows.items()
    for some in parts(len(keys)):
        yield keys[some][items[some]]
    yield neighbours.keys


def _mark_retired(rows: Rows, retired: Ints) -> Rows:
    if not (retired >= 0).any():
        return rows
    state = rows.state.copy()
    state[retired[retired >= 0]] = ItemState.RETIRED
    return replace(rows, state=state)


def _identity_of(path: Path) -> FileIdentity | None:
    """By its name, since a file that was replaced stays as it was; None when it is gone."""
    try:
        return identify(path.lstat())
    except FileNotFoundError:
        return None


def open_index(location: CacheLocation) -> BinaryIO:
    """Open `meta.jsonl` for reading; CacheUnreadableError when it isn't there or is no regular file."""
    path = location.path / META_NAME
    try:
        return os.fdopen(open_regular(path), "rb", buffering=0)
    except FileNotFoundError:
        raise CacheUnreadableError(f"{path} doesn't exist; is {location.path} the cache directory?") from None
    except OSError as error:
        raise CacheUnreadableError(f"{path} can't be read: {error.strerror}") from None


def _build_rows(
    reader: IndexReader, columns: tuple[Ints, NDArray[np.int32]], finder: FileFinder, neighbours: NeighbourNames
) -> Rows:
    """The rows, of which the offsets and the numbers of the prompts are known."""
    (offset, prompt), take = columns, reader.columns.take
    keys, folder = reader.keys, take("folder", np.int32)
    found = finder.find(keys, folder, offset)
    known = found.root >= 0
    used_elsewhere = np.full(len(keys), neighbours.unknown)
    used_elsewhere |= are_among(keys, neighbours.keys)
    used_elsewhere |= reader.names.called(keys, folder, finder.unresolved(neighbours.unresolved_names))
    # A value that all rows share takes no memory.
    unknown = np.broadcast_to(np.nan, len(keys))
    return Rows(
        offset=offset,
        readable=take("readable", np.bool_),
        timestamp=take("timestamp", np.float64),
        duration=take("duration", np.float64),
        quality=take("quality", np.float64),
        prompt=prompt,
        state=found.state,
        file=found.number,
        size=found.size,
        inode=found.inode,
        mtime_ns=found.mtime_ns,
        root=found.root,
        missing_since=unknown,
        held_until=unknown,
        pinned_until=unknown,
        used_elsewhere=used_elsewhere & known,
        content=np.broadcast_to(np.int32(-1), len(keys)),
        matches={text: reader.matches.take(text, np.uint8) for text in reader.patterns},
    )


def _note_paths(problems: ProblemLog, names: FileNames, walk: Walk) -> None:
    for problem, count in names.problems.items():
        problems.add("undecidable_path", "", problem, count)
    for place, reason in walk.unlisted:
        problems.add("unreadable_directory", place, f"is passed over: {reason}")


def _known_missing(around: Surroundings) -> MissingRows:
    return around.tail.missing if around.tail is not None else MissingRows()


def _known_names(around: Surroundings) -> dict[int, str]:
    return around.tail.names if around.tail is not None else {}


def _with_lines(index: IndexInfo, meta: int, offset: Ints, memory: Memory | None) -> IndexInfo:
    """What is known of the index, with what its lines tell."""
    aligned = count_aligned(meta, offset, index.arrays.get(BGE_TEXT_NAME), memory)
    return replace(index, sample=sample_lines(meta, int(offset[-1])), aligned=aligned)


def _recall(meta: int, rows: Rows, around: Surroundings, *, torn: bool) -> Rows:
    """The rows with what is remembered of them, now and for the next scan."""
    rows = recall(meta, rows, around.memory, around.pins, _known_missing(around))
    if around.tail is not None:
        around.tail.note_missing(rows, torn=torn)
    return rows


def _read_audio(rows: Rows, audio: AudioFiles, needs: ScanNeeds, around: Surroundings) -> Rows:
    """The rows with what their audio files tell, as far as that is asked for."""
    if needs.content:
        rows = replace(rows, content=ContentReader(audio, around.readings.digests).number_contents(rows))
    if needs.decoded:
        from audio_cache_daemon.cache.decoded import decode_audio  # noqa: PLC0415 -- 6 ms, and few policies ask for it

        rows = replace(rows, decoded=decode_audio(rows, audio, around.readings.decodings, around.decode_for))
    return rows
