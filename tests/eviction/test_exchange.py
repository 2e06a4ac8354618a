"""Two files exchanged on file systems that can do less than ext4."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from faults_calls import HeldThread

from audio_cache_daemon.eviction.exchange import exchange


def make_files(directory: Path) -> tuple[Path, Path]:
    ours, theirs = directory / "ours", directory / "theirs"
    ours.write_text("ours")
    theirs.write_text("theirs")
    return ours, theirs


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_without_an_exchange_in_one_step_files_change_names_all_the_same(tmp_path: Path) -> None:
    ours, theirs = make_files(tmp_path)
    with HeldThread(tmp_path) as thread:
        thread.run(lambda: exchange(ours, theirs), lambda call: errno.EINVAL if call.name == "renameat2" else 0)
    assert contents(tmp_path) == {"ours": "theirs", "theirs": "ours"}


def test_a_file_system_that_knows_no_second_names_either_is_told_of(tmp_path: Path) -> None:
    """ExFAT, for one. Nothing was done."""
    ours, theirs = make_files(tmp_path)
    cant = {"renameat2": errno.EINVAL, "linkat": errno.EPERM, "link": errno.EPERM}
    with HeldThread(tmp_path) as thread, pytest.raises(OSError, match="nor give one a second name"):
        thread.run(lambda: exchange(ours, theirs), lambda call: cant.get(call.name, 0))
    assert contents(tmp_path) == {"ours": "ours", "theirs": "theirs"}
