"""A look at a cache of which nothing is configured yet: where the files of its rows lie, and how to get there.

What is proposed is proven: a directory counts as found only when files that rows name lie in it.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from heapq import nsmallest
from itertools import chain
from pathlib import Path

import msgspec
from msgspec.structs import replace

from audio_cache_daemon.cache.index import ProblemLog
from audio_cache_daemon.cache.roots import choose_roots, describe_reach
from audio_cache_daemon.cache.scan import open_index, scan_cache
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.formats import decode_row, iter_blocks
from audio_cache_daemon.location import STATE_DIRECTORY, CacheLocation, is_audio_name
from audio_cache_daemon.model import Inventory, Problem, ScanNeeds

_SAMPLE = 10
"""File names of a directory that are looked for: so many of its first rows and of its last; cleaners take the old."""

_MOST_DIRECTORIES = 500
"""Directories that are looked for, those that most rows name first; a tree by date has 365 a year."""

_MOST_SIBLINGS = 100
_MOST_ROOTS = 50
_FEW = 20
"""A directory with less than one in so many of the rows that the first root has isn't taken for the generator's."""
_LONGEST_PATH = 1000
"""Characters of a path as it is written in a configuration: YAML allows a key little more."""


class Survey(msgspec.Struct, frozen=True):
    """A cache as it was found: its inventory under the location that explains most of its rows, and what led there.

    `remarks` are about directories, by key of the configuration: of the location, and audio roots that it could have.
    `problems` are directories of rows that were not found.
    """

    inventory: Inventory
    remarks: Mapping[tuple[str, str], str]
    problems: tuple[Problem, ...]


class _Named(msgspec.Struct):
    """A directory as rows write it: how many do, and some names of the files that they say are in it."""

    rows: int = 0
    first: list[str] = msgspec.field(default_factory=list)
    last: deque[str] = msgspec.field(default_factory=lambda: deque(maxlen=_SAMPLE))

    def add(self, name: str) -> None:
        self.rows += 1
        (self.first if len(self.first) < _SAMPLE else self.last).append(name)

    def count_in(self, directory: Path) -> int:
        """How many of the names are those of regular files in a directory."""
        return sum(_is_file(f"{directory}/{name}") for name in chain(self.first, self.last))

    @property
    def looked_for(self) -> int:
        return len(self.first) + len(self.last)


class _Tally(msgspec.Struct):
    """What speaks for a mapping or a base: rows that it is for, names that were looked for, those that were found."""

    rows: int = 0
    looked_for: int = 0
    found: int = 0

    def add(self, named: _Named, found: int) -> None:
        self.rows += named.rows
        self.looked_for += named.looked_for
        self.found += found


def survey_cache(cache: Path, look_from: Sequence[Path] = ()) -> Survey:
    """Look at the cache in an absolute directory; CacheUnreadableError if there is none, ConfigError if unnameable.

    `look_from` are directories, beside those around the cache, from which files are looked for that don't lie
    where their rows say.
    """
    if not _can_be_configured(str(cache)):
        message = "a control character, bytes that are no UTF-8, or very long"
        raise ConfigError(f"{cache} can't be named in a configuration ({message}); reach it by a symbolic link instead")
    location = CacheLocation(_cache_name(cache), cache, (cache,))
    search = _Search([*look_from, *_surroundings(cache)])
    search.find_all(_read_directories(location))
    roots = choose_roots(search.directories)
    sure = [root for root, rows in roots.items() if rows * _FEW >= max(roots.values())][:_MOST_ROOTS]
    location = replace(
        location,
        audio_roots=tuple(sure) or (cache,),
        path_base=search.path_base,
        path_map=tuple((source, str(target)) for source, target in search.path_map.items()),
    )
    remarks = {**search.remarks(), **_describe_roots(location, roots)}
    return Survey(scan_cache(location, ScanNeeds()), remarks, search.problems.problems())


class _Search:
    """Finds the directories that rows name, each by some of the files that should be in it."""

    def __init__(self, starts: Sequence[Path]) -> None:
        self._starts = starts
        self._tallies: dict[tuple[str, str], _Tally] = {}
        self.directories: Counter[Path] = Counter()
        self.path_map: dict[str, Path] = {}
        self.path_base: Path | None = None
        self.problems = ProblemLog()

    def find_all(self, named: Mapping[str, _Named]) -> None:
        """Find these directories of rows, the most used first."""
        by_rows = sorted(named.items(), key=lambda item: -item[1].rows)
        looked_for, rest = by_rows[:_MOST_DIRECTORIES], by_rows[_MOST_DIRECTORIES:]
        if rest:
            rows = sum(names.rows for _, names in rest)
            self.problems.add("too_many_directories", f"{len(rest)} more directories", "were not looked for", rows)
        self._find_relative([(text, names) for text, names in looked_for if not text.startswith("/")])
        for text, names in looked_for:
            if text.startswith("/"):
                self._find_absolute(text, names)

    def remarks(self) -> dict[tuple[str, str], str]:
        """What proves the mappings and the base."""
        return {
            (key, directory): f"for {tally.rows} rows; of {tally.looked_for} files looked for, {tally.found} are there"
            for (key, directory), tally in self._tallies.items()
        }

    def _find_absolute(self, text: str, named: _Named) -> None:
        directory = Path("/" + text.lstrip("/"))  # to pathlib, two slashes are another root than one
        if not _can_be_configured(str(directory)):
            self._miss(text, named, "can't be named in a configuration")
        elif named.count_in(directory):
            self.directories[directory] += named.rows
        elif _is_directory(directory):
            self._miss(text, named, "is here, but not one of the files that were looked for is in it")
        elif not self._find_mapped(directory, named):
            self._miss(text, named, "isn't here, and its files are nowhere around; --audio-root DIR says where to look")

    def _find_mapped(self, directory: Path, named: _Named) -> bool:
        """Find a directory of the writer's view under another name, from known mappings or from all starts."""
        for source, target in chain(self._known_mappings(directory), self._possible_mappings(directory)):
            ours = target / directory.relative_to(source)
            found = named.count_in(ours)
            if _is_proof(found, named.looked_for) and _can_be_configured(str(ours)):
                self.path_map[str(source)] = target
                self.directories[ours] += named.rows
                self._tallies.setdefault(("path_map", str(source)), _Tally()).add(named, found)
                return True
        return False

    def _known_mappings(self, directory: Path) -> Iterator[tuple[Path, Path]]:
        for source in (directory, *directory.parents):
            if str(source) in self.path_map:
                yield source, self.path_map[str(source)]

    def _possible_mappings(self, directory: Path) -> Iterator[tuple[Path, Path]]:
        for start in self._starts:
            for source in (directory, *directory.parents[:-1]):
                if str(source) not in self.path_map and _is_directory(start / directory.relative_to(source)):
                    yield source, start

    def _find_relative(self, relative: Sequence[tuple[str, _Named]]) -> None:
        sensible = [(text, named) for text, named in relative if _can_be_configured(f"/{text}")]
        self.path_base = self._choose_base(sensible)
        for text, named in relative:
            directory = (self.path_base or Path()) / text
            if self.path_base is None:
                why = "is relative, and its files are nowhere around; --path-base DIR says where to look"
                self._miss(text, named, why)
            elif (text, named) in sensible and named.count_in(directory):
                self.directories[directory] += named.rows
            else:
                self._miss(text, named, f"is relative, and its files aren't there from {self.path_base}")

    def _choose_base(self, relative: Sequence[tuple[str, _Named]]) -> Path | None:
        """The start from which most files of relative paths are there; None if that isn't half of them."""
        best, base = _Tally(), None
        for start in filter(lambda start: _can_be_configured(str(start)), self._starts):
            tally = _Tally()
            for text, named in relative:
                tally.add(named, named.count_in(start / text))
            if tally.found > best.found:
                best, base = tally, start
        if base is None or not _is_proof(best.found, best.looked_for):
            return None
        self._tallies["path_base", str(base)] = best
        return base

    def _miss(self, text: str, named: _Named, why: str) -> None:
        self.problems.add("unfound_directory", text or "a bare file name", why, named.rows)


