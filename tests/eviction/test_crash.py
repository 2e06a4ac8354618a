"""Runs that don't come to their end: killed, out of space, refused by the system; and what the next run makes of it."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
import pytest
from cache_runs import DROP, make_dozen, open_trash, plan_policy, read_items, run_policy, snapshot
from child_run import Answer, command, environment, order_for, run_child
from kill_points import Death, Point, points_for, run_points
from msgspec.structs import replace
from promises import POLICY, World, check_promise, check_recovery, make_world
from strace import run_traced

from audio_cache_daemon.errors import DeferredError
from audio_cache_daemon.eviction.execute import execute_plan
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.recovery import interrupted_run, recover
from audio_cache_daemon.location import ARRAY_NAMES, BGE_TEXT_NAME, CLAP_TEXT_NAME, META_NAME, CacheLocation
from audio_cache_daemon.manifest import TRASH
from audio_cache_daemon.model import OutcomeKind, RunResult
from audio_cache_daemon.retention.policy import Policy

ENDINGS = {
    Death("rename", 3): "nothing was begun",
    Death("renameat2", 1): "undone",
    Death("renameat2", 3): "completed",
    Death("renameat", 1): "completed",
    Death("renameat", 4): "completed",
    Death("unlinkat", 2): "nothing was begun",
}
"""Before the journal, after it, between two exchanges, after them, between two files, tidying up; and what follows."""


class Killed(msgspec.Struct, frozen=True):
    """Caches in which a run was killed: one for each death, one between two files, one with a short array."""

    worlds: tuple[World, ...]
    between_files: World
    short: CacheLocation
    short_array: bytes


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """All runs that are killed here, under one strace."""
    directory, keep = tmp_path_factory.mktemp("killed"), POLICY.trash.keep
    *worlds, between_files = [make_world(directory / str(place)) for place in range(len(ENDINGS) + 1)]
    # A good run before, so that the next one has something to miss the rows by.
    assert run_policy(between_files.location, Policy("nothing"), "run-0").result == RunResult.NOOP
    short = make_dozen(directory / "short")
    location = short.write()
    short.drop_array_rows(BGE_TEXT_NAME, 3)
    array = (location.path / BGE_TEXT_NAME).read_bytes()
    points = [point for world, death in zip(worlds, ENDINGS, strict=True) for point in points_for(world, keep, death)]
    points += points_for(between_files, keep, Death("renameat", 4))
    points.append(Point(order_for(location), "renameat2", 2))
    assert {ending.signal for ending in run_points(directory, points)} == {signal.SIGKILL}
    return Killed(tuple(worlds), between_files, location, array)


def test_a_killed_run_is_completed_or_undone(killed: Killed) -> None:
    """Before the first exchange it is undone, from then on completed; in the end no item is half there."""
    for world, ending in zip(killed.worlds, ENDINGS.values(), strict=True):
        interrupted = interrupted_run(world.location)
        recovery = recover(world.location)
        assert interrupted == (None if recovery is None else "run-1")
        assert ending in (recovery.message if recovery is not None else "nothing was begun")
        assert check_promise(world, to_trash=True) in (set(), world.drops)
        check_recovery(world, POLICY)


def test_a_killed_run_is_put_right_by_the_next_one_and_the_log_says_so(killed: Killed) -> None:
    """The next run recovers first, isn't alarmed by the many rows that went, and records what it did."""
    location = killed.between_files.location
    report = run_policy(location, POLICY, "run-2")
    assert report.result == RunResult.NOOP, report.error
    assert any("run-1 was interrupted" in message for message in report.messages)
    assert '"event":"recovered"' in (location.state_directory / "audit.jsonl").read_text()


def test_a_short_array_is_kept_aside_after_a_crash_too(killed: Killed) -> None:
    """Killed right after the exchange of the array: what couldn't be matched to rows is still not thrown away."""
    recover(killed.short)
    assert len(read_items(killed.short.path)) == 8
    assert [path.read_bytes() for path in killed.short.state_directory.glob("bge_text-*.npy")] == [killed.short_array]


def interrupted_at(location: CacheLocation, exchanged: int) -> None:
    """Leave a run as a crash leaves it after so many files of the index were exchanged."""
    plan = plan_policy(location)
    steps = execute_plan(plan, Execution("run-1"))
    next(steps)
    rewrite = location.state_directory / "rewrite"
    names = (BGE_TEXT_NAME, "clap_audio.npy", CLAP_TEXT_NAME, META_NAME)
    for name in names[exchanged:]:
        aside = rewrite / "aside"
        (rewrite / name).rename(aside)
        (location.path / name).rename(rewrite / name)
        aside.rename(location.path / name)


def test_what_the_writer_added_after_the_exchange_stays(tmp_path: Path) -> None:
    """The writer was started before we were: its new row stays, and the interrupted run is completed around it."""
    location = make_dozen(tmp_path).write()
    interrupted_at(location, exchanged=4)
    append_item(location)
    recovery = recover(location)
    assert recovery is not None
    assert "completed" in recovery.message
    assert len(read_items(location.path)) == 9
    assert len(open_trash(location).entries) == 4
    assert run_policy(location, DROP, "run-2").result == RunResult.NOOP


