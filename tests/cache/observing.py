"""What tests of OBSERVE ask of a scan."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from audio_cache_daemon.cache.scan import Surroundings, scan_cache
from audio_cache_daemon.location import META_NAME, CacheLocation
from audio_cache_daemon.model import Inventory, ItemState, Memory, ScanNeeds, StrayKind

STAMP = "_1700000000000.wav"
"""What the writer's names end in."""


def scan(
    location: CacheLocation,
    needs: ScanNeeds | None = None,
    neighbours: Iterable[CacheLocation] = (),
    memory: Memory | None = None,
) -> Inventory:
    """The inventory of a cache."""
    return scan_cache(location, needs or ScanNeeds(), Surroundings(tuple(neighbours), memory))


def write_lines(location: CacheLocation, content: bytes) -> CacheLocation:
    """Make the index of a cache hold these bytes, and no arrays."""
    location.path.mkdir(parents=True, exist_ok=True)
    (location.path / META_NAME).write_bytes(content)
    return location


def bare_cache(directory: Path, content: bytes = b"") -> CacheLocation:
    """A cache of an index alone, its audio root beside it."""
    root = directory / "audio"
    root.mkdir(parents=True, exist_ok=True)
    return write_lines(CacheLocation("test", directory / "cache", (root,)), content)


def states(inventory: Inventory) -> list[str]:
    """The states of all rows, in words."""
    return [ItemState(state).name.lower() for state in inventory.rows.state]


def strays(inventory: Inventory, kind: StrayKind) -> list[str]:
    """The paths of the files of a kind, below their roots."""
    found = inventory.strays
    return [path for path, each in zip(found.path, found.kind.tolist(), strict=True) if each == kind]


def orphans(inventory: Inventory) -> list[str]:
    """The paths of the orphans, below their roots."""
    return strays(inventory, StrayKind.ORPHAN)


def leftovers(inventory: Inventory) -> list[str]:
    """The paths of the leftovers, below their roots."""
    return strays(inventory, StrayKind.LEFTOVER)


def problems(inventory: Inventory, kind: str) -> list[str]:
    """Where the problems of a kind are."""
    return [problem.where for problem in inventory.problems if problem.kind == kind]


def problem_count(inventory: Inventory, kind: str) -> int:
    """How many problems of a kind there are."""
    return sum(problem.count for problem in inventory.problems if problem.kind == kind)


def write_paths(location: CacheLocation, *paths: str | Path) -> CacheLocation:
    """Make the rows of a cache name these paths, and nothing else."""
    return write_lines(location, b"".join(json.dumps({"path": str(path)}).encode() + b"\n" for path in paths))


def name_files(location: CacheLocation, *paths: str | Path) -> Inventory:
    """The inventory of the cache when its rows name these paths, with contents."""
    return scan(write_paths(location, *paths), ScanNeeds(content=True))


def sound(path: Path, content: bytes = b"sound") -> Path:
    """Write an audio file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def assert_left_alone(inventory: Inventory) -> None:
    """Of a file that is undecidable nothing is known, and the problem is told."""
    rows = inventory.rows
    undecidable = rows.state == ItemState.UNDECIDABLE
    assert (rows.size[undecidable] == -1).all()
    assert (rows.root[undecidable] == -1).all()
    assert (rows.file[undecidable] == -1).all()
    assert (rows.content[undecidable] == -1).all()
    assert problem_count(inventory, "undecidable_path") == undecidable.sum()
