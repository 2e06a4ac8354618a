"""Under a running generator items are retired: unservable at once, their files gone when it can't serve them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from audio_cache_daemon.cache import vectors as vectors_module
from audio_cache_daemon.cache.glance import glance, look_at_files
from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.held import NONE_HELD
from audio_cache_daemon.location import ARRAY_NAMES, BGE_TEXT_NAME, META_NAME, CacheLocation
from audio_cache_daemon.maintenance import preview_maintenance, run_maintenance
from audio_cache_daemon.model import ItemState, RunReport, RunResult, ScanNeeds
from audio_cache_daemon.request import Listener, RunRequest, Target
from audio_cache_daemon.retention.policy import InState, Limits, Pattern, Policy, Rule, TrashLimits
from audio_cache_daemon.undo import restore_from_trash
from builders import NOW, CacheBuilder

DROP = Policy(
    "drop",
    rules=(Rule("drop", Pattern("drop")), Rule("left", InState("leftover"))),
    limits=Limits(max_items=None, max_percent=None),
)


def make_cache(directory: Path) -> CacheBuilder:
    cache = CacheBuilder(directory)
    for number in range(12):
        cache.add("drop this" if number % 3 == 0 else f"keep {number}", quality=0.1 + number / 20)
    return cache


def live(directory: Path, **options: Any) -> WriterSettings:
    return replace(WriterSettings(mode="live", started_file=directory / "started"), **options)


def run(
    location: CacheLocation,
    writer: WriterSettings,
    policy: Policy = DROP,
    *,
    now: float = NOW,
    name: str = "one",
) -> RunReport:
    target = Target(CacheSettings(location, policy, writer), location.state_directory / "audit.jsonl")
    return run_maintenance(target, RunRequest(now, name), lambda: now)


def start_generator(directory: Path, moment: int) -> None:
    """What the generator's ExecStartPre does."""
    started = directory / "started"
    started.touch()
    os.utime(started, (moment, moment))


def restore(location: CacheLocation, name: str) -> list[str]:
    """Bring a run's items back; why some aren't."""
    writer = WriterSettings(mode="live")
    target = Target(CacheSettings(location, DROP, writer), location.state_directory / "audit.jsonl")
    restored = restore_from_trash(target, RunRequest(NOW, f"{name}-back"), name, (), lambda: NOW)
    return [problem for _, problem in restored.problems]


def vectors(location: CacheLocation) -> list[np.ndarray]:
    return [np.load(location.path / name) for name in ARRAY_NAMES]


def audio_names(location: CacheLocation) -> set[str]:
    return {path.name for path in location.audio_roots[0].glob("*.wav")}


def test_a_run_zeroes_vectors_in_place_and_nothing_else(tmp_path: Path) -> None:
    """Rows keep their bytes and places, other vectors too; files stay; the arrays keep the generator's time."""
    location = make_cache(tmp_path).write()
    start_generator(tmp_path, 100)
    meta, before, files = (location.path / META_NAME).read_bytes(), vectors(location), audio_names(location)
    status = {name: (location.path / name).stat() for name in ARRAY_NAMES}

    report = run(location, live(tmp_path))

    assert report.result == RunResult.SUCCESS
    assert report.outcome is not None
    assert (report.outcome.evicted, report.outcome.bytes_freed, report.outcome.pending_items) == (4, 0, 4)
    assert (location.path / META_NAME).read_bytes() == meta
    assert audio_names(location) == files
    for name, old, new in zip(ARRAY_NAMES, before, vectors(location), strict=True):
        assert not new[0::3].any()
        kept = np.arange(12) % 3 > 0
        assert np.array_equal(new[kept], old[kept])
        now = (location.path / name).stat()
        assert (now.st_ino, now.st_size, now.st_mtime_ns) == (
            status[name].st_ino,
            status[name].st_size,
            status[name].st_mtime_ns,
        )


