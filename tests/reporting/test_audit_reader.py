"""Rules of reading the audit log: what was asked for comes in order, and no fault of the chain is overlooked."""

from __future__ import annotations

from pathlib import Path

import pytest
from audit_logs import CONTEXT, ITEM, START, kinds, open_log, records_of, write_log

from audio_cache_daemon.errors import AuditError
from audio_cache_daemon.model import Problem
from audio_cache_daemon.reporting.audit_reader import RecordFilter, read_records, verify_chain
from audio_cache_daemon.reporting.audit_record import Head, Record, hash_line, log_files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of six records."""
    path = tmp_path / "exhibit.jsonl"
    write_log(path, 6)
    return path


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_a_sound_log_has_no_faults(path: Path) -> None:
    """Also where the published head is that of an earlier record: the log may be ahead of it."""
    lines = lines_of(path)
    assert verify_chain([path]) == []
    assert verify_chain([path], Head(4, hash_line(lines[3].rstrip()))) == []


def test_an_edited_record_is_found(path: Path) -> None:
    """A record that says something else than when the next was written is named, once."""
    lines = lines_of(path)
    lines[2] = lines[2].replace(b"stale", b"older")
    path.write_bytes(b"".join(lines))
    assert kinds(verify_chain([path])) == [(3, "edited")]


def test_an_edited_last_record_is_found_by_the_head(path: Path) -> None:
    """Nothing follows the last line; only the published head tells what it was."""
    lines = lines_of(path)
    head = Head(6, hash_line(lines[5].rstrip()))
    lines[5] = lines[5].replace(b"stale", b"older")
    path.write_bytes(b"".join(lines))
    assert verify_chain([path]) == []
    assert kinds(verify_chain([path], head)) == [(6, "edited")]


def test_a_missing_record_is_found(path: Path) -> None:
    """The message says which records were there."""
    lines = lines_of(path)
    path.write_bytes(b"".join(lines[:1] + lines[3:]))
    (fault,) = verify_chain([path])
    assert (fault.line, fault.kind, fault.message) == (2, "missing", "records 2 to 3 are missing before this line")


def test_a_log_that_begins_in_the_middle_of_a_file_is_found(path: Path) -> None:
    """Lines may go with a whole file that was rotated away, not from the front of one."""
    path.write_bytes(b"".join(lines_of(path)[2:]))
    assert kinds(verify_chain([path])) == [(1, "missing")]


def test_records_in_another_order_are_found(path: Path) -> None:
    """The one that was moved is named, and its gap; what follows is sound."""
    lines = lines_of(path)
    path.write_bytes(b"".join([*lines[:2], lines[3], lines[2], *lines[4:]]))
    assert kinds(verify_chain([path])) == [(3, "missing"), (4, "reordered")]


def test_a_repeated_record_is_found(path: Path) -> None:
    """A line that stands there twice is out of place the second time."""
    lines = lines_of(path)
    path.write_bytes(b"".join([*lines[:3], *lines[2:]]))
    assert kinds(verify_chain([path])) == [(4, "reordered")]


def test_a_wrong_number_is_found(path: Path) -> None:
    """A record that follows by its hash but not by its number is named, and nothing else."""
    lines = lines_of(path)
    lines[2] = lines[2].replace(b'"seq":3', b'"seq":30')
    path.write_bytes(b"".join(lines))
    assert kinds(verify_chain([path])) == [(3, "wrong_seq")]


def test_a_line_that_is_no_record_is_found(path: Path) -> None:
    """It is reported once, though the record after it isn't chained to it either."""
    lines = lines_of(path)
    lines[2] = b"\x00\xff\n"
    path.write_bytes(b"".join(lines))
    assert kinds(verify_chain([path])) == [(3, "unreadable")]


def test_a_torn_tail_is_found(path: Path) -> None:
    """A last line without its newline was not written to its end."""
    path.write_bytes(path.read_bytes()[:-1])
    assert kinds(verify_chain([path])) == [(6, "torn_tail")]


