"""What an executed plan leaves: rows, vectors and files together, and nothing else touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cache_runs import (
    DROP,
    SWEEP,
    audio_files,
    execute,
    kinds,
    make_dozen,
    open_trash,
    plan_policy,
    read_items,
    run_policy,
    snapshot,
)
from msgspec.structs import replace

from audio_cache_daemon.cache.scan import Surroundings, scan_cache
from audio_cache_daemon.errors import InconsistentIndexError, MaintenanceError
from audio_cache_daemon.eviction.execute import execute_plan
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.location import ARRAY_NAMES, BGE_TEXT_NAME, META_NAME, CacheLocation
from audio_cache_daemon.manifest import TRASH
from audio_cache_daemon.model import RunResult
from audio_cache_daemon.retention.needs import columns_needed
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import Everything, Rule
from builders import CacheBuilder

ALL = replace(DROP, rules=(Rule("all", Everything()),))


def test_what_stays_keeps_its_bytes_and_what_goes_goes_whole(tmp_path: Path) -> None:
    """Kept lines and kept vectors are the same bytes as before; the others' rows, vectors and files are gone."""
    location = make_dozen(tmp_path).write()
    before, files = read_items(location.path), list(audio_files(location))
    kept = [number for number in range(12) if number % 3]
    assert kinds(execute(plan_policy(location))) == dict.fromkeys(range(0, 12, 3), "evicted")
    assert read_items(location.path) == [before[number] for number in kept]
    assert list(audio_files(location)) == [path for path in files if "drop" not in path.name]


def test_the_trash_holds_what_went_byte_by_byte(tmp_path: Path) -> None:
    """Lines, vectors of all three arrays and files of the evicted items are in the trash as they were."""
    cache = make_dozen(tmp_path)
    stray = cache.add_stray("temp_rain_1700000000000.wav")
    location = cache.write()
    before = read_items(location.path)
    files = {path: path.read_bytes() for path in audio_files(location)}
    execute(plan_policy(location, SWEEP))
    trash = open_trash(location)
    assert trash.items() == before[::3]
    assert [entry.row for entry in trash.entries] == [0, 3, 6, 9, -1]
    kept = {location.audio_roots[0] / entry.file: trash.file(entry).read_bytes() for entry in trash.entries}
    assert kept == {path: content for path, content in files.items() if "drop" in path.name or path == stray}


def test_without_a_trash_nothing_of_an_item_is_left(tmp_path: Path) -> None:
    """Keep 0: files are gone from the file system, and no manifest says what they were."""
    location = make_dozen(tmp_path).write()
    execute(plan_policy(location), Execution("run-1", to_trash=False))
    assert len(read_items(location.path)) == 8
    assert len(list(tmp_path.rglob("*drop*"))) == 0
    assert not list(tmp_path.rglob("*manifest*"))
    assert len([path for path in tmp_path.rglob("*.wav") if path.is_file()]) == 8


def test_evicting_everything_leaves_an_index_that_the_writer_can_append_to(tmp_path: Path) -> None:
    """An empty meta.jsonl, and arrays of shape (0, D): the writer fails on one of shape (0,)."""
    location = make_dozen(tmp_path).write()
    shapes = {name: np.load(location.path / name).shape for name in ARRAY_NAMES}
    execute(plan_policy(location, ALL))
    assert (location.path / META_NAME).read_bytes() == b""
    assert {name: np.load(location.path / name).shape for name in ARRAY_NAMES} == {
        name: (0, width) for name, (_, width) in shapes.items()
    }
    assert list(audio_files(location)) == []


def test_a_cache_without_arrays_is_rewritten(tmp_path: Path) -> None:
    """Where the writer has saved no vectors there are only lines to drop, and no array appears."""
    location = make_dozen(tmp_path).write()
    for name in ARRAY_NAMES:
        (location.path / name).unlink()
    execute(plan_policy(location))
    assert len((location.path / META_NAME).read_bytes().splitlines()) == 8
    assert not any((location.path / name).exists() for name in ARRAY_NAMES)


def test_a_short_bge_array_is_brought_to_length_and_the_old_one_kept(tmp_path: Path) -> None:
    """Which rows it describes can't be told: zeros match nothing, and the old file stays beside the cache."""
    cache = make_dozen(tmp_path)
    location = cache.write()
    cache.drop_array_rows(BGE_TEXT_NAME, 3)
    old = (location.path / BGE_TEXT_NAME).read_bytes()
    execute(plan_policy(location))
    array = np.load(location.path / BGE_TEXT_NAME)
    assert array.shape == (8, 6)
    assert not array.any()
    assert (location.state_directory / "bge_text-run-1.npy").read_bytes() == old


def test_a_file_goes_with_the_last_row_that_names_it(tmp_path: Path) -> None:
    """Two evicted rows name one file, which goes once; of another file one row stays, and so does the file."""
    cache = CacheBuilder(tmp_path)
    twice, shared = cache.add("drop a"), cache.add("keep")
    cache.add("drop b", path=str(twice))
    cache.add("drop c", path=str(shared))
    location = cache.write()
    outcomes = execute(plan_policy(location))
    assert kinds(outcomes) == {0: "evicted", 2: "evicted", 3: "evicted"}
    assert [outcome.bytes_freed for outcome in outcomes] == [0, len(b"sound 0"), 0]
    assert list(audio_files(location)) == [shared]
    assert len(read_items(location.path)) == 1


