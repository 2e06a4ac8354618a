"""Paths of rows that lead to no plain file in a root: nothing is followed, nothing is waited for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from observing import (
    STAMP,
    assert_left_alone,
    bare_cache,
    name_files,
    orphans,
    problem_count,
    scan,
    sound,
    states,
    write_lines,
    write_paths,
)

from audio_cache_daemon.location import STATE_DIRECTORY, CacheLocation
from tools import with_mounts

UNDECIDABLE = ["undecidable"]
NOBODY = 65534


@pytest.fixture
def location(tmp_path: Path) -> CacheLocation:
    """A cache with an empty index and an empty audio root."""
    return bare_cache(tmp_path)


@pytest.fixture
def root(location: CacheLocation) -> Path:
    """Its audio root."""
    return location.audio_roots[0]


def _link_to_file(root: Path, elsewhere: Path) -> Path:
    (root / "link.wav").symlink_to(sound(elsewhere / "a.wav"))
    return root / "link.wav"


def _link_inside(root: Path, _: Path) -> Path:
    (root / "link.wav").symlink_to(sound(root / "a.wav"))
    return root / "link.wav"


def _dangling_link(root: Path, _: Path) -> Path:
    (root / "link.wav").symlink_to("nothing.wav")
    return root / "link.wav"


def _link_to_itself(root: Path, _: Path) -> Path:
    (root / "link.wav").symlink_to("link.wav")
    return root / "link.wav"


def _linked_directory(root: Path, elsewhere: Path) -> Path:
    sound(elsewhere / "a.wav")
    (root / "link").symlink_to(elsewhere)
    return root / "link" / "a.wav"


def _linked_directory_inside(root: Path, _: Path) -> Path:
    sound(root / "real" / "deep" / "a.wav")
    (root / "link").symlink_to("real")
    return root / "link" / "deep" / "a.wav"


def _fifo(root: Path, _: Path) -> Path:
    os.mkfifo(root / "a.wav")
    return root / "a.wav"


def _socket(root: Path, _: Path) -> Path:
    previous = Path.cwd()
    os.chdir(root)  # the name of a socket has room for 100 characters
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("a.wav")
    finally:
        os.chdir(previous)
    return root / "a.wav"


def _directory(root: Path, _: Path) -> Path:
    (root / "a.wav").mkdir()
    return root / "a.wav"


def _file_as_directory(root: Path, _: Path) -> Path:
    return sound(root / "file") / "a.wav"


def _state_directory(root: Path, _: Path) -> Path:
    return sound(root / STATE_DIRECTORY / "trash" / "a.wav")


def _other_suffix(root: Path, _: Path) -> Path:
    return sound(root / "a.flac")


def _outside(_: Path, elsewhere: Path) -> Path:
    return sound(elsewhere / "a.wav")


def _beside(root: Path, _: Path) -> Path:
    return sound(root.with_name(root.name + "2") / "a.wav")


def _beyond_measure(root: Path, _: Path) -> Path:
    return root / ("x" * 300 + ".wav")


def _deep_beyond_measure(root: Path, _: Path) -> Path:
    return root / ("x/" * 5000 + "a.wav")


@pytest.mark.parametrize(
    "make",
    [
        _link_to_file,
        _link_inside,
        _dangling_link,
        _link_to_itself,
        _linked_directory,
        _linked_directory_inside,
        _fifo,
        _socket,
        _directory,
        _file_as_directory,
        _state_directory,
        _other_suffix,
        _outside,
        _beside,
        _beyond_measure,
        _deep_beyond_measure,
    ],
    ids=lambda make: make.__name__.strip("_"),
)
def test_what_is_no_plain_file_in_a_root_is_undecidable(
    tmp_path: Path, location: CacheLocation, root: Path, make: Callable[[Path, Path], Path]
) -> None:
    """Links in any place, pipes, directories, other places: they are counted, and neither followed nor opened."""
    path = make(root, tmp_path / "elsewhere")
    inventory = name_files(location, path, path)
    assert states(inventory) == UNDECIDABLE * 2
    assert_left_alone(inventory)
    assert orphans(inventory) == []


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        ".wav/",
        "{root}/../audio/a.wav",
        "{root}/a.wav/..",
        "{root}/x\0y/a.wav",
        "{root}/x\0y.wav",
        "{root}/\ud800.wav",
    ],
)
def test_a_text_that_is_no_path_to_a_file_is_undecidable(location: CacheLocation, root: Path, path: str) -> None:
    """Such as with a NUL, with a surrogate that stands for no byte, or with `..`."""
    sound(root / "a.wav")
    inventory = name_files(location, path.format(root=root))
    assert states(inventory) == UNDECIDABLE
    assert_left_alone(inventory)


def test_a_row_without_a_path_is_undecidable(location: CacheLocation) -> None:
    """As is one whose path is no text."""
    inventory = scan(write_lines(location, b'{"prompt": "x"}\n{"path": 5}\n{"path": null}\n'))
    assert states(inventory) == UNDECIDABLE * 3


@pytest.mark.parametrize(
    "name", ["a\nb.wav", "\x1b[2J.wav", "a\udcff.wav", "雨 é.wav", "-rf.wav", " .wav", "a\\b.wav", "a'\"$(b).wav"]
)
def test_a_strange_name_is_a_name(location: CacheLocation, root: Path, name: str) -> None:
    """New lines, escape sequences, bytes that are no UTF-8: in rows as in directories."""
    (root / name).write_bytes(b"sound")
    (root / f"{name.removesuffix('.wav')}{STAMP}").write_bytes(b"sound")
    inventory = name_files(location, f"{root}/{name}")
    assert states(inventory) == ["ok"]
    assert orphans(inventory) == [f"{name.removesuffix('.wav')}{STAMP}"]


def test_a_file_with_times_beyond_all_measure_does_not_end_the_scan(location: CacheLocation, root: Path) -> None:
    """File systems keep more seconds than a column of nanoseconds does; such a file can't be known again."""
    far = sound(root / f"far{STAMP}")
    stray = sound(root / f"stray{STAMP}")
    for path in (far, stray):
        os.utime(path, (1e13, 1e13))
    if far.stat().st_mtime_ns < 2**63:
        pytest.skip("this file system keeps no such times")
    inventory = name_files(location, far, sound(root / "a.wav"))
    assert states(inventory) == ["undecidable", "ok"]
    assert orphans(inventory) == []


