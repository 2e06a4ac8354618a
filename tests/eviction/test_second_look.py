"""Right before anything is changed, each planned eviction is looked at once more: what isn't as planned stays."""

from __future__ import annotations

import json
import os
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
    open_trash,
    plan_policy,
    read_items,
    run_policy,
    snapshot,
)
from msgspec.structs import replace

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.eviction.execute import execute_plan
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import RunResult, ScanNeeds, Sounds
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import Dedupe, Rule
from builders import CacheBuilder

SAME_BYTES = replace(DROP, rules=(Rule("same-bytes", Dedupe("content")),))
SAME_SOUND = replace(DROP, rules=(Rule("same-sound", Dedupe("sound", within="cache")),))


def make_few(directory: Path) -> tuple[CacheLocation, list[Path]]:
    """Two items to be dropped, and one that stays."""
    cache = CacheBuilder(directory)
    paths = [cache.add("drop one"), cache.add("drop two"), cache.add("keep")]
    return cache.write(), paths


def test_a_file_that_changed_since_the_scan_stays_with_its_row(tmp_path: Path) -> None:
    """A new size, new bytes of the same size at another time, or another file under the name: not what was planned."""
    for number, change in enumerate((_append, _overwrite, _replace)):
        location, paths = make_few(tmp_path / str(number))
        plan, rows = plan_policy(location), read_items(location.path)
        change(paths[0])
        content = paths[0].read_bytes()
        assert kinds(execute(plan)) == {0: "changed", 1: "evicted"}
        assert paths[0].read_bytes() == content
        assert read_items(location.path) == [rows[0], rows[2]]


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _overwrite(path: Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])


def _replace(path: Path) -> None:
    status = path.stat()
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


def test_a_file_that_vanished_is_gone_and_so_is_its_row(tmp_path: Path) -> None:
    """Somebody else removed it: nothing is freed by us, and the row goes as planned."""
    location, paths = make_few(tmp_path)
    plan = plan_policy(location)
    paths[0].unlink()
    outcomes = execute(plan)
    assert kinds(outcomes) == {0: "gone", 1: "evicted"}
    assert sum(outcome.bytes_freed for outcome in outcomes) == len(b"sound 1")
    assert len(read_items(location.path)) == 1


def test_a_missing_row_whose_file_came_back_stays(tmp_path: Path) -> None:
    """The volume was mounted again between the look and the removal: the item is whole, and stays."""
    cache = CacheBuilder(tmp_path)
    path = cache.add("rain", audio=None)
    cache.add("keep")
    location = cache.write()
    plan = plan_policy(location, SWEEP)
    path.write_bytes(b"back again")
    before = snapshot(tmp_path)
    assert kinds(execute(plan)) == {0: "changed"}
    assert snapshot(tmp_path) == before


def test_a_file_that_changes_after_the_look_is_not_removed(tmp_path: Path) -> None:
    """It is compared again right before it goes; its row, which has gone by then, is in the trash."""
    location, paths = make_few(tmp_path)
    steps = execute_plan(plan_policy(location), Execution("run-1"))
    next(steps)
    _append(paths[1])
    content = paths[1].read_bytes()
    assert kinds(list(steps)) == {1: "changed"}
    assert paths[1].read_bytes() == content
    assert len(open_trash(location).rows) == 2


def test_a_symbolic_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    """Neither the link nor what it points to goes, and the row stays."""
    location, paths = make_few(tmp_path)
    plan = plan_policy(location)
    elsewhere = tmp_path / "precious.wav"
    paths[0].rename(elsewhere)
    paths[0].symlink_to(elsewhere)
    assert kinds(execute(plan)) == {0: "changed", 1: "evicted"}
    assert elsewhere.read_bytes() == b"sound 0"
    assert paths[0].is_symlink()


def test_a_symbolic_link_in_place_of_a_directory_is_not_followed(tmp_path: Path) -> None:
    """A directory that was swapped for a link between plan and action: its files are not ours to touch."""
    cache = CacheBuilder(tmp_path)
    inner = cache.output / "inner"
    inner.mkdir()
    path = inner / "drop_2000000000000.wav"
    path.write_bytes(b"sound")
    cache.add("drop", path=str(path))
    cache.add("keep")
    location = cache.write()
    plan = plan_policy(location)
    inner.rename(tmp_path / "elsewhere")
    inner.symlink_to(tmp_path / "elsewhere")
    assert kinds(execute(plan)) == {0: "failed"}
    assert (tmp_path / "elsewhere" / path.name).read_bytes() == b"sound"
    assert len(read_items(location.path)) == 2


