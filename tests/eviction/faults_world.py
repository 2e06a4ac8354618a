"""A small cache in which all kinds of items go, its generator, and what is promised of it whatever happens to a run."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import msgspec
import numpy as np
from cache_runs import DROP, Item, audio_files
from msgspec.structs import replace

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.eviction.repair import REPAIRS
from audio_cache_daemon.eviction.trash import list_pending, list_trash
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, STATE_DIRECTORY, CacheLocation
from audio_cache_daemon.manifest import MANIFEST_NAME, RETIRED, ROWS_NAME, TRASH, read_manifest
from audio_cache_daemon.model import ItemState, ScanNeeds
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.policy import InState, Policy, Rule
from audio_cache_daemon.undo import restore_from_trash
from builders import NOW, CacheBuilder

STRAY = "temp_x_1700000000000.wav"
POLICY = replace(DROP, rules=(*DROP.rules, Rule("left", InState("leftover"))))
OWN_NAMES = {"lock", "audit.jsonl", "audit-head.json", "state.json", "reserve", RETIRED, TRASH, REPAIRS}


class Fate(Enum):
    """What became of an item's row: as it was, there with zeros in all arrays or in some, or not in the index."""

    WHOLE = "whole"
    ZERO = "zero"
    PARTLY = "partly zero"
    GONE = "gone"


class World(msgspec.Struct, frozen=True):
    """A cache before anything was done to it: its items, the file of each, all files; the rows that are to go.

    `generator` is a directory that says what the generator does: `running` is there while it runs, `started` tells
    when it was started, and `loaded` is the index that it has in memory.
    """

    location: CacheLocation
    generator: Path
    items: tuple[Item, ...]
    paths: tuple[Path, ...]
    files: dict[Path, bytes]
    drops: frozenset[int]

    @property
    def is_running(self) -> bool:
        return (self.generator / "running").exists()

    @property
    def is_loaded(self) -> bool:
        """Whether the generator has the rows of the index in memory, and not those that it had before."""
        return (self.generator / "loaded").read_bytes() == (self.location.path / META_NAME).read_bytes()


def make_world(directory: Path) -> World:
    """Seven items of which four go, so that the index shrinks below half of it; and a leftover.

    One of those that go names the file of one that stays, two of them name the same file.
    """
    cache = CacheBuilder(directory)
    paths = [cache.add("drop this" if row in (0, 2) else f"keep {row}", quality=0.2 + row / 10) for row in range(4)]
    for row, named in ((4, 3), (5, 0)):
        cache.add("drop this", quality=row / 10, path=str(paths[named]))
        paths.append(paths[named])
    paths.append(cache.add("keep 6", quality=0.7))
    cache.add_stray(STRAY)
    location = cache.write()
    generator = directory / "generator"
    generator.mkdir()
    (generator / "running").touch()
    (generator / "loaded").write_bytes((location.path / META_NAME).read_bytes())
    files = {path: path.read_bytes() for path in audio_files(location)}
    items = read_rows(location.path)
    return World(location, generator, tuple(items), tuple(paths), files, frozenset({0, 2, 4, 5}))


def read_rows(cache: Path) -> list[Item]:
    """The rows as a generator that starts now reads them; it fails where that would."""
    lines = (cache / META_NAME).read_bytes().splitlines(keepends=True)
    arrays = [np.load(cache / name) for name in ARRAY_NAMES]
    assert [len(array) for array in arrays] == [len(lines)] * len(arrays), "rows and vectors are not equally many"
    return [Item(line, tuple(array[row].tobytes() for array in arrays)) for row, line in enumerate(lines)]


def fates(world: World) -> list[Fate]:
    """What became of each item; whatever else is in the index, or in another order, is a failure."""
    found = read_rows(world.location.path)
    lines = [item.line for item in world.items]
    order = [lines.index(item.line) for item in found]
    assert len(set(order)) == len(order), "an item is in the index twice"
    by_line = {item.line: item for item in found}
    return [_fate(item, by_line.get(item.line)) for item in world.items]


def _fate(item: Item, found: Item | None) -> Fate:
    if found is None:
        return Fate.GONE
    own = [left == right for left, right in zip(item.vectors, found.vectors, strict=True)]
    zero = [not any(vector) for vector in found.vectors]
    assert all(map(max, own, zero)), f"a row has another's vectors, or broken ones: {item.line!r}"
    if all(own):
        return Fate.WHOLE
    return Fate.ZERO if all(zero) else Fate.PARTLY