def test_a_half_exchanged_index_that_was_written_to_is_completed_around_it(tmp_path: Path) -> None:
    """A line without vectors may be an addition in flight: deferred; if nothing comes, it stays the last line."""
    location = make_dozen(tmp_path).write()
    interrupted_at(location, exchanged=2)
    with (location.path / META_NAME).open("ab") as file:
        file.write(b"{}\n")
    report = run_policy(location, DROP, "run-2")
    assert (report.result, type(report.error)) == (RunResult.DEFERRED, DeferredError)
    recovery = recover(location)
    assert recovery is not None
    assert "completed" in recovery.message
    lines = (location.path / META_NAME).read_bytes().splitlines()
    assert (len(lines), lines[-1]) == (9, b"{}")
    assert {len(np.load(location.path / name)) for name in ARRAY_NAMES} == {8}
    assert interrupted_run(location) is None


def test_recovery_removes_nothing_under_a_root_that_is_no_longer_configured(tmp_path: Path) -> None:
    """Root numbers are those of the run: under another configuration its files stay, and are said to have failed."""
    location = make_dozen(tmp_path).write()
    interrupted_at(location, exchanged=4)
    other = tmp_path / "other"
    other.mkdir()
    recovery = recover(replace(location, audio_roots=(other, location.path)))
    assert recovery is not None
    assert {outcome.kind for outcome in recovery.kept} == {OutcomeKind.FAILED}
    assert len(list(location.audio_roots[0].glob("drop*.wav"))) == 3


def append_item(location: CacheLocation) -> None:
    """Add an item as the writer does: a line, then each array saved anew in place."""
    with (location.path / META_NAME).open("ab") as file:
        file.write(b'{"path": "/nowhere.wav", "prompt": "new"}\n')
    for name in (CLAP_TEXT_NAME, "clap_audio.npy", BGE_TEXT_NAME):
        array = np.load(location.path / name)
        np.save(location.path / name, np.concatenate([array, array[:1]]))


def run_with_error(location: CacheLocation, inject: str) -> Answer:
    """A run whose system calls fail as told."""
    output = run_traced([f"--inject={inject}", "-o", "/dev/null"], command(order_for(location)), environment())
    return msgspec.json.decode(output, type=Answer)


def test_a_new_index_that_finds_no_room_changes_nothing(tmp_path: Path) -> None:
    """The limit on the size of files stops it in the middle of an array: all is as before, and no litter is left."""
    cache = make_dozen(tmp_path)
    for number in range(300):
        cache.add(f"keep {number}", quality=None)
    location = cache.write()
    before = snapshot(tmp_path)
    answer = run_child(order_for(location, file_bytes=9000))
    assert answer.result == "failed"
    assert os.strerror(errno.EFBIG) in (answer.error or "")
    check_unchanged(location, tmp_path, before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_changes_nothing(full_disk: Path) -> None:
    """Not a byte is free: the run says so, and nothing has changed."""
    location = make_dozen(full_disk).write()
    (location.state_directory).mkdir()
    (full_disk / "filler").write_bytes(b"")
    free = os.statvfs(full_disk)
    (full_disk / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize))
    before = snapshot(full_disk)
    report = run_policy(location)
    assert report.result == RunResult.FAILED
    assert "No space" in str(report.error)
    check_unchanged(location, full_disk, before)


def check_unchanged(location: CacheLocation, tree: Path, before: dict[str, tuple[object, ...]]) -> None:
    assert snapshot(tree) == before
    assert not (location.state_directory / "rewrite").exists()
    assert not list((location.state_directory / TRASH).glob("*"))


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of a few hundred kilobytes."""
    mount = shutil.which("mount")
    assert mount is not None
    with ExitStack() as stack:
        done = os.spawnl(os.P_WAIT, mount, "mount", "-t", "tmpfs", "-o", "size=400k", "none", str(tmp_path))
        if done != 0:
            pytest.skip("no file system can be mounted here")
        stack.callback(os.spawnlp, os.P_WAIT, "umount", "umount", "-l", str(tmp_path))
        yield tmp_path


def test_a_run_that_cannot_say_who_it_is_makes_room_all_the_same(tmp_path: Path) -> None:
    """The name in the lock is a courtesy: that the disk has no room for it keeps nobody from making room."""
    location = make_dozen(tmp_path).write()
    assert run_with_error(location, "pwrite64:error=ENOSPC").result == "success"


def test_an_exchange_that_fails_halfway_is_taken_back(tmp_path: Path) -> None:
    """The third of four files can't be exchanged: the other two are exchanged back, at once."""
    location = make_dozen(tmp_path).write()
    before = snapshot(tmp_path)
    answer = run_with_error(location, "renameat2:error=EIO:when=3")
    assert answer.result == "failed"
    assert "nothing was changed" in (answer.error or "")
    check_unchanged(location, tmp_path, before)


def test_a_file_that_cannot_be_removed_does_not_end_the_run(tmp_path: Path) -> None:
    """Its removal is `failed`; the others go."""
    location = make_dozen(tmp_path).write()
    answer = run_with_error(location, "renameat:error=EIO:when=2")
    assert (answer.result, answer.evicted, answer.failed) == ("partial", 3, 1)
    assert len(list(location.audio_roots[0].glob("drop*.wav"))) == 1
