"""The audio files that rows name: which path means which file, and whether it is there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from msgspec.structs import replace
from observing import (
    STAMP,
    assert_left_alone,
    bare_cache,
    name_files,
    orphans,
    sound,
    states,
    write_paths,
)

from audio_cache_daemon.cache import files
from audio_cache_daemon.cache.files import FileFinder, number_groups
from audio_cache_daemon.cache.index import IndexReader, ProblemLog
from audio_cache_daemon.cache.listing import list_files
from audio_cache_daemon.cache.names import FileNames
from audio_cache_daemon.cache.scan import open_index
from audio_cache_daemon.cache.walk import Walk
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import ItemState
from audio_cache_daemon.paths import Folders, PathResolver

UNDECIDABLE = ["undecidable"]


@pytest.fixture
def location(tmp_path: Path) -> CacheLocation:
    """A cache with an empty index and an empty audio root."""
    return bare_cache(tmp_path)


@pytest.fixture
def root(location: CacheLocation) -> Path:
    """Its audio root."""
    return location.audio_roots[0]


def test_a_file_is_there_or_missing(location: CacheLocation, root: Path) -> None:
    """What `stat` says of one that is there is kept, to know it again."""
    file = sound(root / "a.wav")
    os.utime(file, ns=(5, -7_000_000_001))
    inventory = name_files(location, file, root / "b.wav", root / "no" / "c.wav")
    rows = inventory.rows
    assert states(inventory) == ["ok", "missing", "missing"]
    assert rows.size.tolist() == [5, -1, -1]
    assert (rows.inode[0], rows.mtime_ns[0]) == (file.stat().st_ino, -7_000_000_001)
    assert rows.root.tolist() == [0, 0, 0]
    assert sorted(rows.file.tolist()) == [0, 1, 2]
    assert inventory.problems == ()


@pytest.mark.parametrize("suffix", ["wav", "mp3", "WAV", "Mp3"])
def test_both_kinds_of_audio_count(location: CacheLocation, root: Path, suffix: str) -> None:
    """A row may spell the suffix as it likes."""
    assert states(name_files(location, sound(root / f"a.{suffix}"))) == ["ok"]


def test_a_file_that_several_rows_name_is_counted_once(location: CacheLocation, root: Path) -> None:
    """However they spell its path."""
    file = sound(root / "sub" / "a.wav")
    other = sound(root / "a.wav")
    spellings = [str(file), f"{root}//sub/./a.wav", f"{root}/sub//a.wav", f"/.{file}"]
    rows = name_files(location, *spellings, other).rows
    assert len(set(rows.file[:4].tolist())) == 1
    assert rows.file[4] not in rows.file[:4]
    assert rows.audio_bytes(np.ones(5, np.bool_)) == 10


def test_two_spellings_of_a_root_are_one_root(tmp_path: Path, root: Path, location: CacheLocation) -> None:
    """The configured one, which may be a link, and the real one; also when both are configured."""
    file = sound(root / f"a{STAMP}")
    orphan = sound(root / f"b{STAMP}")
    link = tmp_path / "link"
    link.symlink_to(root)
    paths = (file, link / file.name)
    for roots in ((link,), (link, root), (root, link)):
        inventory = name_files(replace(location, audio_roots=roots), *paths)
        assert states(inventory) == ["ok", "ok"]
        assert len(set(inventory.rows.file.tolist())) == 1
        assert inventory.rows.root.tolist() == [0, 0]
        assert orphans(inventory) == [orphan.name]
    assert states(name_files(location, *paths)) == ["ok", "undecidable"]


def test_of_nested_roots_the_inner_one_counts(location: CacheLocation, root: Path) -> None:
    """In any order, and each file and each stray once."""
    inner = root / "inner"
    sounds = [sound(root / "a.wav"), sound(inner / "b.wav"), sound(inner / "deep" / "c.wav")]
    sound(inner / f"stray{STAMP}")
    sound(root / "beside" / f"stray{STAMP}")
    for roots, expected in (((root, inner), [0, 1, 1]), ((inner, root), [1, 0, 0])):
        inventory = name_files(replace(location, audio_roots=roots), *sounds)
        assert inventory.rows.root.tolist() == expected
        found = dict(zip(inventory.strays.path, inventory.strays.root.tolist(), strict=True))
        assert found == {f"stray{STAMP}": roots.index(inner), f"beside/stray{STAMP}": roots.index(root)}


def test_a_path_is_read_through_the_map(location: CacheLocation, root: Path) -> None:
    """The longest prefix of whole names counts; a name that only begins alike is not meant."""
    sound(root / "a.wav")
    sound(root / "deep" / "a.wav")
    mapped = replace(location, path_map=(("/app", str(root)), ("/app/inner/", f"{root}/deep"), ("/", "/elsewhere")))
    inventory = name_files(mapped, "/app/a.wav", "/app/inner/a.wav", "/application/a.wav", "/app/../a.wav", "a.wav")
    assert states(inventory) == ["ok", "ok", "undecidable", "undecidable", "undecidable"]
    assert inventory.rows.file[0] != inventory.rows.file[1]


def test_a_relative_path_is_read_from_the_base_or_not_at_all(location: CacheLocation, root: Path) -> None:
    """Without a base it is never missing, and a file of its name is never an orphan."""
    sound(root / "sub" / f"a{STAMP}")
    paths = (f"sub/a{STAMP}", f"./sub/a{STAMP}", f"sub/b{STAMP}", "../audio/a.wav")
    without = name_files(location, *paths)
    assert states(without) == UNDECIDABLE * 4
    assert orphans(without) == []
    based = name_files(replace(location, path_base=root), *paths)
    assert states(based) == ["ok", "ok", "missing", "undecidable"]
    assert based.rows.file[0] == based.rows.file[1]
    assert_left_alone(based)


def test_hard_links_are_files_each(location: CacheLocation, root: Path) -> None:
    """Two names of one inode are two files with the same bytes: either can go without harm to the other."""
    file = sound(root / "a.wav")
    (root / "b.wav").hardlink_to(file)
    rows = name_files(location, file, root / "b.wav").rows
    assert rows.present().all()
    assert rows.file[0] != rows.file[1]
    assert rows.inode[0] == rows.inode[1]
    assert rows.content.tolist() == [0, 0]


def test_an_addition_after_the_walk_is_not_missing(location: CacheLocation, root: Path) -> None:
    """Files are looked for again before they count as missing: the writer may make one, and its row, meanwhile."""
    paths = [root / "late.wav", root / "new" / "late.wav", root / "gone.wav"]
    write_paths(location, *paths)
    names = FileNames(PathResolver(location))
    with Folders(location) as folders, open_index(location) as meta:
        walk = Walk.of(list_files(folders))
        for path in paths[:2]:
            sound(path)
        reader = IndexReader(names, (), ProblemLog())
        reader.read(meta)
        offset = reader.columns.take("offset", np.int64)
        finder = FileFinder(names, walk, folders, meta.fileno())
        found = finder.find(reader.keys, reader.columns.take("folder", np.int32), offset)
    assert found.state.tolist() == [ItemState.OK, ItemState.OK, ItemState.MISSING]
    assert found.size.tolist() == [5, 5, -1]


KEYS = st.sampled_from([-(2**63), -(2**62), -1, 0, 1, 2**62, 2**63 - 1])


@given(arrays(np.int64, 30, elements=KEYS), arrays(np.bool_, 30), st.sampled_from([1, 7, 100]))
def test_groups_are_numbered_alike_in_any_number_of_parts(keys: np.ndarray, members: np.ndarray, at_once: int) -> None:
    """In the order of their keys, without a gap, however few are sorted at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_GROUPED_AT_ONCE", at_once)
        numbers = number_groups(keys, members)
    assert (numbers[~members] == -1).all()
    np.testing.assert_array_equal(numbers[members], np.unique(keys[members], return_inverse=True)[1])
