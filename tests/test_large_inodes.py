"""A file system that numbers files with all 64 bits, as EFS, GlusterFS and mergerfs do, is one like any other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.model import ItemState, RunReport, RunResult, ScanNeeds
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.policy import Dedupe, InState, Limits, Pattern, Policy, Rule
from audio_cache_daemon.undo import restore_from_trash
from builders import NOW, CacheBuilder

POLICY = Policy(
    "drop",
    rules=(
        Rule("drop", Pattern("drop")),
        Rule("copies", Dedupe("content", 1)),
        Rule("left", InState("leftover")),
        Rule("orphans", InState("orphan")),
    ),
    limits=Limits(max_items=None, max_percent=None),
)

_IN_SEQUENCE = {"st_mode", "st_ino", "st_dev", "st_nlink", "st_uid", "st_gid", "st_size"}


def _enlarged(status: os.stat_result) -> os.stat_result:
    """The same with the highest bit of its inode set."""
    values = list(status)
    values[1] = status.st_ino | 2**63
    # Whole seconds are in the sequence, but without names: times are given beside it, once more and to the nanosecond.
    further = (name for name in dir(status) if name.startswith("st_") and name not in _IN_SEQUENCE)
    return os.stat_result(values, {name: getattr(status, name) for name in further})


class _Entry:
    def __init__(self, entry: os.DirEntry[str]) -> None:
        self._entry = entry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return _enlarged(self._entry.stat(follow_symlinks=follow_symlinks))


class _Entries:
    def __init__(self, entries: Any) -> None:
        self._entries = entries

    def __iter__(self) -> Iterator[_Entry]:
        return map(_Entry, self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._entries.close()


@pytest.fixture
def _large_inodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of any file, from here on and in child processes, tells of an inode beyond 2^63."""

    def wrap(ask: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        return lambda *values, **options: _enlarged(ask(*values, **options))

    scandir = os.scandir
    for name in ("stat", "lstat", "fstat"):
        monkeypatch.setattr(os, name, wrap(getattr(os, name)))
    monkeypatch.setattr(os, "scandir", lambda *place: _Entries(scandir(*place)))


def make_cache(directory: Path) -> CacheLocation:
    """Four items of which one is to be dropped and one is a copy, a leftover and an orphan."""
    cache = CacheBuilder(directory)
    for prompt, content in (("drop", b"1"), ("keep", b"2"), ("keep", b"3"), ("keep", b"3")):
        cache.add(prompt, audio=content)
    cache.add_stray("temp_rain_1700000000000.wav")
    cache.add_stray("rain_1700000000000.wav")
    return cache.write()


def target(location: CacheLocation, writer: WriterSettings) -> Target:
    return Target(CacheSettings(location, POLICY, writer), location.state_directory / "audit.jsonl")


def run(where: Target, name: str) -> RunReport:
    return run_maintenance(where, RunRequest(NOW, name), lambda: NOW)


def audio_of(location: CacheLocation) -> set[str]:
    return {path.name for path in location.audio_roots[0].glob("*.wav")}


@pytest.mark.usefixtures("_large_inodes")
def test_the_files_of_all_items_are_found(tmp_path: Path) -> None:
    rows = scan_cache(make_cache(tmp_path), ScanNeeds()).rows
    assert rows.state.tolist() == [ItemState.OK] * 4
    assert (rows.inode < 0).all()


@pytest.mark.usefixtures("_large_inodes")
def test_with_the_generator_stopped_all_that_is_named_goes_and_comes_back(tmp_path: Path) -> None:
    location = make_cache(tmp_path)
    before = audio_of(location)
    where = target(location, WriterSettings(mode="stopped"))
    report = run(where, "one")
    assert report.outcome is not None
    assert (report.result, report.outcome.evicted) == (RunResult.SUCCESS, 4)
    assert len(audio_of(location)) == 2
    restored = restore_from_trash(where, RunRequest(NOW, "back"), "one", (), lambda: NOW)
    assert not restored.problems
    assert audio_of(location) == before


@pytest.mark.usefixtures("_large_inodes")
def test_beside_a_generator_items_are_retired_released_and_come_back(tmp_path: Path) -> None:
    location = make_cache(tmp_path)
    before, started = audio_of(location), tmp_path / "started"
    where = target(location, WriterSettings(mode="live", started_file=started))
    started.touch()
    os.utime(started, (100, 100))
    run(where, "one")
    assert len(audio_of(location)) == len(before) - 2
    os.utime(started, (200, 200))
    run(where, "two")
    assert len(audio_of(location)) == len(before) - 4
    assert not restore_from_trash(where, RunRequest(NOW, "back"), "one", (), lambda: NOW).problems
