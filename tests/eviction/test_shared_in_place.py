"""Under the running generator of another user, whose files a group shares: only their owner can put their time back."""

from __future__ import annotations

import os
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from cache_runs import DROP, make_dozen, read_items

from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.index_times import last_index_change
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.model import RunReport
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.undo import restore_from_trash

GENERATOR, SERVICE, GROUP = 12345, 23456, 34567
WROTE = 1_000_000_000.0
T = TypeVar("T")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users")


@pytest.fixture
def location() -> Iterator[CacheLocation]:
    """A cache of the generator's user, in a directory that others reach; last written long ago."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        location = make_dozen(Path(name)).write()
        for path in (location.audio_roots[0], *location.audio_roots[0].rglob("*")):
            os.chown(path, GENERATOR, GROUP)
            path.chmod(0o2770 if path.is_dir() else 0o660)
        for path in location.path.iterdir():
            os.utime(path, (WROTE, WROTE))
        yield location


def as_service(action: Callable[[], T]) -> T:
    """What an action returns as the service's user, in a process of its own."""
    receiver, sender = os.pipe()
    if os.fork() == 0:
        try:
            os.setgroups([])
            os.setgid(GROUP)
            os.setuid(SERVICE)
            os.umask(0o002)
            os.write(sender, pickle.dumps(action()))
        finally:
            os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        content = pipe.read()
    os.wait()
    assert content, "the action failed"
    result: T = pickle.loads(content)
    return result


def run(location: CacheLocation, writer: WriterSettings) -> RunReport:
    return run_maintenance(target_of(location, writer), RunRequest(time.time(), "one"), time.time)


def target_of(location: CacheLocation, writer: WriterSettings) -> Target:
    return Target(CacheSettings(location, DROP, writer), location.state_directory / "audit.jsonl")


def test_what_we_wrote_in_place_is_not_taken_for_the_generators(location: CacheLocation) -> None:
    """A run retires, and drops rows at once: the index was quiet but for us."""
    commands = WriterSettings(started_file=location.path / "started", stop=("true",), start=("true",))
    result, error = as_service(lambda: _brief(run(location, commands)))
    assert (result, error) == ("success", None)
    assert len(read_items(location.path)) == 8


def test_the_generators_last_write_is_remembered_over_several_of_ours(location: CacheLocation) -> None:
    """Until it writes again."""
    writer = WriterSettings(started_file=location.path / "started")
    assert as_service(lambda: _brief(run(location, writer))) == ("success", None)
    array = location.path / "clap_text.npy"
    assert array.stat().st_mtime != WROTE
    assert last_index_change(location.path) == WROTE
    as_service(lambda: restore(location, writer))
    assert last_index_change(location.path) == WROTE
    os.utime(array, (WROTE + 60, WROTE + 60))
    assert last_index_change(location.path) == WROTE + 60


def test_what_was_retired_comes_back_in_place(location: CacheLocation) -> None:
    """Each vector as it was."""
    before = read_items(location.path)
    writer = WriterSettings(started_file=location.path / "started")
    as_service(lambda: _brief(run(location, writer)))
    assert read_items(location.path) != before
    assert as_service(lambda: restore(location, writer)) == []
    assert read_items(location.path) == before


def restore(location: CacheLocation, writer: WriterSettings) -> list[str]:
    """Bring the run back; the problems of its items."""
    back = restore_from_trash(target_of(location, writer), RunRequest(time.time(), "two"), "one", (), time.time)
    return [problem for _, problem in back.problems]


def _brief(report: RunReport) -> tuple[str, str | None]:
    return report.result.value, str(report.error) if report.error is not None else None
