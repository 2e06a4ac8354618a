"""A file goes only when no row that stays can mean it, however that row spells its path."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cache_runs import DROP, execute, kinds, plan_policy, read_items
from msgspec.structs import replace

from audio_cache_daemon.cache.scan import Surroundings, scan_cache
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.location import META_NAME, CacheLocation
from audio_cache_daemon.retention.needs import columns_needed
from audio_cache_daemon.retention.plan import plan_evictions
from builders import CacheBuilder

Spell = Callable[[Path, Path], str]
"""Another way to write the path of a file, given that and a directory outside of its root."""


def _dots(file: Path, _: Path) -> str:
    return f"{file.parent}/audio_cache/../{file.name}"


def _relative(file: Path, _: Path) -> str:
    return f"generated/{file.name}"


def _bare(file: Path, _: Path) -> str:
    return file.name


def _linked_directory(file: Path, _: Path) -> str:
    (file.parent / "link").symlink_to(file.parent)
    return f"{file.parent}/link/{file.name}"


def _link(file: Path, _: Path) -> str:
    (file.parent / "other.wav").symlink_to(file)
    return f"{file.parent}/other.wav"


def _link_in_a_linked_directory(file: Path, _: Path) -> str:
    (file.parent / "link").symlink_to(file.parent)
    (file.parent / "other.wav").symlink_to(file.name)
    return f"{file.parent}/link/other.wav"


def _link_reached_by_dots(file: Path, _: Path) -> str:
    (file.parent / "other.wav").symlink_to(file.name)
    return f"{file.parent}/audio_cache/../other.wav"


def _alias_of_the_root(file: Path, outside: Path) -> str:
    (outside / "alias").symlink_to(file.parent)
    return f"{outside}/alias/{file.name}"


def _link_outside_the_root(file: Path, outside: Path) -> str:
    (outside / "first.wav").symlink_to("second.wav")
    (outside / "second.wav").symlink_to(file)
    return f"{outside}/first.wav"


SPELLINGS = [
    _dots,
    _relative,
    _bare,
    _linked_directory,
    _link,
    _link_in_a_linked_directory,
    _link_reached_by_dots,
    _alias_of_the_root,
    _link_outside_the_root,
]
by_spelling = pytest.mark.parametrize("spell", SPELLINGS, ids=lambda spell: spell.__name__.strip("_"))


@by_spelling
@pytest.mark.parametrize("to_trash", [True, False])
def test_a_file_that_an_undecidable_row_may_mean_stays(tmp_path: Path, spell: Spell, *, to_trash: bool) -> None:
    """The row that names it goes, and frees nothing; the other row and the file stay."""
    cache = CacheBuilder(tmp_path / "cache")
    (tmp_path / "outside").mkdir()
    meant, gone = cache.add("drop this"), cache.add("drop that")
    cache.add("keep", path=spell(meant, tmp_path / "outside"))
    location = cache.write()
    outcomes = execute(plan_policy(location), Execution("run-1", to_trash))
    assert kinds(outcomes) == {0: "evicted", 1: "evicted"}
    assert [outcome.bytes_freed for outcome in outcomes] == [0, len(b"sound 1")]
    assert meant.read_bytes() == b"sound 0"
    assert not gone.exists()
    assert len(read_items(location.path)) == 1


@by_spelling
def test_a_file_that_a_row_of_another_cache_may_mean_stays(tmp_path: Path, spell: Spell) -> None:
    """The other cache shares the root; whether it can decide its own path doesn't matter here."""
    cache = CacheBuilder(tmp_path / "cache")
    (tmp_path / "outside").mkdir()
    meant = cache.add("drop this")
    cache.add("keep")
    neighbour = tmp_path / "neighbour"
    neighbour.mkdir()
    row = json.dumps({"path": spell(meant, tmp_path / "outside"), "prompt": "theirs"})
    (neighbour / META_NAME).write_text(row + "\n")
    execute(plan_beside(cache.write(), CacheLocation("other", neighbour, (cache.output,))))
    assert meant.exists()


def plan_beside(location: CacheLocation, neighbour: CacheLocation):  # type: ignore[no-untyped-def]  # noqa: ANN201
    around = Surroundings(neighbours=[neighbour])
    return plan_evictions(scan_cache(location, columns_needed(DROP), around), DROP, 2_100_000_000.0)


@pytest.mark.parametrize("kind", ["missing", "directory", "link", "fifo"])
def test_no_file_goes_while_a_cache_that_shares_the_root_cannot_be_read(tmp_path: Path, kind: str) -> None:
    """Its rows may mean any of them; they are left, and can go as orphans when it can be read again."""
    cache = CacheBuilder(tmp_path / "cache")
    meant = cache.add("drop this")
    neighbour = tmp_path / "neighbour"
    neighbour.mkdir()
    if kind == "directory":
        (neighbour / META_NAME).mkdir()
    elif kind == "link":
        (neighbour / META_NAME).symlink_to("nowhere")
    elif kind == "fifo":
        os.mkfifo(neighbour / META_NAME)
    execute(plan_beside(cache.write(), CacheLocation("other", neighbour, (cache.output,))))
    assert meant.exists()


@pytest.mark.parametrize(
    "line",
    [
        b'{"path": "%s", "prompt": "torn',
        b'["%s"]\n',
        b'{"path": "%s" "prompt": 1}\n',
        b"%s\n",
        b"a dump of /%s, and more\n",
        b'{"path": "%s"} {"path": "x.wav"}\n',
        b'\xff{"path": "%s"}\n',
    ],
)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_file_that_a_line_names_which_is_no_row_stays(tmp_path: Path, line: bytes, *, elsewhere: bool) -> None:
    """A torn or broken line is not lost: it may be mended, and then means its file again. Here or in another cache."""
    cache = CacheBuilder(tmp_path / "cache")
    meant, gone = cache.add("drop this"), cache.add("drop that")
    location = cache.write()
    neighbour = replace(location, name="other", path=tmp_path / "neighbour")
    neighbour.path.mkdir()
    (neighbour.path / META_NAME).write_bytes(b"")
    with ((neighbour if elsewhere else location).path / META_NAME).open("ab") as meta:
        meta.write(line % os.fsencode(meant))
    inventory = scan_cache(location, columns_needed(DROP), Surroundings(neighbours=[neighbour]))
    assert inventory.rows.used_elsewhere[:2].tolist() == [True, False]
    assert gone.exists()


def test_a_row_with_a_path_of_its_own_holds_no_other_file(tmp_path: Path) -> None:
    """An undecidable path of another name, or none, is no reason to keep anything."""
    cache = CacheBuilder(tmp_path)
    paths = [cache.add("drop this"), cache.add("drop that")]
    for path in ("elsewhere/other.wav", "", "/", "..", "/nowhere/\0.wav", 5, None):
        cache.add("keep", path=path)
    execute(plan_policy(cache.write()))
    assert not any(path.exists() for path in paths)