def test_retired_items_count_nowhere_and_their_files_are_pending(tmp_path: Path) -> None:
    """Neither as items nor as orphans; a second run has nothing to do."""
    location = make_cache(tmp_path).write()
    run(location, live(tmp_path))
    inventory = scan_cache(location, ScanNeeds())
    assert int(inventory.rows.items().sum()) == 8
    assert len(inventory.strays) == 0
    assert inventory.retired.pending.sum() == 4
    assert inventory.retired.pending_bytes() == sum(len(f"sound {number}") for number in (0, 3, 6, 9))
    assert run(location, live(tmp_path), name="two").result == RunResult.NOOP


def test_a_glance_at_the_index_knows_what_is_retired(tmp_path: Path) -> None:
    """Lists show no item that is none any more, also when they look at few files."""
    location = make_cache(tmp_path).write()
    run(location, live(tmp_path))
    seen = look_at_files(glance(location, NONE_HELD), np.arange(12))
    np.testing.assert_array_equal(seen.rows.state, scan_cache(location, ScanNeeds()).rows.state)
    assert (seen.rows.state == ItemState.RETIRED).tolist() == [number % 3 == 0 for number in range(12)]


def test_files_go_to_the_trash_once_the_generator_was_started_again(tmp_path: Path) -> None:
    """Known from the file that its start touches; not by the start before the retirement."""
    location = make_cache(tmp_path).write()
    start_generator(tmp_path, 100)
    files = audio_names(location)
    run(location, live(tmp_path))
    assert run(location, live(tmp_path), name="two").result == RunResult.NOOP

    start_generator(tmp_path, 200)
    report = run(location, live(tmp_path), name="three")

    assert report.outcome is not None
    assert report.outcome.bytes_freed == sum(len(f"sound {number}") for number in (0, 3, 6, 9))
    assert len(files - audio_names(location)) == 4
    trash = location.audio_roots[0] / ".audio-cache-daemon" / "trash" / "one"
    assert len(list(trash.iterdir())) == 4
    assert any("started since" in message for message in report.messages)


def test_without_trash_released_files_go_for_good(tmp_path: Path) -> None:
    """`keep: 0` is no undo."""
    location = make_cache(tmp_path).write()
    policy = replace(DROP, trash=TrashLimits(keep=0))
    run(location, live(tmp_path), policy)
    start_generator(tmp_path, 200)
    run(location, live(tmp_path), policy, name="two")
    assert len(audio_names(location)) == 8
    assert not (location.state_directory / "trash").exists()


def test_an_addition_releases_when_that_is_what_proves_it(tmp_path: Path) -> None:
    """`release_on: addition`: an array with a row more, and still zero where it was."""
    cache = make_cache(tmp_path)
    location = cache.write()
    writer = live(tmp_path, release_on="addition")
    run(location, writer)
    assert run(location, writer, name="two").result == RunResult.NOOP
    add_like_the_generator(cache, location)
    run(location, writer, name="three")
    assert len(audio_names(location)) == 9


def test_what_the_generator_writes_back_is_retired_again_and_waits(tmp_path: Path) -> None:
    """Its addition loaded before the zeros and saved after them: nothing is proven by it."""
    cache = make_cache(tmp_path)
    location = cache.write()
    before = vectors(location)
    writer = live(tmp_path, release_on="addition")
    run(location, writer)
    for name, old in zip(ARRAY_NAMES, before, strict=True):
        np.save(location.path / name, old)
    add_like_the_generator(cache, location)

    report = run(location, writer, name="two")

    assert any("written back" in message for message in report.messages)
    assert all(not array[0:12:3].any() for array in vectors(location))
    assert len(audio_names(location)) == 13
    assert run(location, writer, name="three").result == RunResult.NOOP
    add_like_the_generator(cache, location)
    run(location, writer, name="four")
    assert len(audio_names(location)) == 10