def test_a_root_that_is_not_there_has_only_missing_files(location: CacheLocation, root: Path) -> None:
    """The sentinels tell that from files that were removed; the root has no identity."""
    root.rmdir()
    inventory = name_files(location, root / "a.wav", root / "sub" / "b.wav")
    assert states(inventory) == ["missing", "missing"]
    assert inventory.rows.root.tolist() == [0, 0]
    assert (inventory.roots[0].device, inventory.roots[0].inode) == (None, None)


def test_a_root_that_is_no_directory_has_only_undecidable_files(location: CacheLocation, root: Path) -> None:
    """Nothing says that its files are gone."""
    root.rmdir()
    root.write_bytes(b"")
    inventory = name_files(location, root / "a.wav")
    assert states(inventory) == UNDECIDABLE
    assert inventory.roots[0].inode is None


def test_a_file_that_a_link_stands_for_is_no_orphan(location: CacheLocation, root: Path) -> None:
    """A row names the link, so the sound is wanted."""
    real = sound(root / "real" / f"a{STAMP}")
    (root / "second.wav").symlink_to(real)
    (root / "first.wav").symlink_to("second.wav")
    assert orphans(name_files(location, root / "first.wav")) == []
    (root / "link").symlink_to(real.parent)
    assert orphans(name_files(location, root / "link" / real.name)) == []
    assert orphans(name_files(location)) == [f"real/{real.name}"]


@pytest.mark.parametrize("kind", ["--bind {elsewhere} {inner}", "--bind {root}/other {inner}", "-t tmpfs none {inner}"])
def test_another_mount_inside_a_root_is_not_entered(
    tmp_path: Path, root: Path, location: CacheLocation, kind: str
) -> None:
    """Not even a bind mount of the same file system, which has the device number of the root."""
    elsewhere = tmp_path / "elsewhere"
    inner = root / "in ner"
    for directory in (elsewhere, inner, root / "other"):
        sound(directory / f"a{STAMP}")
        sound(directory / f"stray{STAMP}")
    mount = "mount " + kind.format(elsewhere=elsewhere, inner=f"'{inner}'", root=root)
    write_paths(location, inner / f"a{STAMP}")
    code = (
        "import sys; from pathlib import Path; from observing import *;"
        "inventory = scan(CacheLocation('test', Path(sys.argv[1]), (Path(sys.argv[2]),)));"
        "print(states(inventory), problems(inventory, 'unreadable_directory'), orphans(inventory))"
    )
    tests = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    done = subprocess.run(
        [*with_mounts(mount), sys.executable, "-c", code, str(location.path), str(root)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(tests)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == f"['undecidable'] ['{inner}'] ['other/stray{STAMP}']"


def test_what_can_not_be_read_is_undecidable_and_the_rest_is_read() -> None:
    """A directory without search permission, one without read permission: neither missing nor the end of the scan."""
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        base.chmod(0o755)
        location = bare_cache(base)
        root = location.audio_roots[0]
        sounds = [sound(root / name / f"a{STAMP}") for name in ("closed", "unlisted", "unsearched", "open")]
        write_paths(location, *sounds)
        for name, mode in (("closed", 0), ("unlisted", 0o711), ("unsearched", 0o744)):
            (root / name).chmod(mode)
        if os.geteuid() == 0:
            os.chown(root, NOBODY, NOBODY)
            for path in root.iterdir():
                os.chown(path, 1, 1)
            os.seteuid(NOBODY)
        try:
            inventory = scan(location)
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
            for path in root.iterdir():
                path.chmod(0o755)
    assert states(inventory) == ["undecidable", "undecidable", "undecidable", "ok"]
    assert problem_count(inventory, "unreadable_directory") == 3
