"""Rules of writing the audit log: what is said is on the disk, whole and chained, or an error says that it isn't."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from audit_logs import CONTEXT, ITEM, REASON, open_log, records_of, write_log

from audio_cache_daemon.errors import AuditError
from audio_cache_daemon.reporting.audit_reader import verify_chain
from audio_cache_daemon.reporting.audit_record import AuditItem, AuditReason, hash_line


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """The kernel refuses to let any file grow beyond `size`, after writing what fits: a disk that fills up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "exhibit.jsonl"


def test_a_record_has_its_context_and_what_it_is_about(path: Path) -> None:
    """A record says when, in which run, by whom, under which configuration, and what goes and why."""
    with open_log(path) as base:
        log = base.bound(CONTEXT)
        log.append("retired", rule="stale", reason=REASON, item=ITEM)
        log.flush()
    assert json.loads(path.read_bytes()) == {
        "time": "2023-11-14T22:13:20.250000Z",
        "seq": 1,
        "previous": "",
        "event": "retired",
        "run": "run-1",
        "cache": "exhibit",
        "trigger": "schedule",
        "actor": "daemon",
        "mode": "enforce",
        "config": "c0ffee",
        "rule": "stale",
        "reason": {"criterion": "max_age", "value": 2_600_000.0, "threshold": 2_592_000.0},
        "item": {
            "id": "ab12",
            "row": 7,
            "path": "/audio/soft_rain_1700000000000.mp3",
            "prompt": "soft rain",
            "timestamp": 1.7e9,
            "quality": 0.4,
            "bytes": 576_000,
        },
    }


def test_each_line_holds_the_hash_of_the_one_before(path: Path) -> None:
    """`previous` is the SHA-256 of the line before without its newline, across openings, and `head` is the last."""
    write_log(path, 2)
    write_log(path, 1)
    first, second, third = path.read_bytes().splitlines()
    assert [record.previous for record in records_of(path)] == ["", hash_line(first), hash_line(second)]
    with open_log(path) as log:
        assert log.head == (3, hash_line(third))


def test_what_is_not_flushed_was_never_said(path: Path) -> None:
    """A record announces something only once `flush` returned; closing drops the others."""
    with open_log(path) as log:
        log.append("retired", item=ITEM)
    assert records_of(path) == []


def test_the_log_is_not_for_everybody(path: Path) -> None:
    """Prompts are people's words: others can't read the file, nor list the directory made for it."""
    write_log(path, 1)
    assert path.stat().st_mode & 0o7137 == 0
    assert path.parent.stat().st_mode & 0o007 == 0


def test_numbers_that_are_none_become_null(path: Path) -> None:
    """NaN and infinity have no JSON; the record is written all the same."""
    with open_log(path) as log:
        log.append("retired", reason=AuditReason("max_age", float("nan"), float("inf")), item=AuditItem(row=1))
        log.flush()
    (record,) = records_of(path)
    assert record.reason == AuditReason("max_age", None, None)


def test_a_path_that_is_no_utf8_is_recorded_visibly(path: Path) -> None:
    """A file name's foreign bytes are spelled out; they don't stop the log."""
    with open_log(path) as log:
        log.append("retired", item=AuditItem(path="/audio/caf\udce9_1.mp3"))
        log.flush()
    (record,) = records_of(path)
    assert record.item == AuditItem(path=r"/audio/caf\udce9_1.mp3")


def test_prompts_omitted_leave_no_word_of_them(path: Path) -> None:
    """`prompts: omit` leaves out prompts, file names made from them, matched text and errors that repeat them."""
    with open_log(path, prompts="omit") as log:
        reason = AuditReason("pattern", "soft rain", r"\brain\b")
        log.append("retired", rule="tests", reason=reason, item=ITEM)
        log.append("failed", item=ITEM, error=str(PermissionError(13, "Permission denied", ITEM.path)))
        log.append("failed", item=ITEM, error="trash/soft_rain_1700000000000.mp3.7: Input/output error")
        log.flush()
    assert b"soft" not in path.read_bytes()
    retired, denied, broken = records_of(path)
    assert retired.reason == AuditReason("pattern", None, r"\brain\b")
    assert retired.item == AuditItem("ab12", 7, None, None, 1.7e9, 0.4, 576_000)
    assert denied.error == "[Errno 13] Permission denied: '(omitted)'"
    assert broken.error == "trash/(omitted).mp3.7: Input/output error"


def test_a_measured_number_stays_when_prompts_are_omitted(path: Path) -> None:
    """Only a pattern's measured value is somebody's words."""
    with open_log(path, prompts="omit") as log:
        log.append("retired", reason=REASON)
        log.flush()
    assert records_of(path)[0].reason == REASON