def test_a_cut_tail_is_found_by_the_head(path: Path) -> None:
    """A log without its last lines is sound in itself; the published head tells that there were more."""
    lines = lines_of(path)
    head = Head(6, hash_line(lines[5].rstrip()))
    path.write_bytes(b"".join(lines[:4]))
    assert verify_chain([path]) == []
    assert kinds(verify_chain([path], head)) == [(4, "cut_tail")]
    path.unlink()
    assert kinds(verify_chain(log_files(path), head)) == [(0, "cut_tail")]


def test_a_log_that_was_removed_and_began_anew_is_found(path: Path) -> None:
    """A chain that begins at 1 behind another is no continuation."""
    old = path.with_name("old.jsonl")
    path.rename(old)
    write_log(path, 2)
    (fault,) = verify_chain([old, path])
    assert (fault.file, fault.line, fault.kind) == (path, 1, "restarted")


def test_old_files_may_be_deleted(path: Path) -> None:
    """A log whose first files were dropped on purpose begins with a `log_rotated` record and is sound."""
    path.rename(path.with_name("exhibit.jsonl.1"))
    write_log(path, 2)
    path.with_name("exhibit.jsonl.1").unlink()
    assert verify_chain(log_files(path)) == []
    assert [record.seq for record in records_of(path)] == [7, 8, 9]


def test_a_missing_rotated_file_is_found(path: Path) -> None:
    """A file that goes from the middle of a log leaves a gap."""
    for name in ("exhibit.jsonl.2", "exhibit.jsonl.1"):
        path.rename(path.with_name(name))
        write_log(path, 1)
    path.with_name("exhibit.jsonl.1").unlink()
    (fault,) = verify_chain(log_files(path))
    assert (fault.file, fault.line, fault.kind) == (path, 1, "missing")


def test_a_bad_line_is_a_problem_and_reading_goes_on(path: Path) -> None:
    """Whatever is asked for, a line that can't be read is said, with its place."""
    lines = lines_of(path)
    lines[1] = b'{"seq": "two"}\n'
    path.write_bytes(b"".join(lines))
    found = list(read_records([path], RecordFilter(event="retired")))
    (problem,) = [entry for entry in found if isinstance(entry, Problem)]
    assert (problem.kind, problem.where) == ("unreadable_line", f"{path}:2")
    assert [entry.seq for entry in found if isinstance(entry, Record)] == [1, 3, 4, 5, 6]


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A log of a run of four records, at START and the seconds after it, and a record without a run."""
    path = tmp_path / "events.jsonl"
    with open_log(path) as base:
        log = base.bound(CONTEXT)
        log.append("run_started")
        log.append("retired", rule="stale", item=ITEM)
        log.append("failed", rule="tests", error="no")
        log.append("run_finished")
        log.flush()
        base.append("config_loaded")
        base.flush()
    return path


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (RecordFilter(), [1, 2, 3, 4, 5]),
        (RecordFilter(run="run-1"), [1, 2, 3, 4]),
        (RecordFilter(rule="stale"), [2]),
        (RecordFilter(event="failed"), [3]),
        (RecordFilter(item="ab12"), [2]),
        (RecordFilter(item="/audio/soft_rain_1700000000000.mp3"), [2]),
        (RecordFilter(item="soft_rain_1700000000000.mp3"), [2]),
        (RecordFilter(item="soft rain"), [2]),
        (RecordFilter(item="rain"), []),
        (RecordFilter(since=START + 1), [2, 3, 4, 5]),
        (RecordFilter(until=START + 1), [1, 2]),
        (RecordFilter(since=START + 0.5, until=START + 1.5), [2]),
        (RecordFilter(run="run-1", rule="tests", event="retired"), []),
    ],
)
def test_records_are_read_by_what_is_asked_for(events: Path, wanted: RecordFilter, numbers: list[int]) -> None:
    """All conditions that are given must hold; both ends of a time range are included."""
    found = read_records([events], wanted)
    assert [record.seq for record in found if isinstance(record, Record)] == numbers


def test_a_log_that_was_never_written_has_no_records(tmp_path: Path) -> None:
    """No directory or no file is no error to a reader."""
    assert log_files(tmp_path / "none" / "exhibit.jsonl") == []
    assert log_files(tmp_path / "exhibit.jsonl") == []


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """It would be wrong to report the rest as the log."""
    with pytest.raises(AuditError, match="can't be read: Is a directory"):
        verify_chain([tmp_path])
