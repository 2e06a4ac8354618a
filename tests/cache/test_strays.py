"""Files that no row names: which are the writer's, and when none of them can be called an orphan."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from observing import STAMP, leftovers, orphans, scan, sound

from audio_cache_daemon.location import STATE_DIRECTORY
from audio_cache_daemon.model import Inventory
from builders import DAY, NOW, CacheBuilder

FEW = 20


@pytest.fixture
def cache(tmp_path: Path) -> CacheBuilder:
    """A cache with enough files for a few orphans to be litter."""
    cache = CacheBuilder(tmp_path)
    for _ in range(FEW):
        cache.add()
    return cache


def _scan(cache: CacheBuilder) -> Inventory:
    return scan(cache.write())


def test_the_writers_files_are_orphans_and_leftovers_by_name(cache: CacheBuilder) -> None:
    """Any other file is nobody's business."""
    orphan, nameless = cache.add_stray(f"rain{STAMP}"), cache.add_stray(STAMP)
    temporary = [
        cache.add_stray(f"{name}.wav")
        for name in ("temp_rain_1700000000000", "temp_norm_1700000000000", "temp_fallback_norm_1700000000000")
    ]
    normalised = cache.add_stray("rain_normalized.mp3")
    for name in ("notes.txt", "song.wav", "recording_20240101123045.wav", "x.jsonl", f"rain{STAMP}.part"):
        cache.add_stray(name)
    inventory = _scan(cache)
    assert orphans(inventory) == sorted([orphan.name, nameless.name])
    assert leftovers(inventory) == sorted(path.name for path in [*temporary, normalised])
    assert inventory.orphans_undecidable is None


def test_a_file_that_a_row_names_is_no_stray_whatever_its_name(cache: CacheBuilder) -> None:
    """A temporary file can be a returned result that is playing now."""
    path = cache.add_stray("temp_rain_1700000000000.wav")
    cache.add(path=str(path))
    inventory = _scan(cache)
    assert leftovers(inventory) == []
    assert inventory.rows.present().all()


def test_a_stray_is_described_to_be_known_again(cache: CacheBuilder) -> None:
    """Path below its root, size, inode, both times; `changed` is the later of mtime and ctime."""
    stray = cache.add_stray(f"sub/rain{STAMP}", age=-10, content=b"123")
    old = cache.add_stray(f"old{STAMP}", age=10_000)
    found = _scan(cache).strays
    assert found.path == (old.name, f"sub/{stray.name}")
    assert found.size.tolist() == [5, 3]
    assert found.inode.tolist() == [old.stat().st_ino, stray.stat().st_ino]
    assert found.mtime_ns.tolist() == [old.stat().st_mtime_ns, stray.stat().st_mtime_ns]
    assert found.changed.tolist() == [pytest.approx(old.stat().st_ctime), NOW + 10 * DAY]
    assert found.root.tolist() == [0, 0]


def test_files_are_found_in_the_depth_but_not_in_our_own_directories(cache: CacheBuilder) -> None:
    """A trash lies in a state directory, in the cache as in the root."""
    deep = cache.add_stray("/".join(["d"] * 80) + f"/rain{STAMP}")
    cache.add_stray(f"{STATE_DIRECTORY}/trash/rain{STAMP}")
    cache.add_stray(f"audio_cache/{STATE_DIRECTORY}/rain{STAMP}")
    assert orphans(_scan(cache)) == [str(deep.relative_to(cache.output))]


def test_what_is_no_regular_file_is_no_stray(cache: CacheBuilder, tmp_path: Path) -> None:
    """A link is not even when it leads to a file in a root, and a directory that is a link isn't entered."""
    elsewhere = sound(tmp_path / "elsewhere" / f"rain{STAMP}")
    (cache.output / f"link{STAMP}").symlink_to(elsewhere)
    (cache.output / f"temp_link{STAMP}").symlink_to(elsewhere)
    (cache.output / "link").symlink_to(elsewhere.parent)
    (cache.output / "loop").symlink_to(cache.output)
    (cache.output / f"directory{STAMP}").mkdir()
    assert len(_scan(cache).strays) == 0


def test_many_orphans_are_no_litter(cache: CacheBuilder) -> None:
    """Exactly a fifth of the files of a root is litter, one more is a fault; leftovers count as files only."""
    for number in range(FEW // 4):
        cache.add_stray(f"rain{number}{STAMP}")
    assert _scan(cache).orphans_undecidable is None
    cache.add_stray(f"one_more{STAMP}")
    assert "more than a fifth" in (_scan(cache).orphans_undecidable or "")
    for number in range(5):
        cache.add_stray(f"temp_{number}{STAMP}")
    assert _scan(cache).orphans_undecidable is None


def test_files_of_another_root_do_not_make_up_for_many_orphans(cache: CacheBuilder, tmp_path: Path) -> None:
    """Each root is judged by itself, and files that several rows name count once."""
    other = tmp_path / "other"
    cache.add(path=str(sound(other / f"named{STAMP}")))
    for _ in range(20):
        cache.repeat(FEW)
    sound(other / f"orphan{STAMP}")
    inventory = scan(replace(cache.write(), audio_roots=(cache.output, other)))
    assert "more than a fifth" in (inventory.orphans_undecidable or "")


def test_one_unreadable_line_stops_the_orphans(cache: CacheBuilder) -> None:
    """It may name any of the files."""
    cache.add_stray(f"rain{STAMP}")
    cache.add_line(b'{"path": "/srv/a\n')
    inventory = _scan(cache)
    assert orphans(inventory) == [f"rain{STAMP}"]
    assert "lines of meta.jsonl can't be read" in (inventory.orphans_undecidable or "")


def test_an_empty_index_beside_files_stops_the_orphans(tmp_path: Path) -> None:
    """It was emptied or replaced. Without any file there is nothing to wonder at."""
    cache = CacheBuilder(tmp_path)
    assert _scan(cache).orphans_undecidable is None
    cache.add_stray(f"rain{STAMP}")
    assert "index is empty" in (_scan(cache).orphans_undecidable or "")


@pytest.mark.parametrize("prefix", ["", "./", "sub/", "../", "/elsewhere/"])
def test_a_file_of_a_name_that_an_unresolved_path_ends_in_is_no_orphan(cache: CacheBuilder, prefix: str) -> None:
    """The row may well mean it: its path is relative, or the writer sees the directory elsewhere."""
    wanted = cache.add_stray(f"rain{STAMP}")
    other = cache.add_stray(f"wind{STAMP}")
    cache.add(path=f"{prefix}{wanted.name}")
    assert orphans(_scan(cache)) == [other.name]


def test_one_file_has_one_stray_however_many_roots_it_lies_under(cache: CacheBuilder, tmp_path: Path) -> None:
    """Nested roots, and a root configured twice by two names."""
    stray = cache.add_stray(f"sub/rain{STAMP}")
    (tmp_path / "link").symlink_to(cache.output)
    inventory = scan(replace(cache.write(), audio_roots=(cache.output, tmp_path / "link", stray.parent)))
    assert inventory.strays.path == (stray.name,)
    assert inventory.strays.root.tolist() == [2]
