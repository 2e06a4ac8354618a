"""Our directories have the owner, group and mode of where they lie, whatever happened when they were made."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from faults_calls import HeldThread

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.directories import make_state_directory, open_state_directory
from audio_cache_daemon.location import STATE_DIRECTORY
from audio_cache_daemon.own_files import sync_directory

SERVICE, GROUP = 12345, 34567


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A directory that a group shares; our umask would close what we make."""
    old = os.umask(0o077)
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o2770)
    yield directory
    os.umask(old)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_directories_are_made_with_the_mode_of_their_parent(shared: Path) -> None:
    """Each of them, whatever the umask."""
    path = make_state_directory(shared, "trash", "run-1")
    assert path == shared / STATE_DIRECTORY / "trash" / "run-1"
    assert [mode(directory) for directory in (path, *path.parents[:2])] == [0o2770] * 3


def test_a_set_group_id_bit_that_may_not_be_set_is_inherited(shared: Path) -> None:
    """The sandbox of a unit with RestrictSUIDSGID= lets nobody set it; with the umask 0002 nobody has to."""
    os.umask(0o002)
    with HeldThread(shared) as thread:
        thread.run(
            lambda: make_state_directory(shared, "trash"), lambda call: errno.EPERM if call.name == "fchmod" else 0
        )
    assert [mode(shared / STATE_DIRECTORY / name) for name in ("", "trash")] == [0o2770] * 2


@pytest.mark.parametrize(("code", "fails"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_cant_sync_directories_is_taken_as_it_is(shared: Path, code: int, fails: bool) -> None:
    """Some network file systems can't (EINVAL), as /proc can't. What fails otherwise, fails."""
    with HeldThread(shared) as thread, pytest.raises(OSError, match="Input") if fails else nullcontext():
        thread.run(lambda: sync_directory(shared), lambda call: code if call.name == "fsync" else 0)


def test_a_directory_that_a_kill_left_closed_is_opened(shared: Path) -> None:
    """A process can end between making a directory and giving it its mode: the next one does that."""
    (shared / STATE_DIRECTORY).mkdir()
    assert mode(shared / STATE_DIRECTORY) & 0o077 == 0
    make_state_directory(shared)
    assert mode(shared / STATE_DIRECTORY) == 0o2770


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories to other users")
def test_what_root_left_half_made_goes_to_the_service(shared: Path) -> None:
    """With its owner and group, as it would have without the kill."""
    os.chown(shared, SERVICE, GROUP)
    shared.chmod(0o2770)
    (shared / STATE_DIRECTORY).mkdir()
    make_state_directory(shared)
    status = (shared / STATE_DIRECTORY).stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (SERVICE, GROUP, 0o2770)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories to other users")
def test_a_directory_of_somebody_else_is_left_as_it_is(shared: Path) -> None:
    """What a colleague made, a colleague may have closed on purpose."""
    directory = shared / STATE_DIRECTORY
    directory.mkdir()
    os.chown(directory, SERVICE, GROUP)
    directory.chmod(0o700)
    make_state_directory(shared)
    assert (directory.stat().st_uid, mode(directory)) == (SERVICE, 0o700)


def test_a_directory_that_is_more_open_than_its_parent_stays_so(shared: Path) -> None:
    """Nothing is taken away."""
    (shared / STATE_DIRECTORY).mkdir()
    (shared / STATE_DIRECTORY).chmod(0o2775)
    make_state_directory(shared)
    assert mode(shared / STATE_DIRECTORY) == 0o2775


@pytest.mark.parametrize("linked", [STATE_DIRECTORY, f"{STATE_DIRECTORY}/trash", f"{STATE_DIRECTORY}/trash/run-1"])
def test_no_link_is_taken_for_a_directory_of_ours(shared: Path, tmp_path: Path, linked: str) -> None:
    """Neither when it is to be made, nor when it is opened."""
    (tmp_path / "away" / "trash" / "run-1").mkdir(parents=True)
    (shared / linked).parent.mkdir(parents=True, exist_ok=True)
    (shared / linked).symlink_to(tmp_path / "away")
    with pytest.raises(MaintenanceError, match="in the way"):
        make_state_directory(shared, "trash", "run-1")
    with pytest.raises(OSError, match=r"(?i)not a directory|too many levels"):
        open_state_directory(shared, "trash", "run-1")