def check_items(world: World, *, saved: bool, settled: bool) -> list[Fate]:
    """Each item is whole, or evicted and, if that is to be so, `saved`; what doesn't go is whole.

    Until things are `settled` by a run that isn't disturbed, an item that goes may be zero in some of the arrays.
    """
    found = fates(world)
    there = {path: path.read_bytes() for path in audio_files(world.location)}
    assert there.items() <= world.files.items(), "an audio file is another than it was, or elsewhere"
    for row, (item, fate) in enumerate(zip(world.items, found, strict=True)):
        if fate == Fate.WHOLE:
            assert world.paths[row] in there, f"row {row} is in the index, and its file isn't there"
            continue
        assert row in world.drops, f"row {row} is {fate.value}, and was not to go"
        assert fate != Fate.PARTLY or not settled, f"row {row} is partly zero"
        if saved:
            assert item in _saved_items(world.location), f"row {row} is {fate.value}, and saved nowhere"
            content = world.files[world.paths[row]]
            assert content in _contents(world, there), f"row {row} is {fate.value}, and its file is lost"
    return found


def check_settled(world: World, found: list[Fate]) -> None:
    """What a scan says of the items agrees with what is there, and nothing unfinished lies about."""
    rows = scan_cache(world.location, ScanNeeds()).rows
    assert int(rows.items().sum()) == found.count(Fate.WHOLE), "a scan counts other items than there are"
    assert int((rows.state == ItemState.RETIRED).sum()) == found.count(Fate.ZERO), "a zero row is not known as retired"
    names = {path.name for path in world.location.state_directory.iterdir()}
    litter = {name for name in names - OWN_NAMES if not name.startswith("audit.jsonl.torn-")}
    assert not litter, f"left over: {litter}"
    for directory in (TRASH, RETIRED):
        runs = _subdirectories(world.location.state_directory / directory)
        assert all((run / "run.json").exists() for run in runs), f"unfinished in {directory}: {runs}"
    assert world.is_running, "the generator was not started"
    assert world.is_loaded, "the generator has an index in memory that is no longer there"


def bring_all_back(world: World) -> None:
    """Restore whatever can be restored, while the generator is stopped: then all is as it was, byte by byte."""
    settings = CacheSettings(world.location, POLICY, WriterSettings(mode="stopped"))
    target = Target(settings, world.location.state_directory / "audit.jsonl")
    for run in [*list_trash(world.location), *list_pending(world.location)]:
        restored = restore_from_trash(target, RunRequest(NOW, f"back-{run.run}"), run.run, (), lambda: NOW)
        assert restored.problems == ()
    assert set(fates(world)) == {Fate.WHOLE}, f"not all came back: {fates(world)}"
    there = {path: path.read_bytes() for path in audio_files(world.location)}
    assert there == world.files, "not all files came back"


def _contents(world: World, there: dict[Path, bytes]) -> set[bytes]:
    trash = world.location.audio_roots[0] / STATE_DIRECTORY / TRASH
    return {*there.values(), *(path.read_bytes() for path in trash.glob("*/*") if path.is_file())}


def _saved_items(location: CacheLocation) -> Iterator[Item]:
    """The rows that were written down before they went, with their vectors."""
    state = location.state_directory
    places = [*_subdirectories(state / RETIRED), *_subdirectories(state / TRASH), state / "rewrite" / "saved"]
    for place in places:
        if not (place / MANIFEST_NAME).exists() or not (place / ROWS_NAME).exists():
            continue
        entries = [entry for entry in read_manifest(place / MANIFEST_NAME) if entry.row >= 0]
        lines = (place / ROWS_NAME).read_bytes().splitlines(keepends=True)
        arrays = [np.load(place / name) for name in ARRAY_NAMES]
        assert len(entries) == len(lines), f"{place} is not whole"
        for number, line in enumerate(lines):
            yield Item(line, tuple(array[number].tobytes() for array in arrays))


def _subdirectories(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.is_dir()) if directory.is_dir() else []


NOTHING = Policy("nothing")
"""Evicts nothing."""