def test_a_file_that_another_cache_names_stays(tmp_path: Path) -> None:
    """The row goes, and frees nothing; the other cache's item is whole."""
    cache, other = CacheBuilder(tmp_path / "one"), CacheBuilder(tmp_path / "two", name="other")
    shared = cache.add("drop")
    cache.add("keep")
    other.add("rain", path=str(shared))
    location, neighbour = cache.write(), other.write()
    roots = (*location.audio_roots, *neighbour.audio_roots)
    around = Surroundings(neighbours=[replace(neighbour, audio_roots=roots)])
    plan = plan_evictions(scan_cache(location, columns_needed(DROP), around), DROP, cache.now)
    outcomes = execute(plan)
    assert kinds(outcomes) == {0: "evicted"}
    assert outcomes[0].bytes_freed == 0
    assert shared.exists()
    assert len(read_items(location.path)) == 1


def test_rows_repeated_to_the_letter_are_told_apart(tmp_path: Path) -> None:
    """Each has an id of its own, and the trash gets each of them."""
    cache = CacheBuilder(tmp_path)
    cache.add("drop")
    cache.repeat(0)
    cache.add("keep")
    location = cache.write()
    outcomes = execute(plan_policy(location))
    assert kinds(outcomes) == {0: "evicted", 1: "evicted"}
    assert len({outcome.id for outcome in outcomes}) == 2
    assert len(open_trash(location).rows) == 2
    assert len(list(audio_files(location))) == 1


def test_another_name_of_a_file_stays(tmp_path: Path) -> None:
    """Of two hard links the evicted one goes; the other keeps its bytes."""
    cache = CacheBuilder(tmp_path)
    evicted = cache.add("drop", audio=b"the same sound")
    kept = cache.output / "keep_2000000000000.wav"
    kept.hardlink_to(evicted)
    cache.add("keep", path=str(kept))
    location = cache.write()
    execute(plan_policy(location))
    assert list(audio_files(location)) == [kept]
    assert kept.read_bytes() == b"the same sound"


@pytest.mark.parametrize("name", [META_NAME, *ARRAY_NAMES])
def test_an_index_that_changed_since_the_scan_is_left_alone(tmp_path: Path, name: str) -> None:
    """Whichever of its files was written to, nothing is changed, and no trace of the run stays in the trash."""
    location = make_dozen(tmp_path).write()
    plan = plan_policy(location)
    with (location.path / name).open("ab") as file:
        file.write(b"\n")
    check_abort(location, tmp_path, lambda: execute(plan))


def test_an_array_that_appeared_since_the_scan_stops_the_rewrite(tmp_path: Path) -> None:
    """The writer's BGE was switched on in between: dropping rows of the other files alone would shift it."""
    location = make_dozen(tmp_path).write()
    bge = location.path / BGE_TEXT_NAME
    content = bge.read_bytes()
    bge.unlink()
    plan = plan_policy(location)
    bge.write_bytes(content)
    check_abort(location, tmp_path, lambda: execute(plan))


def check_abort(location: CacheLocation, tree: Path, act: Callable[[], object]) -> None:
    """InconsistentIndexError, nothing changed, nothing of the run left."""
    before = snapshot(tree)
    with pytest.raises(InconsistentIndexError):
        act()
    assert snapshot(tree) == before
    assert not list((location.state_directory / TRASH).glob("*"))
    assert not (location.state_directory / "rewrite").exists()


def test_misaligned_arrays_block_a_run(tmp_path: Path) -> None:
    """Rows and vectors that don't match are nothing to drop rows from: the run fails, and nothing changes."""
    cache = make_dozen(tmp_path)
    location = cache.write()
    array = np.load(location.path / ARRAY_NAMES[1])
    np.save(location.path / ARRAY_NAMES[1], np.roll(array, 1, axis=0))
    before = snapshot(tmp_path)
    report = run_policy(location)
    assert report.result == RunResult.FAILED
    assert isinstance(report.error, InconsistentIndexError)
    assert snapshot(tmp_path) == before


def test_a_plan_of_which_nothing_stands_leaves_no_trace(tmp_path: Path) -> None:
    """All its files changed in the meantime: the index isn't written anew, and the trash knows no such run."""
    location = make_dozen(tmp_path).write()
    plan = plan_policy(location)
    for path in audio_files(location):
        path.write_bytes(b"another sound")
    before = snapshot(tmp_path)
    assert set(kinds(execute(plan)).values()) == {"changed"}
    assert snapshot(tmp_path) == before
    assert not list((location.state_directory / TRASH).glob("*"))


def test_a_plan_over_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    """What an interrupted run left is recovered first; a second run on top would forget it."""
    location = make_dozen(tmp_path).write()
    plan = plan_policy(location)
    rest = execute_plan(plan, Execution("run-1"))
    next(rest)
    with pytest.raises(MaintenanceError, match="recovered first"):
        next(execute_plan(plan, Execution("run-2")))
    assert kinds(list(rest)) == dict.fromkeys((3, 6, 9), "evicted")
