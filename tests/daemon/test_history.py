"""How a cache fared: bounded, kept over restarts, and no reason to stop when it can't be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from audio_cache_daemon.daemon.chronicle import Chronicle
from audio_cache_daemon.daemon.history import History, PastRun, Point
from audio_cache_daemon.daemon.notes import load_history
from audio_cache_daemon.model import OutcomeCounts, RunReport, RunResult
from builders import CacheBuilder

REPORT = RunReport("test", "enforce", "run-1", RunResult.SUCCESS, outcome=OutcomeCounts(evicted=3, bytes_freed=300))


def with_points(times: list[float], history: History | None = None) -> History:
    history = history or History()
    for moment in times:
        history = history.with_point(Point(moment, 10, 1))
    return history


def past_run(time: float) -> PastRun:
    return PastRun("run-1", "schedule", time, "success", "")


def test_a_point_is_noted_each_ten_minutes_and_after_each_run() -> None:
    history = with_points([0.0, 1.0, 599.0, 600.0, 601.0])
    assert [point.time for point in history.points] == [0.0, 600.0]
    history = with_points([700.0, 701.0], history.with_run(past_run(650.0)))
    assert [point.time for point in history.points] == [0.0, 600.0, 700.0]


def test_what_was_noted_for_times_to_come_is_dropped() -> None:
    """The clock was set back."""
    assert [point.time for point in with_points([1e6, 2e6, 5e5]).points] == [5e5]


def test_it_stays_bounded_and_reaches_far_back() -> None:
    """Finest at the end, and ever coarser before; and not more runs than anybody looks at."""
    history = with_points([600.0 * number for number in range(20_000)])
    for number in range(200):
        history = history.with_run(past_run(float(number)))
    times = [point.time for point in history.points]
    assert len(times) <= 400
    assert times[0] == 0.0
    assert times[-1] - times[-150] == 149 * 600
    assert times == sorted(times)
    assert (len(history.runs), history.runs[-1].time) == (60, 199.0)


def test_it_survives_a_restart(tmp_path: Path) -> None:
    location = CacheBuilder(tmp_path).write()
    chronicle = Chronicle(location)
    chronicle.note_run(REPORT, "schedule", "evicted 3")
    (run,) = Chronicle(location).history.runs
    assert (run.trigger, run.result, run.words, run.evicted, run.bytes_freed) == (
        "schedule", "success", "evicted 3", 3, 300,
    )  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"{}x", b'{"version":2}', b'{"version":1,"points":[["a",1,1]]}', b"\xff"])
def test_one_that_can_not_be_read_is_complained_of_and_begun_anew(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    location = CacheBuilder(tmp_path).write()
    Chronicle(location).note_run(REPORT, "schedule", "evicted 3")
    (location.state_directory / "history.json").write_bytes(content)
    chronicle = Chronicle(location)
    assert "its history begins anew" in caplog.text
    assert chronicle.history == History()
    chronicle.note_run(REPORT, "schedule", "evicted 3")
    assert len(load_history(location).runs) == 1


def test_nothing_is_written_where_no_cache_is(tmp_path: Path) -> None:
    """Perhaps its volume isn't mounted."""
    location = CacheBuilder(tmp_path).location
    Chronicle(location).note_run(REPORT, "schedule", "evicted 3")
    assert list(location.path.iterdir()) == []


def test_one_that_can_not_be_written_is_complained_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    location = CacheBuilder(tmp_path).write()
    (location.state_directory / "history.json").mkdir(parents=True)
    chronicle = Chronicle(location)
    caplog.clear()
    for _ in range(3):
        chronicle.note_run(REPORT, "schedule", "evicted 3")
    assert caplog.text.count("can't be written") == 1
    assert len(chronicle.history.runs) == 3