def test_what_is_written_back_between_the_look_and_the_work_is_retired_again_too(tmp_path: Path) -> None:
    """An addition that loaded before one run's zeros may save after the next run's look, and before its own zeros."""
    cache = make_cache(tmp_path)
    location = cache.write()
    before = vectors(location)
    run(location, live(tmp_path))

    policy = replace(DROP, rules=(*DROP.rules, Rule("one", Pattern("^keep 1$"))))
    target = Target(CacheSettings(location, policy, live(tmp_path)), location.state_directory / "audit.jsonl")
    report = run_maintenance(
        target, RunRequest(NOW, "two"), lambda: NOW, Listener(planned=lambda _: end_addition(cache, location, before))
    )
    assert report.result == RunResult.SUCCESS
    assert [bool(array[0].any()) for array in vectors(location)] == [True] * 3

    run(location, live(tmp_path), policy, name="three")

    assert not any(array[[0, 1, 3, 6, 9]].any() for array in vectors(location))


def test_a_start_after_the_look_proves_nothing(tmp_path: Path) -> None:
    """What an addition brought back after the look is what the generator has loaded at that start."""
    cache = make_cache(tmp_path)
    location = cache.write()
    before = vectors(location)
    start_generator(tmp_path, 100)
    run(location, live(tmp_path))

    def restart_in_the_end() -> bool:
        if len(np.load(location.path / ARRAY_NAMES[0])) == 12:
            end_addition(cache, location, before)
            start_generator(tmp_path, 200)
        return False

    target = Target(CacheSettings(location, DROP, live(tmp_path)), location.state_directory / "audit.jsonl")
    listener = Listener(should_stop=restart_in_the_end)
    run_maintenance(target, RunRequest(NOW, "two"), lambda: NOW, listener)
    assert len(audio_names(location)) == 13
    run(location, live(tmp_path), name="three")
    assert len(audio_names(location)) == 13
    start_generator(tmp_path, 300)
    run(location, live(tmp_path), name="four")
    assert len(audio_names(location)) == 9


def test_max_wait_releases_without_proof(tmp_path: Path) -> None:
    """Exactly at the limit the file still waits."""
    location = make_cache(tmp_path).write()
    writer = WriterSettings(mode="live", max_wait=100.0)
    run(location, writer)
    run(location, writer, now=NOW + 100, name="two")
    assert len(audio_names(location)) == 12
    report = run(location, writer, now=NOW + 100.5, name="three")
    assert len(audio_names(location)) == 8
    assert any("without proof" in message for message in report.messages)


def test_a_stopped_run_drops_what_was_retired_and_releases_its_files(tmp_path: Path) -> None:
    """`writer.mode: stopped` does all three at once, then evicts by the policy."""
    cache = make_cache(tmp_path)
    location = cache.write()
    lines = (location.path / META_NAME).read_bytes().splitlines(keepends=True)
    before = vectors(location)
    run(location, live(tmp_path))
    policy = replace(DROP, rules=(Rule("one", Pattern("keep 1$")),))
    report = run(location, WriterSettings(mode="stopped"), policy, name="two")
    assert report.result == RunResult.SUCCESS
    kept = [number for number in range(12) if number % 3 and number != 1]
    assert (location.path / META_NAME).read_bytes().splitlines(keepends=True) == [lines[number] for number in kept]
    for old, new in zip(before, vectors(location), strict=True):
        assert np.array_equal(new, old[kept])
    assert len(audio_names(location)) == 7
    assert len(scan_cache(location, ScanNeeds()).retired) == 4
    run(location, WriterSettings(mode="stopped"), policy, name="three")
    assert len(scan_cache(location, ScanNeeds()).retired) == 0


def test_an_index_made_anew_is_survived(tmp_path: Path) -> None:
    """Somebody rewrites it in another order: retired rows are found by their bytes, and nothing else goes."""
    location = make_cache(tmp_path).write()
    run(location, live(tmp_path))
    order = np.array([*range(11, -1, -1)])
    lines = (location.path / META_NAME).read_bytes().splitlines(keepends=True)
    arrays = vectors(location)
    (location.path / META_NAME).unlink()
    (location.path / META_NAME).write_bytes(b"".join(lines[number] for number in order))
    for name, array in zip(ARRAY_NAMES, arrays, strict=True):
        np.save(location.path / name, array[order])
    inventory = scan_cache(location, ScanNeeds())
    assert sorted(inventory.retired.row.tolist()) == [2, 5, 8, 11]
    assert inventory.retired.pending.all()
    start_generator(tmp_path, 200)
    run(location, live(tmp_path), name="two")
    assert len(audio_names(location)) == 8


