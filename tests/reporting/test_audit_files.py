"""The files of an audit log: who may go on with them, and that compressed ones are read."""

from __future__ import annotations

import gzip
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from audit_logs import open_log, records_of, write_log

from audio_cache_daemon.errors import AuditError
from audio_cache_daemon.location import STATE_DIRECTORY
from audio_cache_daemon.reporting.audit_reader import verify_chain
from audio_cache_daemon.reporting.audit_record import AuditItem, log_files

SERVICE, GROUP = 12345, 34567


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Path]:
    """A log beside the state of a cache that a group shares; our umask would close it."""
    old = os.umask(0o077)
    directory = tmp_path / STATE_DIRECTORY
    directory.mkdir()
    directory.chmod(0o2770)
    yield directory / "audit.jsonl"
    os.umask(old)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_log_beside_the_cache_is_open_to_whom_the_cache_is(beside: Path) -> None:
    """Another user of the shared group can run, and needs to append; the files that rotation makes are alike."""
    with open_log(beside, max_bytes=500) as log:
        for row in range(5):
            log.append("retired", item=AuditItem(row=row))
            log.flush()
    files = log_files(beside)
    assert len(files) > 1
    assert [mode(file) for file in files] == [0o660] * len(files)


def test_a_torn_piece_is_as_open_as_its_log(beside: Path) -> None:
    """The next one to tear it may be somebody else."""
    write_log(beside, 2)
    with beside.open("ab") as file:
        file.write(b'{"torn')
    write_log(beside, 1)
    (piece,) = beside.parent.glob("*torn*")
    assert mode(piece) == 0o660


def test_a_log_that_a_kill_left_closed_is_opened(beside: Path) -> None:
    """A process can end between making the file and giving it its mode."""
    beside.touch(mode=0o600)
    write_log(beside, 1)
    assert mode(beside) == 0o660


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users")
def test_a_log_that_root_made_beside_the_cache_is_the_services(beside: Path) -> None:
    """Also where the mode alone would do."""
    os.chown(beside.parent, SERVICE, GROUP)
    beside.parent.chmod(0o700)
    write_log(beside, 1)
    status = beside.stat()
    assert (status.st_uid, status.st_gid, mode(beside)) == (SERVICE, GROUP, 0o600)


def test_a_log_in_a_directory_of_its_own_is_closed_to_others(tmp_path: Path) -> None:
    """Prompts are people's words: what an operator configured as the place for logs needs no more than its group."""
    old = os.umask(0)
    (tmp_path / "log").mkdir(mode=0o777)
    write_log(tmp_path / "log" / "exhibit.jsonl", 1)
    os.umask(old)
    assert mode(tmp_path / "log" / "exhibit.jsonl") == 0o640


def rotate(path: Path, name: str) -> Path:
    """What logrotate does with `compress`."""
    target = path.with_name(name + ".gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return target


@pytest.mark.parametrize("name", ["audit.jsonl.1", "audit.jsonl-20261123", "audit-000000000001.jsonl"])
def test_compressed_files_are_read_and_the_chain_goes_on_from_them(tmp_path: Path, name: str) -> None:
    """Of logrotate's names and of our own; nothing is missing, and a new log knows where the old one ended."""
    path = tmp_path / "audit.jsonl"
    write_log(path, 3)
    compressed = rotate(path, name)
    write_log(path, 2)
    assert log_files(path) == [compressed, path]
    assert [record.event for record in records_of(path)] == ["retired"] * 3 + ["log_rotated"] + ["retired"] * 2
    assert verify_chain(log_files(path)) == []


def test_a_file_that_is_being_compressed_counts_once(tmp_path: Path) -> None:
    """Both are there for a moment."""
    path = tmp_path / "audit.jsonl"
    write_log(path, 3)
    content = path.read_bytes()
    rotate(path, "audit.jsonl.1").with_suffix("").write_bytes(content)
    write_log(path, 1)
    assert [file.name for file in log_files(path)] == ["audit.jsonl.1", "audit.jsonl"]
    assert verify_chain(log_files(path)) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"\x1f\x8b", b"no gzip at all", gzip.compress(b"x" * 999)[:-9], b"\x1f\x8b" * 9],
    # gzip writes the time into its bytes, and workers must agree on the names.
    ids=["empty", "cut in the header", "none", "cut in the data", "nonsense"],
)
def test_a_compressed_file_that_is_broken_is_said(tmp_path: Path, content: bytes) -> None:
    """It is an error of the log, with the file's name; an empty one has no record and no place."""
    path = tmp_path / "audit.jsonl"
    write_log(path, 1)
    broken = path.with_name("audit.jsonl.1.gz")
    broken.write_bytes(content)
    if not content:
        assert log_files(path) == [path]
        return
    with pytest.raises(AuditError, match=r"audit\.jsonl\.1\.gz is no whole gzip file"):
        log_files(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users")
def test_a_log_that_root_began_by_hand_is_the_services(tmp_path: Path) -> None:
    """It goes to whom its directory belongs, with the mode of any; one with records stays whose it is."""
    path = tmp_path / "exhibit.jsonl"
    os.chown(tmp_path, SERVICE, GROUP)
    write_log(path, 1)
    assert owner(path) == (SERVICE, GROUP, 0o640)
    os.chown(path, 0, 0)
    write_log(path, 1)
    assert owner(path) == (0, 0, 0o640)


def owner(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)
