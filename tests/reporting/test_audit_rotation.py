"""Rules of an audit log that spans files and processes: whoever renames or appends, the chain goes on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from audit_logs import ITEM, kinds, open_log, records_of, write_log

from audio_cache_daemon.reporting.audit_reader import verify_chain
from audio_cache_daemon.reporting.audit_record import AuditItem, log_files
from tools import needs


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "exhibit.jsonl"


def test_a_full_file_is_rotated_between_batches(path: Path) -> None:
    """Above the size limit a new file begins; numbers and hashes go on, and no record is lost."""
    with open_log(path, max_bytes=1000) as log:
        for row in range(20):
            log.append("retired", item=AuditItem(row=row))
            log.flush()
    files = log_files(path)
    assert len(files) > 2
    assert files[0].name == "exhibit-000000000001.jsonl"
    assert verify_chain(files, log.head) == []
    records = records_of(path)
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert [record.item.row for record in records if record.item] == list(range(20))
    assert sum(record.event == "log_rotated" for record in records) == len(files) - 1


def test_a_rotated_file_never_replaces_another(path: Path) -> None:
    """A log that began anew gets another name for its file than the old one's."""
    write_log(path, 3)
    taken = path.with_name("exhibit-000000000001.jsonl")
    taken.write_bytes(b"an older log\n")
    with open_log(path, max_bytes=500) as log:
        log.append("refused")
        log.flush()
    assert taken.read_bytes() == b"an older log\n"
    assert [file.name for file in log_files(path)] == ["exhibit-000000000001-2.jsonl", "exhibit.jsonl"]


def test_a_rename_by_logrotate_loses_nothing(path: Path) -> None:
    """A log renamed under an open one is noticed before the next write: the new file goes on from the old."""
    with open_log(path) as log:
        log.append("run_started")
        log.flush()
        path.rename(path.with_name("exhibit.jsonl.1"))
        path.touch()  # logrotate's `create`
        log.append("run_finished")
        log.flush()
    assert [record.event for record in records_of(path)] == ["run_started", "log_rotated", "run_finished"]
    assert verify_chain(log_files(path), log.head) == []


def test_a_log_rotated_between_two_processes_goes_on(path: Path) -> None:
    """A process that finds no file continues from the newest one that was rotated away."""
    write_log(path, 2)
    path.rename(path.with_name("exhibit.jsonl-20240101"))
    write_log(path, 1)
    assert [record.seq for record in records_of(path)] == [1, 2, 3, 4]
    assert verify_chain(log_files(path)) == []


def test_two_processes_in_turn_write_one_chain(path: Path) -> None:
    """A log that stays open, as the daemon's does, takes in what a command wrote meanwhile."""
    with open_log(path) as daemon:
        daemon.append("run_started")
        daemon.flush()
        write_log(path, 2)
        daemon.append("run_finished")
        daemon.flush()
        write_log(path, 1)
        path.rename(path.with_name("exhibit.jsonl.1"))
        daemon.append("config_loaded")
        daemon.flush()
    assert verify_chain(log_files(path), daemon.head) == []
    assert daemon.head.seq == 7


def test_lines_cut_from_an_open_log_leave_a_gap(path: Path) -> None:
    """A log that got shorter under an open one isn't taken for the truth: the chain goes on from what was written."""
    with open_log(path) as log:
        for _ in range(3):
            log.append("retired", item=ITEM)
        log.flush()
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:2]))
        log.append("run_finished")
        log.flush()
    assert kinds(verify_chain([path])) == [(3, "missing")]


def test_a_copy_and_truncation_is_survived(path: Path) -> None:
    """`copytruncate` empties the open file; the chain goes on, and the copy is read as the file before."""
    with open_log(path) as log:
        log.append("run_started")
        log.flush()
        path.with_name("exhibit.jsonl.1").write_bytes(path.read_bytes())
        path.write_bytes(b"")
        log.append("run_finished")
        log.flush()
    assert verify_chain(log_files(path), log.head) == []


def test_logs_of_caches_with_similar_names_are_kept_apart(path: Path) -> None:
    """Files of a cache named `exhibit-2`, or side files, are not taken for rotated files of `exhibit`."""
    write_log(path, 1)
    write_log(path.with_name("exhibit-2.jsonl"), 1)
    path.with_name("exhibit.jsonl.torn-9").write_bytes(path.read_bytes())
    assert log_files(path) == [path]


def test_logrotate_finds_what_we_rotated_too(path: Path, tmp_path: Path) -> None:
    """One pattern names the current file and our full ones: each is renamed, dated and compressed, and all are read."""
    logrotate = needs("logrotate", "logrotate")
    rules = tmp_path / "rules"
    for naming in ("", "dateext", "dateext dateformat -%Y%m%d-%s"):
        with open_log(path, max_bytes=100) as log:
            log.append("run_started")
            log.flush()
            log.append("run_finished")
            log.flush()
        rules.write_text(f"{tmp_path}/*.jsonl {{\n rotate 9\n compress\n {naming}\n}}\n")
        rules.chmod(0o644)
        subprocess.run([logrotate, "--force", "--state", tmp_path / "state", rules], check=True)
        assert not list(tmp_path.glob("*.jsonl"))
    write_log(path, 1)
    assert len(log_files(path)) > 3 * 2
    assert verify_chain(log_files(path)) == []
    runs = [record.event for record in records_of(path) if record.event.startswith("run")]
    assert runs == ["run_started", "run_finished"] * 3