def test_what_was_retired_is_known_in_an_index_made_anew_while_an_addition_is_in_flight(tmp_path: Path) -> None:
    """When nothing tells yet whether vectors are back: it isn't an item again, nor let go of."""
    cache = make_cache(tmp_path)
    location = cache.write()
    run(location, live(tmp_path))
    before = [(location.path / name).read_bytes() for name in ARRAY_NAMES]
    make_meta_anew(location)
    add_like_the_generator(cache, location)
    for name, old in zip(ARRAY_NAMES, before, strict=True):
        (location.path / name).write_bytes(old)
    assert scan_cache(location, ScanNeeds()).retired.pending.all()
    assert run(location, live(tmp_path), name="two").result == RunResult.NOOP
    inventory = scan_cache(location, ScanNeeds())
    assert inventory.retired.row.tolist() == [0, 3, 6, 9]
    assert inventory.retired.pending.all()


def test_what_was_retired_beside_a_short_array_is_known_in_an_index_made_anew(tmp_path: Path) -> None:
    """The array wasn't zeroed then: the sounds' vectors alone say whether an item is back. It is zeroed later."""
    location = make_cache(tmp_path).write()
    whole = (location.path / BGE_TEXT_NAME).read_bytes()
    np.save(location.path / BGE_TEXT_NAME, np.load(location.path / BGE_TEXT_NAME)[:-1])
    run(location, live(tmp_path))
    (location.path / BGE_TEXT_NAME).write_bytes(whole)
    make_meta_anew(location)
    inventory = scan_cache(location, ScanNeeds())
    assert inventory.retired.row.tolist() == [0, 3, 6, 9]
    assert inventory.retired.pending.all()
    assert run(location, live(tmp_path), name="two").result == RunResult.NOOP
    assert not np.load(location.path / BGE_TEXT_NAME)[0::3].any()
    assert restore(location, "one") == []
    assert (location.path / BGE_TEXT_NAME).read_bytes() == whole


def make_meta_anew(location: CacheLocation) -> None:
    """The same lines in another file."""
    (location.path / "anew").write_bytes((location.path / META_NAME).read_bytes())
    (location.path / "anew").replace(location.path / META_NAME)


def test_a_file_that_a_row_names_again_is_no_longer_pending(tmp_path: Path) -> None:
    """A rebuilt index has the row back with its vectors: it is an item again, and its file stays."""
    location = make_cache(tmp_path).write()
    meta, arrays = (location.path / META_NAME).read_bytes(), vectors(location)
    run(location, live(tmp_path))
    (tmp_path / "anew").write_bytes(meta)
    (tmp_path / "anew").replace(location.path / META_NAME)
    for name, array in zip(ARRAY_NAMES, arrays, strict=True):
        np.save(location.path / name, array)
    inventory = scan_cache(location, ScanNeeds())
    assert int(inventory.rows.items().sum()) == 12
    assert not inventory.retired.pending.any()
    start_generator(tmp_path, 200)
    keep = replace(DROP, rules=())
    run(location, live(tmp_path), keep, name="two")
    assert len(audio_names(location)) == 12


def test_a_shared_file_goes_with_the_last_item_that_names_it(tmp_path: Path) -> None:
    """Retired in two runs: the first frees nothing, the second its file."""
    cache = CacheBuilder(tmp_path)
    path = cache.add("drop one")
    cache.add("drop two", path=str(path))
    cache.add("keep")
    location = cache.write()
    run(location, live(tmp_path), replace(DROP, rules=(Rule("one", Pattern("one")),)))
    start_generator(tmp_path, 200)
    run(location, live(tmp_path), replace(DROP, rules=(Rule("two", Pattern("two")),)), name="two")
    assert path.exists()
    start_generator(tmp_path, 300)
    run(location, live(tmp_path), name="three")
    assert not path.exists()


