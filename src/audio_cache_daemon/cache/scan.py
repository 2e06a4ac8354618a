"""One look at a whole cache: index, arrays, audio files and the files that no row names, as an inventory."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from audio_cache_daemon.cache.content import ContentReader, number_groups
from audio_cache_daemon.cache.files import FileLookup
from audio_cache_daemon.cache.index import IndexReader, ProblemLog
from audio_cache_daemon.cache.neighbours import NeighbourNames, read_neighbours
from audio_cache_daemon.cache.strays import NamedFiles, find_strays
from audio_cache_daemon.cache.vectors import read_arrays
from audio_cache_daemon.errors import CacheUnreadableError
from audio_cache_daemon.formats import META_NAME, identify, read_ids
from audio_cache_daemon.model import (
    CacheLocation,
    Floats,
    IndexInfo,
    Inventory,
    ItemState,
    Rows,
    ScanNeeds,
    StrayKind,
    Strays,
)
from audio_cache_daemon.paths import Folders, PathResolver
from audio_cache_daemon.patterns import compile_pattern

_LOOKS = 3
"""How often an index that changes while it is read is read anew before what was seen last is taken."""

_ORPHAN_SHARE = 5
"""More than one file in so many being an orphan is no litter but a fault: of the index, or of the configuration."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a scan has to know beyond the cache itself.

    `neighbours` are the other configured caches, `missing_since` says for the ids of rows whose file was missing
    before since when.
    """

    neighbours: Sequence[CacheLocation] = ()
    missing_since: Mapping[str, float] = field(default_factory=dict)


def scan_cache(location: CacheLocation, needs: ScanNeeds, around: Surroundings | None = None) -> Inventory:
    """The inventory of a cache; CacheUnreadableError when there is no index that can be read."""
    for _ in range(_LOOKS - 1):
        with suppress(_ChangedMeanwhileError):
            return _scan_once(location, needs, around or Surroundings(), strict=True)
    return _scan_once(location, needs, around or Surroundings(), strict=False)


class _ChangedMeanwhileError(Exception):
    pass


def _scan_once(location: CacheLocation, needs: ScanNeeds, around: Surroundings, *, strict: bool) -> Inventory:
    problems = ProblemLog()
    resolver = PathResolver(location)
    with open_index(location) as meta, Folders(location) as folders:
        before = identify(os.fstat(meta.fileno()))
        lookup = FileLookup(resolver, folders)
        reader = IndexReader(lookup, [compile_pattern(text) for text in sorted(needs.patterns)], problems)
        reader.read(meta)
        arrays = read_arrays(location.path, problems)
        if strict and identify(os.fstat(meta.fileno())) != before:
            raise _ChangedMeanwhileError
        for problem, count in lookup.problems.items():
            problems.add("undecidable_path", "", problem, count)
        neighbours = read_neighbours(location, around.neighbours)
        keys = reader.columns.take("key", np.int64)
        rows = _build_rows(reader, keys, neighbours)
        if around.missing_since:
            rows = replace(rows, missing_since=_recall_missing(meta.fileno(), rows, around.missing_since))
        if needs.content:
            rows = replace(rows, content=ContentReader(meta.fileno(), resolver, folders).number_contents(rows))
        named = NamedFiles(
            np.unique(np.concatenate([keys[rows.file >= 0], neighbours.keys])),
            frozenset(lookup.unresolved_names | neighbours.unresolved_names),
        )
        strays = find_strays(folders, named, problems)
        return Inventory(
            location=location,
            index=IndexInfo(before, arrays, reader.torn_tail),
            rows=rows,
            strays=strays,
            roots=folders.roots,
            problems=problems.problems(),
            orphans_undecidable=_why_orphans_undecidable(rows, strays, neighbours),
        )


def open_index(location: CacheLocation) -> BinaryIO:
    """Open `meta.jsonl` for reading; CacheUnreadableError when it isn't there or is no regular file."""
    path = location.path / META_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise CacheUnreadableError(f"{path} doesn't exist; is {location.path} the cache directory?") from None
    except OSError as error:
        reason = "it is a symbolic link" if Path(path).is_symlink() else error.strerror
        raise CacheUnreadableError(f"{path} can't be read: {reason}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CacheUnreadableError(f"{path} is no regular file")
    return os.fdopen(descriptor, "rb", buffering=0)


def _build_rows(
    reader: IndexReader, keys: np.ndarray[tuple[int], np.dtype[np.int64]], neighbours: NeighbourNames
) -> Rows:
    take = reader.columns.take
    prompts = take("prompt", np.int64)
    root = take("root", np.int8)
    return Rows(
        offset=take("offset", np.int64),
        readable=take("readable", np.bool_),
        timestamp=take("timestamp", np.float64),
        duration=take("duration", np.float32),
        quality=take("quality", np.float64),
        prompt=number_groups(prompts, prompts != 0),
        state=take("state", np.uint8),
        file=number_groups(keys, root >= 0),
        size=take("size", np.int64),
        inode=take("inode", np.int64),
        mtime_ns=take("mtime_ns", np.int64),
        root=root,
        missing_since=np.full(len(keys), np.nan),
        used_elsewhere=np.isin(keys, neighbours.keys) & (root >= 0),
        content=np.full(len(keys), -1, np.int32),
        matches={text: reader.matches.take(text, np.uint8) for text in reader.patterns},
    )


def _recall_missing(meta: int, rows: Rows, known: Mapping[str, float]) -> Floats:
    since = np.full(len(rows), np.nan)
    subset = np.flatnonzero(rows.missing())
    since[subset] = [known.get(text, np.nan) for text in read_ids(meta, rows.offset, subset)]
    return since


def _why_orphans_undecidable(rows: Rows, strays: Strays, neighbours: NeighbourNames) -> str | None:
    orphans = strays.kind == StrayKind.ORPHAN
    if neighbours.unreadable:
        return f"{neighbours.unreadable}, so which files no row names can't be told"
    if not rows.readable.all():
        return "some lines of meta.jsonl can't be read, so which files they name can't be told"
    if len(rows) == 0 and orphans.any():
        return "the index is empty while there are audio files"
    for root in np.unique(strays.root[orphans]).tolist():
        files = len(np.unique(rows.file[(rows.root == root) & (rows.state == ItemState.OK)]))
        in_root = strays.root == root
        if int((orphans & in_root).sum()) * _ORPHAN_SHARE > files + int(in_root.sum()):
            return "more than a fifth of the files in an audio root are named by no row, which is more than litter"
    return None
