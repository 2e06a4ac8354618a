"""Other caches that share an audio root: what their rows name is no litter, and no file of ours alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from msgspec.structs import replace
from observing import STAMP, orphans, scan, sound, write_lines, write_paths

from audio_cache_daemon.location import META_NAME, CacheLocation
from builders import CacheBuilder

FEW = 20


@pytest.fixture
def cache(tmp_path: Path) -> CacheBuilder:
    """A cache with enough files for a few orphans to be litter."""
    cache = CacheBuilder(tmp_path)
    for _ in range(FEW):
        cache.add()
    return cache


@pytest.fixture
def neighbour(cache: CacheBuilder, tmp_path: Path) -> CacheLocation:
    """Another cache with the same audio root, its index empty."""
    return write_paths(CacheLocation("neighbour", tmp_path / "neighbour", (cache.output,)))


@pytest.fixture
def stray(cache: CacheBuilder) -> Path:
    """A file that no row of the cache names."""
    return cache.add_stray(f"sub/rain{STAMP}")


def test_a_file_that_a_neighbour_names_is_no_orphan(
    cache: CacheBuilder, neighbour: CacheLocation, stray: Path, tmp_path: Path
) -> None:
    """In any spelling: with its own base, its own map, through a link to the root or below it."""
    name, location = f"sub/{stray.name}", cache.write()
    assert orphans(scan(location, neighbours=[neighbour])) == [name]
    (tmp_path / "link").symlink_to(cache.output)
    (cache.output / "inner").symlink_to("sub")
    for path in (stray, f"{cache.output}//sub/./{stray.name}", cache.output / "inner" / stray.name):
        assert orphans(scan(location, neighbours=[write_paths(neighbour, path)])) == []
    linked = replace(neighbour, audio_roots=(tmp_path / "link",))
    assert orphans(scan(location, neighbours=[write_paths(linked, tmp_path / "link" / name)])) == []
    based = replace(neighbour, path_base=cache.output)
    assert orphans(scan(location, neighbours=[write_paths(based, name)])) == []
    mapped = replace(neighbour, path_map=(("/app", str(cache.output)),))
    assert orphans(scan(location, neighbours=[write_paths(mapped, f"/app/{name}")])) == []


def test_a_file_that_a_neighbour_may_mean_is_no_orphan(
    cache: CacheBuilder, neighbour: CacheLocation, stray: Path
) -> None:
    """Its path is relative, so only the name is known."""
    location = cache.write()
    assert orphans(scan(location, neighbours=[write_paths(neighbour, f"somewhere/{stray.name}")])) == []


def test_a_file_that_a_neighbour_names_too_is_used_elsewhere(cache: CacheBuilder, neighbour: CacheLocation) -> None:
    """So an eviction of ours leaves it."""
    shared = cache.add()
    location = cache.write()
    rows = scan(location, neighbours=[write_paths(neighbour, shared)]).rows
    assert rows.used_elsewhere.tolist() == [False] * FEW + [True]


@pytest.mark.parametrize("roots", ["inside", "around"])
def test_roots_are_shared_when_one_lies_in_the_other(
    cache: CacheBuilder, neighbour: CacheLocation, stray: Path, roots: str
) -> None:
    """Either way round."""
    root = stray.parent if roots == "inside" else cache.output.parent
    other = write_paths(replace(neighbour, audio_roots=(root,)), stray)
    assert orphans(scan(cache.write(), neighbours=[other])) == []


def test_a_cache_with_other_roots_is_no_neighbour(cache: CacheBuilder, stray: Path, tmp_path: Path) -> None:
    """It isn't read at all; a name that only begins alike is another directory."""
    beside = cache.output.with_name(cache.output.name + "2")
    beside.mkdir()
    far = CacheLocation("far", tmp_path / "none", (beside,))
    inventory = scan(cache.write(), neighbours=[far])
    assert orphans(inventory) == [f"sub/{stray.name}"]
    assert inventory.orphans_undecidable is None


@pytest.mark.parametrize("line", [b"\n", b"{\n", b"{} {}\n\n", b"\xff\n", b"[]\n", b'{"path": "x'])
def test_a_neighbour_with_a_line_that_can_not_be_read_stops_the_orphans(
    cache: CacheBuilder, neighbour: CacheLocation, line: bytes
) -> None:
    """It may name any file; the reason names the cache."""
    write_lines(neighbour, b'{"path": "a.wav"}\n' + line)
    reason = scan(cache.write(), neighbours=[neighbour]).orphans_undecidable
    assert reason is not None
    assert "neighbour" in reason


@pytest.mark.parametrize("kind", ["missing", "fifo", "directory", "link"])
def test_a_neighbour_whose_index_is_no_file_stops_the_orphans(
    cache: CacheBuilder, neighbour: CacheLocation, kind: str
) -> None:
    """It isn't waited for, nor is a link followed."""
    index = neighbour.path / META_NAME
    index.unlink()
    if kind == "fifo":
        os.mkfifo(index)
    elif kind == "directory":
        index.mkdir()
    elif kind == "link":
        index.symlink_to(cache.write().path / META_NAME)
    reason = scan(cache.write(), neighbours=[neighbour]).orphans_undecidable
    assert reason is not None
    assert "neighbour" in reason


@pytest.mark.parametrize(
    "path", ["{root}/x\0/a.wav", "{root}/\ud800/a.wav", "{root}/" + "x" * 5000 + "/a.wav", "", "/"]
)
def test_a_strange_path_of_a_neighbour_does_no_harm(cache: CacheBuilder, neighbour: CacheLocation, path: str) -> None:
    """A name that no file can have names none."""
    write_lines(neighbour, json.dumps({"path": path.format(root=cache.output)}).encode() + b"\n")
    inventory = scan(cache.write(), neighbours=[neighbour])
    assert inventory.orphans_undecidable is None
    assert not inventory.rows.used_elsewhere.any()


def test_a_neighbour_may_be_large(cache: CacheBuilder, neighbour: CacheLocation, stray: Path) -> None:
    """Its index is read on beyond one block of the reader."""
    other = sound(cache.output / f"other{STAMP}")
    write_paths(neighbour, *[cache.output / f"{number}{STAMP}" for number in range(10_000)], stray)
    assert orphans(scan(cache.write(), neighbours=[neighbour])) == [other.name]
