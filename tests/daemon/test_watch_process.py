"""What needs a process of its own: a queue that overflows, another user, and a kernel that gives no more watches."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from watch_child import Child, Report, running

from audio_cache_daemon.location import CacheLocation
from builders import CacheBuilder
from tools import in_namespaces

NOBODY = 65534
QUEUE = 16_384
"""Events that the kernel holds for a watcher, if nobody changed that."""


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users reach: pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
def location(open_directory: Path) -> CacheLocation:
    builder = CacheBuilder(open_directory)
    builder.add()
    (builder.output / "2033").mkdir()
    return builder.write()


@pytest.fixture
def root(location: CacheLocation) -> Path:
    return location.audio_roots[0]


def queue_length() -> int:
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


def overflow(child: Child, directory: Path, count: int, files: int = 0) -> Report:
    """Let the queue of the watching process overflow, for the `count`th time; how the watch is then.

    Once more where that failed: after an overflow the library makes its watches anew for a while, and what happens in
    a directory that has none just then doesn't come into the queue.
    """
    for _ in range(4):
        child.ask("hear", directory)
        fill_queue(child, directory, files)
        report = child.ask("overflow", count)
        if report.overflows >= count:
            return report
    raise AssertionError(f"the queue didn't overflow for time {count}")


def fill_queue(child: Child, directory: Path, files: int) -> None:
    """Stop the watching process, make more events than its queue holds, and let it go on."""
    os.kill(child.pid, signal.SIGSTOP)
    # It stops some time later, and takes events out of the queue till then.
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    for number in range(files):
        make_file(directory / f"{number:05}.wav")
    for _ in range(QUEUE // 3 + 100):
        make_file(directory / "again.wav")
        (directory / "again.wav").unlink()
    os.kill(child.pid, signal.SIGCONT)


def make_file(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


@pytest.mark.slow
@pytest.mark.skipif(queue_length() > QUEUE, reason="the kernel's queue is too long to be filled in a test")
def test_after_an_overflow_everything_is_looked_at(location: CacheLocation, root: Path) -> None:
    """A burst of 20,000 files while the process stood still: it is counted once, and the watch goes on."""
    with running(location) as child:
        assert child.read().mode == "events"
        report = overflow(child, root / "2033", 1, files=20_000)
        assert report.everything
        assert report.overflows == 1
        assert child.ask("check", 5).mode == "events"
        assert child.ask("hear", root / "2033").overflows == 1


@pytest.mark.slow
@pytest.mark.skipif(queue_length() > QUEUE, reason="the kernel's queue is too long to be filled in a test")
def test_overflows_again_and_again_stop_the_watch_for_a_while(location: CacheLocation, root: Path) -> None:
    """Three in a minute; ten minutes later it is tried again, and what happened since is looked for everywhere."""
    with running(location) as child:
        child.read()
        child.ask("stop", "clock")
        for number in range(3):
            assert child.ask("check", 5).is_up
            overflow(child, root / "2033", number + 1)
        report = child.ask("check", 5)
        assert report.mode == "periodic"
        assert report.reason == "more changes at once than the kernel's queue of events holds, again and again"
        assert child.ask("check", 590).mode == "periodic"
        report = child.ask("check", 15)
        assert report.mode == "events"
        assert report.everything
        assert child.ask("hear", root / "2033").is_up


@pytest.mark.slow
@pytest.mark.skipif(queue_length() > QUEUE, reason="the kernel's queue is too long to be filled in a test")
def test_overflows_now_and_then_dont_stop_the_watch(location: CacheLocation, root: Path) -> None:
    """Each is mended by a look at everything."""
    with running(location) as child:
        child.read()
        for number in range(3):
            overflow(child, root / "2033", number + 1)
            assert child.ask("check", 40).is_up


def test_a_root_that_cant_be_read_is_told_of(location: CacheLocation, root: Path) -> None:
    """The library raises nothing, and hears nothing; once it can be read, it is watched."""
    location.path.chmod(0o755)
    root.chmod(0o311)
    with running(location, uid=NOBODY if os.geteuid() == 0 else -1) as child:
        report = child.read()
        assert report.mode == "periodic"
        assert report.reason == f"{root} can't be watched: Permission denied"
        assert child.ask("check", 100).mode == "periodic"
        root.chmod(0o777)
        report = child.ask("check", 600)
        assert report.mode == "events"
        assert report.everything
        assert child.ask("hear", root).is_up


def test_a_directory_below_that_cant_be_read_is_passed_over(location: CacheLocation, root: Path) -> None:
    """Such as lost+found. The scan tells of it; the rest is watched."""
    (root / "lost+found").mkdir(mode=0o700)
    (root / "2033" / "closed").mkdir(mode=0o700)
    root.chmod(0o777)
    if os.geteuid() != 0:
        (root / "lost+found").chmod(0)
        (root / "2033" / "closed").chmod(0)
    with running(location, uid=NOBODY if os.geteuid() == 0 else -1) as child:
        report = child.read()
        assert (report.mode, report.reason) == ("events", None)
        assert child.ask("check", 5).is_up
        assert child.ask("hear", root).is_up


@pytest.mark.parametrize("watches", [0, 1, 3])
def test_a_kernel_that_gives_too_few_watches_is_told_of(location: CacheLocation, root: Path, watches: int) -> None:
    """The library ignores it below a root; half a watch would be worse than none: nobody would know which half.

    A user namespace has limits of its own.
    """
    for number in range(5):
        (root / "2033" / str(number)).mkdir()
    with running(location, *in_namespaces(), max_watches=watches) as child:
        report = child.read()
        assert report.mode == "periodic"
        assert not report.is_up
        assert report.reason is not None
        assert "the kernel gives" in report.reason
        assert child.ask("check", 5).mode == "periodic"