def test_leftovers_go_at_once_under_a_running_generator(tmp_path: Path) -> None:
    """No row names them, so no lookup leads to them."""
    cache = make_cache(tmp_path)
    stray = cache.add_stray("temp_x_1700000000000.wav")
    location = cache.write()
    report = run(location, live(tmp_path))
    assert not stray.exists()
    assert report.outcome is not None
    assert (report.outcome.evicted, report.outcome.pending_items) == (5, 4)


@pytest.mark.parametrize("row", [0, 3, 6, 9])
def test_a_row_whose_vectors_are_not_its_own_is_not_retired(
    tmp_path: Path, row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof is asked for each item that goes, however few are read at once; other rows aren't looked at."""
    monkeypatch.setattr(vectors_module, "_ROWS_AT_ONCE", 2)
    location = make_cache(tmp_path).write()
    for name in ARRAY_NAMES:
        array = np.load(location.path / name)
        array[[row, row + 1]] = array[[row + 1, row]]
        np.save(location.path / name, array)
    before = vectors(location)
    report = run(location, live(tmp_path))
    assert report.error is not None
    assert f"row {row}" in str(report.error)
    assert all(np.array_equal(old, new) for old, new in zip(before, vectors(location), strict=True))
    others = replace(DROP, rules=(Rule("nine", Pattern("keep 8")),))
    assert run(location, live(tmp_path), others, name="two").result == RunResult.SUCCESS


def test_a_released_item_comes_back_in_its_place(tmp_path: Path) -> None:
    """Its row is still there, retired: vectors and file return under the running generator, and the item stays.

    With the last one goes what was written down of the run.
    """
    location = make_cache(tmp_path).write()
    before, files = vectors(location), audio_names(location)
    run(location, live(tmp_path))
    start_generator(tmp_path, 200)
    run(location, live(tmp_path), name="two")
    assert len([*location.state_directory.glob("*/one")]) == 2
    assert restore(location, "one") == []
    assert [*location.state_directory.glob("*/one")] == []
    assert audio_names(location) == files
    assert all(np.array_equal(old, new) for old, new in zip(before, vectors(location), strict=True))
    assert int(scan_cache(location, ScanNeeds()).rows.items().sum()) == 12
    assert run(location, live(tmp_path), name="four").result == RunResult.NOOP


def commands(directory: Path, **scripts: str) -> dict[str, tuple[str, ...]]:
    """Commands for the generator that write down their names, and do what the scripts say beside it."""
    return {
        name: ("sh", "-c", f"echo {name} >> {directory}/called; {scripts.get(name, '')}")
        for name in ("stop", "start", "reload")
        if name != "reload" or "reload" in scripts
    }


def called(directory: Path) -> list[str]:
    return (directory / "called").read_text().split() if (directory / "called").exists() else []


def test_many_retired_rows_are_dropped_while_the_generator_is_stopped(tmp_path: Path) -> None:
    """From a quarter of the index on; then all files go, and it is started."""
    location = make_cache(tmp_path).write()
    quiet = live(tmp_path, quiesce=0.0, **commands(tmp_path))
    report = run(location, quiet)
    assert called(tmp_path) == ["stop", "start"]
    assert len(vectors(location)[0]) == 8
    assert len(audio_names(location)) == 8
    assert report.outcome is not None
    assert report.outcome.evicted == 4
    assert run(location, quiet, name="two").result == RunResult.NOOP


def test_few_retired_rows_are_not_worth_a_stop(tmp_path: Path) -> None:
    """They stay, and harm nobody."""
    location = make_cache(tmp_path).write()
    one = replace(DROP, rules=(Rule("one", Pattern("keep 1$")),))
    run(location, live(tmp_path, quiesce=0.0, **commands(tmp_path)), one)
    assert called(tmp_path) == []
    assert len(vectors(location)[0]) == 12


def test_a_compaction_waits_for_quiet(tmp_path: Path) -> None:
    """The generator isn't stopped in the middle of its work; the run says so with its own status."""
    location = make_cache(tmp_path).write()
    os.utime(location.path / META_NAME, (NOW - 29, NOW - 29))
    report = run(location, live(tmp_path, quiesce=30.0, **commands(tmp_path)))
    assert report.result == RunResult.DEFERRED
    assert "quiet" in str(report.error)
    assert called(tmp_path) == []
    os.utime(location.path / META_NAME, (NOW - 30, NOW - 30))
    for name in ARRAY_NAMES:
        os.utime(location.path / name, (NOW - 60, NOW - 60))
    assert run(location, live(tmp_path, quiesce=30.0, **commands(tmp_path)), name="two").result == RunResult.SUCCESS
    assert called(tmp_path) == ["stop", "start"]


def test_a_generator_that_can_not_be_stopped_is_started_all_the_same(tmp_path: Path) -> None:
    """Whatever its stop command did; nothing is dropped."""
    location = make_cache(tmp_path).write()
    report = run(location, live(tmp_path, quiesce=0.0, **commands(tmp_path, stop="echo no such unit >&2; exit 5")))
    assert "no such unit" in str(report.error)
    assert called(tmp_path) == ["stop", "start"]
    assert len(vectors(location)[0]) == 12


def test_a_generator_that_we_stopped_before_a_crash_is_started_by_the_next_run(tmp_path: Path) -> None:
    """Also when that run has nothing else to do."""
    location = make_cache(tmp_path).write()
    writer = live(tmp_path, quiesce=0.0, **commands(tmp_path, start="exit 1"))
    assert "could not be started" in str(run(location, writer).error)
    run(location, live(tmp_path, quiesce=0.0, **commands(tmp_path)), replace(DROP, rules=()), name="two")
    assert called(tmp_path) == ["stop", "start", "start"]
    run(location, live(tmp_path, quiesce=0.0, **commands(tmp_path)), replace(DROP, rules=()), name="three")
    assert called(tmp_path) == ["stop", "start", "start"]


def test_rows_are_dropped_right_before_a_reload_and_files_wait_for_a_start(tmp_path: Path) -> None:
    """`reload` alone tells the generator of the new index, but is no start."""
    location = make_cache(tmp_path).write()
    reload = {"reload": commands(tmp_path, reload="true")["reload"]}
    run(location, live(tmp_path, quiesce=0.0, **reload))
    assert called(tmp_path) == ["reload"]
    assert len(vectors(location)[0]) == 8
    assert len(audio_names(location)) == 12
    assert scan_cache(location, ScanNeeds()).retired.pending.sum() == 4
    start_generator(tmp_path, 200)
    run(location, live(tmp_path), name="two")
    assert len(audio_names(location)) == 8


def test_a_preview_says_what_will_happen_when(tmp_path: Path) -> None:
    """And changes nothing."""
    location = make_cache(tmp_path).write()
    target = Target(CacheSettings(location, DROP, live(tmp_path)), location.state_directory / "audit.jsonl")
    report = preview_maintenance(target, RunRequest(NOW, "dry"))
    assert any("started again" in message for message in report.messages)
    assert not location.state_directory.exists()


@pytest.mark.parametrize("name", ARRAY_NAMES)
def test_an_array_that_is_being_written_keeps_all_as_it_is(tmp_path: Path, name: str) -> None:
    """A run in the middle of the generator's saving changes nothing, and the next one retires."""
    location = make_cache(tmp_path).write()
    whole = (location.path / name).read_bytes()
    (location.path / name).write_bytes(whole[:-40])
    report = run(location, live(tmp_path))
    assert report.error is not None
    assert (location.path / name).read_bytes() == whole[:-40]
    (location.path / name).write_bytes(whole)
    assert run(location, live(tmp_path), name="two").result == RunResult.SUCCESS


def test_an_addition_between_the_look_and_the_work_keeps_nothing_from_being_retired(tmp_path: Path) -> None:
    """What is added meanwhile is as it should be; a generator that never stops never stops a run."""
    cache = make_cache(tmp_path)
    location = cache.write()
    before = vectors(location)
    target = Target(CacheSettings(location, DROP, live(tmp_path)), location.state_directory / "audit.jsonl")
    listener = Listener(planned=lambda _: add_like_the_generator(cache, location))
    report = run_maintenance(target, RunRequest(NOW, "one"), lambda: NOW, listener)
    assert report.result == RunResult.SUCCESS
    kept = np.arange(13) % 3 > 0
    kept[12] = True
    assert [array.any(axis=1).tolist() for array in vectors(location)] == [kept.tolist()] * 3
    assert all(
        np.array_equal(new[:12][kept[:12]], old[kept[:12]]) for old, new in zip(before, vectors(location), strict=True)
    )
    assert restore(location, "one") == []
    assert all(np.array_equal(new[:12], old) for old, new in zip(before, vectors(location), strict=True))


def test_without_quiet_asked_for_an_addition_during_the_run_is_no_reason_to_wait(tmp_path: Path) -> None:
    location = make_cache(tmp_path).write()
    for name in (META_NAME, *ARRAY_NAMES):
        os.utime(location.path / name, (NOW + 5, NOW + 5))
    assert run(location, live(tmp_path, quiesce=0.0, **commands(tmp_path))).result == RunResult.SUCCESS
    assert called(tmp_path) == ["stop", "start"]


def end_addition(cache: CacheBuilder, location: CacheLocation, loaded: list[np.ndarray]) -> None:
    """Add an item in an addition that had `loaded` the arrays before."""
    add_like_the_generator(cache, location)
    for name, old in zip(ARRAY_NAMES, loaded, strict=True):
        np.save(location.path / name, np.concatenate([old, np.load(location.path / name)[len(old) :]]))


def add_like_the_generator(cache: CacheBuilder, location: CacheLocation) -> None:
    """Append a line, then load, extend and save each array over itself."""
    arrays = vectors(location)
    lines = (location.path / META_NAME).read_bytes()
    cache.add(f"added {len(arrays[0])}", quality=0.6)
    cache.write()
    grown = vectors(location)
    new_line = (location.path / META_NAME).read_bytes().splitlines(keepends=True)[-1]
    (location.path / META_NAME).write_bytes(lines + new_line)
    for name, array, more in zip(ARRAY_NAMES, arrays, grown, strict=True):
        np.save(location.path / name, np.concatenate([array, more[-1:]]))


def test_a_finished_run_before_it_doesn_t_confuse_what_a_run_waits_for(tmp_path: Path) -> None:
    """The first run's row was dropped by a rebuild and its file is gone; the generator brought the second's back."""
    location = make_cache(tmp_path).write()
    start_generator(tmp_path, 100)
    before = vectors(location)
    first = replace(DROP, rules=(Rule("keep-1", Pattern("^keep 1$")),))
    run(location, live(tmp_path), first, name="one")
    run(location, live(tmp_path), name="two")
    lines = (location.path / META_NAME).read_bytes().splitlines(keepends=True)
    stays = np.arange(12) != 1
    (location.path / META_NAME).write_bytes(b"".join(lines[:1] + lines[2:]))
    for name, old in zip(ARRAY_NAMES, before, strict=True):
        np.save(location.path / name, np.where(np.arange(12)[:, None] == 0, old, np.load(location.path / name))[stays])
    Path(json.loads(lines[1])["path"]).unlink()
    start_generator(tmp_path, 200)
    kept_back = audio_names(location)

    report = run(location, live(tmp_path), name="three")

    assert report.error is None
    assert report.result in (RunResult.SUCCESS, RunResult.NOOP)
    assert not (location.state_directory / "retired" / "one").exists()
    assert audio_names(location) == kept_back, "zeros that were undone are no proof for the start before them"
