"""What a run promises whatever happens to it: each item is whole or evicted, and what stays is as it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from cache_runs import DROP, Item, TrashedRun, audio_files, open_trash, read_items, run_policy
from msgspec.structs import replace

from audio_cache_daemon.eviction.lock import cache_lock
from audio_cache_daemon.eviction.recovery import recover
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.manifest import TRASH
from audio_cache_daemon.model import RunResult
from audio_cache_daemon.retention.policy import InState, Policy, Rule
from builders import CacheBuilder

STRAY = "temp_x_1700000000000.wav"
POLICY = replace(DROP, rules=(*DROP.rules, Rule("left", InState("leftover"))))
"""What child_run carries out: evicts what is to be dropped, and leftovers."""


class World(msgspec.Struct, frozen=True):
    """A cache before a run: its items, the file of each, all audio files, and which rows are to go."""

    location: CacheLocation
    items: tuple[Item, ...]
    paths: tuple[Path, ...]
    files: dict[Path, bytes]
    drops: frozenset[int]

    @classmethod
    def of(cls, location: CacheLocation, paths: Sequence[Path], drops: set[int]) -> World:
        files = {path: path.read_bytes() for path in audio_files(location)}
        return cls(location, tuple(read_items(location.path)), tuple(paths), files, frozenset(drops))


def make_world(directory: Path) -> World:
    """A dozen items of which eight are to go, two of them with a file that another item names; and a leftover."""
    cache = CacheBuilder(directory)
    drops = {row for row in range(12) if row % 3}
    paths = [cache.add("drop this" if row in drops else f"keep {row}", quality=0.1 + row / 20) for row in range(10)]
    for sharing, named in ((10, 1), (11, 0)):
        cache.add("drop this", quality=sharing / 20, path=str(paths[named]))
        paths.append(paths[named])
    cache.add_stray(STRAY)
    return World.of(cache.write(), paths, drops)


def trashed_runs(location: CacheLocation) -> list[TrashedRun]:
    directory = location.state_directory / TRASH
    names = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
    return [open_trash(location, name) for name in names if (directory / name / "manifest.jsonl").exists()]


def evicted_rows(world: World) -> set[int]:
    """The rows that are gone from the index, which must hold the others byte by byte and in their order."""
    found = read_items(world.location.path)
    assert found == [item for item in world.items if item in found]
    return {row for row, item in enumerate(world.items) if item not in found}


def check_promise(world: World, *, to_trash: bool) -> set[int]:
    """Each item is whole or evicted, wholly; the rows that are evicted."""
    gone = evicted_rows(world)
    assert gone <= world.drops
    there = {path: path.read_bytes() for path in audio_files(world.location)}
    assert there.items() <= world.files.items()
    named = {path for row, path in enumerate(world.paths) if row not in gone}
    assert {path for path in world.paths if path in there} == named
    if to_trash:
        _check_trash(world, gone, there)
    else:
        assert trashed_runs(world.location) == []
    assert not (world.location.state_directory / "rewrite").exists()
    return gone


def _check_trash(world: World, gone: set[int], there: dict[Path, bytes]) -> None:
    runs = trashed_runs(world.location)
    assert sorted(item.line for run in runs for item in run.items()) == sorted(world.items[row].line for row in gone)
    assert all(item in world.items for run in runs for item in run.items())
    kept = {
        world.location.audio_roots[entry.root] / entry.file: run.file(entry).read_bytes()
        for run in runs
        for entry in run.entries
        if entry.file
    }
    assert kept == {path: content for path, content in world.files.items() if path not in there}


def check_recovery(world: World, policy: Policy) -> None:
    """The promise holds after recovery alone, and the next run evicts the rest."""
    with cache_lock(world.location):
        recover(world.location)
    to_trash = policy.trash.keep > 0
    check_promise(world, to_trash=to_trash)
    report = run_policy(world.location, policy, "run-9")
    assert report.result in {RunResult.SUCCESS, RunResult.NOOP}, report.error
    assert check_promise(world, to_trash=to_trash) == world.drops
    assert not (world.location.audio_roots[0] / STRAY).exists()