def test_a_torn_last_line_is_moved_aside_and_recorded(path: Path) -> None:
    """What a crash left of a line is kept beside the log, and the chain goes on from the last whole line."""
    write_log(path, 2)
    with path.open("ab") as stream:
        stream.write(b'{"time":"2023-')
    write_log(path, 1)
    assert path.with_name("exhibit.jsonl.torn-3").read_bytes() == b'{"time":"2023-'
    assert [record.event for record in records_of(path)] == ["retired", "retired", "audit_repaired", "retired"]
    assert records_of(path)[2].detail == {"file": "exhibit.jsonl.torn-3", "bytes": 14}
    assert verify_chain([path]) == []


def test_lines_that_a_power_cut_left_unreadable_are_moved_aside(path: Path) -> None:
    """Blocks of zeros and lines of rubbish after the last record are treated as a torn line."""
    write_log(path, 2)
    rubbish = b"rubbish\n" + bytes(200_000)
    with path.open("ab") as stream:
        stream.write(rubbish)
    write_log(path, 1)
    assert path.with_name("exhibit.jsonl.torn-3").read_bytes() == rubbish
    assert verify_chain([path]) == []


def test_a_log_torn_at_its_first_record_begins_anew(path: Path) -> None:
    """A crash in the very first write leaves a fragment, and it doesn't keep the log from beginning."""
    path.parent.mkdir()
    path.write_bytes(b'{"time"')
    write_log(path, 1)
    assert [record.event for record in records_of(path)] == ["audit_repaired", "retired"]
    assert verify_chain([path]) == []


def test_a_file_that_is_no_log_is_left_alone(path: Path) -> None:
    """A path that names some other file is an error, and the file keeps its content."""
    path.parent.mkdir()
    path.write_bytes(b"precious\ndata\n")
    with pytest.raises(AuditError, match="not an audit log"):
        open_log(path)
    assert path.read_bytes() == b"precious\ndata\n"


def test_an_open_log_recovers_once_a_foreign_file_is_gone(path: Path) -> None:
    """A file that takes the log's place is refused, and left alone, until it is moved away; nothing is restarted."""
    with open_log(path) as log:
        log.append("run_started")
        log.flush()
        path.rename(path.with_name("exhibit.jsonl.1"))
        path.write_bytes(b"precious\n")
        for _ in range(2):
            with pytest.raises(AuditError, match="not an audit log"):
                log.flush()
        assert path.read_bytes() == b"precious\n"
        path.unlink()
        log.append("run_finished")
        log.flush()
    assert [record.event for record in records_of(path)] == ["run_started", "log_rotated", "run_finished"]


def test_a_symbolic_link_is_not_followed(path: Path) -> None:
    """Who can place a link in the log's directory can't direct the log elsewhere."""
    path.parent.mkdir()
    path.symlink_to(path.parent / "elsewhere")
    with pytest.raises(AuditError, match="symbolic link"):
        open_log(path)
    assert not (path.parent / "elsewhere").exists()


def test_a_device_is_no_log(tmp_path: Path) -> None:
    """Records sent to a device would not be there later."""
    with pytest.raises(AuditError, match="no regular file"):
        open_log(Path("/dev/full"))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_an_error_with_advice(tmp_path: Path) -> None:
    """The message says which file, why, and what to do."""
    (tmp_path / "file").touch()
    with pytest.raises(AuditError, match=r"file/log/exhibit\.jsonl can't be written .*another audit\.dir"):
        open_log(tmp_path / "file" / "log" / "exhibit.jsonl")


def test_a_full_disk_leaves_no_half_record(path: Path) -> None:
    """A batch that doesn't fit is an error, and the log stays as it was before, to the byte."""
    write_log(path, 3)
    before = path.read_bytes()
    with open_log(path) as log:
        log.append("retired", item=ITEM)
        log.append("retired", item=ITEM)
        with file_size_limit(len(before) + 400), pytest.raises(AuditError, match="nothing may be removed"):
            log.flush()
        assert path.read_bytes() == before


def test_records_lost_to_a_full_disk_are_counted_once_it_has_room(path: Path) -> None:
    """A failed flush drops what it announced; the next one that works says how many records that were."""
    write_log(path, 3)
    with open_log(path) as log:
        for _ in range(2):
            log.append("retired", item=ITEM)
            with file_size_limit(path.stat().st_size + 10), pytest.raises(AuditError):
                log.flush()
        log.append("refused")
        log.flush()
    last = records_of(path)[3:]
    assert [(record.event, record.detail) for record in last] == [("records_lost", {"count": 2}), ("refused", None)]
    assert verify_chain([path]) == []
