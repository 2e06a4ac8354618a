"""Which directories are planned to be watched, and which file systems tell of changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from audio_cache_daemon.daemon import watch_trees
from audio_cache_daemon.daemon.watch_trees import Tree, file_system_kind, is_remote, plan_watches
from audio_cache_daemon.location import STATE_DIRECTORY, CacheLocation

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /srv rw - tmpfs tmpfs rw
31 30 0:40 / /srv/audio rw master:1 shared:2 - nfs4 server:/audio rw,vers=4.2
32 31 0:41 / /srv/audio/local rw - xfs /dev/sdb1 rw
33 22 0:42 / /mnt/with\\040space rw - fuse.sshfs host:/ rw
34 22 0:43 / /mnt/twice rw - xfs /dev/sdc1 rw
35 34 0:44 / /mnt/twice rw - cifs //server/share rw
"""

KINDS = {
    "/": ("ext4", False),
    "/srv/other": ("tmpfs", False),
    "/srv/audio": ("nfs4", True),
    "/srv/audio/deep/er": ("nfs4", True),
    "/srv/audiobooks": ("tmpfs", False),
    "/srv/audio/local/x": ("xfs", False),
    "/mnt/with space/x": ("fuse.sshfs", True),
    "/mnt/twice/x": ("cifs", True),
}


@pytest.mark.parametrize("path", KINDS)
def test_the_innermost_mount_decides(path: str) -> None:
    """And of several at one place the last."""
    kind = file_system_kind(path, MOUNTS)
    assert (kind, is_remote(kind)) == KINDS[path]


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse", "fuse.s3fs", "fuseblk", "virtiofs"])
def test_changes_by_others_go_unheard_there(kind: str) -> None:
    """On network and user file systems."""
    assert is_remote(kind)


def test_an_unknown_mount_table_says_nothing_against_watching() -> None:
    """Without /proc the kind isn't known."""
    assert not is_remote(file_system_kind("/srv", ""))


def test_a_network_file_system_is_not_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names it."""
    monkeypatch.setattr(watch_trees, "_mount_table", lambda: f"22 1 8:1 / {tmp_path} rw - nfs4 server:/ rw\n")
    plan = plan_watches(CacheLocation("test", tmp_path / "cache", (tmp_path,)))
    assert plan.trees == ()
    [problem] = plan.problems
    assert problem.startswith(f"{tmp_path} can't be watched: on a network or user file system (nfs4)")


def test_our_own_trees_are_left_out(tmp_path: Path) -> None:
    """The root is watched by itself, and each directory in it with what is below; links are none."""
    for name in ("audio_cache", "2033/05", f"{STATE_DIRECTORY}/trash/run"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("/")
    plan = plan_watches(CacheLocation("test", tmp_path / "audio_cache", (tmp_path,)))
    assert plan.trees == (
        Tree(str(tmp_path), is_recursive=False),
        Tree(str(tmp_path / "2033"), is_recursive=True),
        Tree(str(tmp_path / "audio_cache"), is_recursive=True),
    )
    assert plan.directories == 4
    assert plan.problems == ()