def _read_directories(location: CacheLocation) -> dict[str, _Named]:
    """The directory parts of the paths in rows, each with its final slash."""
    directories: dict[str, _Named] = {}
    with open_index(location) as meta:
        for _, block in iter_blocks(meta):
            for line in filter(None, block.split(b"\n")):
                row, _ = decode_row(line)
                if row is not None and row.path is not None and is_audio_name(row.path):
                    directory, slash, name = row.path.rpartition("/")
                    directories.setdefault(directory + slash, _Named()).add(name)
    return directories


def _surroundings(cache: Path) -> list[Path]:
    """Where files may be that don't lie where their rows say: the cache, its parent, its siblings, its ancestors."""
    beside = (path for path in _directories_in(cache.parent) if path != cache and not path.name.startswith("."))
    return [cache, cache.parent, *nsmallest(_MOST_SIBLINGS, beside), *cache.parent.parents]


def _directories_in(directory: Path) -> Iterator[Path]:
    """One by one: beside a cache there may be a million files."""
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir():
                    yield Path(entry.path)


def _describe_roots(location: CacheLocation, found: Mapping[Path, int]) -> dict[tuple[str, str], str]:
    """What a person should look at in the roots of a location, and in directories that were found and left out."""
    remarks = {}
    for root in dict.fromkeys([*location.audio_roots, *found]):
        doubts = [] if root in location.audio_roots else [f"rows name {found[root]} files here, too few to be sure"]
        reach = describe_reach(root)
        doubts += [reach] if reach else []
        if doubts:
            remarks["audio_roots", str(root)] = "; ".join(doubts)
    return remarks


def _can_be_configured(path: str) -> bool:
    """Whether a configuration can name a path: no control character, no `..`, text in UTF-8, none of our own."""
    parts = path.split("/")
    if any(character < " " for character in path) or ".." in parts or STATE_DIRECTORY in parts:
        return False
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return len(json.dumps(path)) <= _LONGEST_PATH


def _cache_name(cache: Path) -> str:
    """The name of the directory as far as a cache may be called that."""
    return re.sub(r"[^a-z0-9_-]+", "-", cache.name.lower()).strip("_-")[:64] or "cache"


def _is_directory(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where it may not look


def _is_proof(found: int, looked_for: int) -> bool:
    """Whether a directory is the one that is meant: a few equal names can be chance, or a copy of some files."""
    return found * 2 >= looked_for


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False