def test_duplicates_by_content_are_compared_with_the_copy_that_stays(tmp_path: Path) -> None:
    """Of two files of the same bytes the older goes."""
    cache = CacheBuilder(tmp_path)
    cache.add("rain", age=2, audio=b"the same")
    kept = cache.add("storm", age=1, audio=b"the same")
    location = cache.write()
    assert kinds(execute(plan_policy(location, SAME_BYTES))) == {0: "evicted"}
    assert list(audio_files(location)) == [kept]


@pytest.mark.parametrize("missing", [False, True], ids=["keeper differs", "keeper is missing"])
def test_a_duplicate_that_is_none_stays(tmp_path: Path, *, missing: bool) -> None:
    """A hash that lies, or a keeper that is gone by now: without an equal copy that stays, nothing goes."""
    cache = CacheBuilder(tmp_path)
    cache.add("rain", age=2, audio=b"one sound")
    keeper = cache.add("storm", age=1, audio=b"two sound")
    location = cache.write()
    found = scan_cache(location, ScanNeeds(content=True))
    forged = replace(found, rows=replace(found.rows, content=np.zeros(2, np.int32)))
    plan = plan_evictions(forged, SAME_BYTES, cache.now)
    assert plan.rows.subject.tolist() == [0]
    if missing:
        keeper.unlink()
    before = snapshot(tmp_path)
    assert kinds(execute(plan)) == {0: "failed" if missing else "changed"}
    assert snapshot(tmp_path) == before


def _unlink(path: Path) -> None:
    path.unlink()


def _leave(_: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "outcome"),
    [(_leave, "evicted"), (_append, "changed"), (_unlink, "changed")],
    ids=["there", "changed", "gone"],
)
def test_what_sounds_like_another_goes_only_while_that_is_there(
    tmp_path: Path, change: Callable[[Path], None], outcome: str
) -> None:
    """Between the plan and its execution the generator, or anyone, may have taken the one that was to stay."""
    cache = CacheBuilder(tmp_path)
    copy = cache.add("rain", age=2, audio=b"one sound")
    keeper = cache.add("storm", age=1, audio=b"near copy")
    found = scan_cache(cache.write(), ScanNeeds())
    sounds = Sounds(np.arange(2, dtype=np.int32), np.ones((2, 1), np.float32))
    plan = plan_evictions(replace(found, rows=replace(found.rows, sounds=sounds)), SAME_SOUND, cache.now)
    assert plan.rows.subject.tolist() == [0]
    change(keeper)
    assert kinds(execute(plan)) == {0: outcome}
    assert copy.exists() == (outcome != "evicted")


HOSTILE_NAMES = (
    b"drop\n\r\t*; rm -rf \x1b[31m_1700000000000.wav",
    b"drop\xff\xfe_1700000000000.wav",
    b"d" * 237 + b"_1700000000000.wav",
    "é".encode() * 118 + b"d_1700000000000.wav",
    b" -rf --_1700000000000.wav",
)


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
def test_a_file_goes_whatever_its_name(tmp_path: Path, name: bytes) -> None:
    """Control characters, bytes that are no UTF-8, 255 bytes, of one or of two a character: of a row and of a stray."""
    cache = CacheBuilder(tmp_path)
    assert len(name) <= 255
    row, leftover = os.fsdecode(name), os.fsdecode(b"inner/temp_" + name[len(b"temp_") :])
    (cache.output / row).write_bytes(b"row's")
    values = {"path": str(cache.output / row), "prompt": "drop", "clap_similarity": 0.5}
    cache.add_line(json.dumps(values).encode() + b"\n")
    cache.add_stray(leftover)
    kept = cache.add("keep")
    location = cache.write()
    report = run_policy(location, SWEEP)
    assert report.result == RunResult.SUCCESS, report.error
    assert list(audio_files(location)) == [kept]
    trash = open_trash(location)
    assert [trash.file(entry).read_bytes() for entry in trash.entries] == [b"row's", b"stray"]
    assert [entry.file for entry in trash.entries] == [row, leftover]
