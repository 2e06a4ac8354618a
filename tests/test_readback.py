"""The texts of rows, read back by their offsets."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from audio_cache_daemon import readback
from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.errors import InconsistentIndexError
from audio_cache_daemon.ids import row_id
from audio_cache_daemon.location import META_NAME, CacheLocation
from audio_cache_daemon.model import Inventory, ScanNeeds
from audio_cache_daemon.readback import ReadRow, RowReader

LINES = [
    b'{"path": "/a/1.wav", "prompt": "Rain", "prompt_norm": "rain", "timestamp": 1}',
    b'{"path": "/a/2.wav", "prompt": "Rain", "prompt_norm": "rain", "timestamp": 2}',
    b"{ no row",
    b"",
    b'{"path": "/a/2.wav", "prompt": "Rain", "prompt_norm": "rain", "timestamp": 2}',
    b'{"prompt": "without a path"}',
    b'{"path": "/a/2.wav", "prompt": "Rain", "prompt_norm": "rain", "timestamp": 2}\r',
    b"",
    b'{"path": "/a/2.wav", "prompt": "Rain", "prompt_norm": "rain", "timestamp": 2}',
]


@pytest.fixture
def location(tmp_path: Path) -> CacheLocation:
    """A cache of these lines; the last one has no end."""
    (tmp_path / META_NAME).write_bytes(b"\n".join(LINES))
    return CacheLocation("test", tmp_path, (tmp_path,))


@pytest.fixture
def inventory(location: CacheLocation) -> Inventory:
    """What a scan finds of it."""
    return scan_cache(location, ScanNeeds())


def _read(inventory: Inventory, *numbers: int) -> list[ReadRow]:
    with RowReader(inventory) as reader:
        return list(reader.read(np.array(numbers, np.int64)))


def test_rows_are_read_as_they_stand_in_the_file(inventory: Inventory) -> None:
    """Their bytes to the letter, and their values; a line that is no row has none."""
    rows = _read(inventory, *range(len(LINES)))
    assert [row.number for row in rows] == [*range(len(LINES))]
    assert [row.line.removesuffix(b"\n") for row in rows] == LINES
    assert [row.path for row in rows[:4]] == ["/a/1.wav", "/a/2.wav", "", ""]
    assert [row.prompt for row in rows[2:6]] == [None, None, "Rain", "without a path"]
    assert rows[2].row is None


def test_some_rows_are_read_alone(inventory: Inventory) -> None:
    """In ascending order, as often as asked; none is fine too."""
    with RowReader(inventory) as reader:
        assert [row.path for row in reader.read(np.array([1, 4]))] == ["/a/2.wav", "/a/2.wav"]
        assert [row.path for row in reader.read(np.array([0]))] == ["/a/1.wav"]
        assert list(reader.read(np.array([], np.int64))) == []


def test_ids_tell_rows_apart_that_repeat_each_other_to_the_letter(inventory: Inventory) -> None:
    """By their occurrence, counted from the first; also when they differ in the end of the line, which no id holds."""
    rows = _read(inventory, *range(len(LINES)))
    assert len({row.id for row in rows}) == len(rows)
    assert [rows[number].id for number in (1, 4, 6, 8)] == [row_id(LINES[1], number) for number in range(4)]
    assert rows[0].id == row_id(LINES[0], 0)


def test_an_id_does_not_depend_on_what_else_is_read(inventory: Inventory) -> None:
    """The third of equal rows is the third, read alone."""
    assert _read(inventory, 6)[0].id == row_id(LINES[1], 2)


def test_an_id_does_not_depend_on_how_many_are_read(location: CacheLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of few rows it is looked which others are like them, of many which rows are like any other."""
    content = b"".join(b'{"prompt": "%d", "timestamp": %d}\n' % (number % 7, number % 11) for number in range(400))
    (location.path / META_NAME).write_bytes(content)
    inventory = scan_cache(location, ScanNeeds())
    ids = [row.id for row in _read(inventory, *range(400))]
    assert len(set(ids)) == 400
    assert [_read(inventory, number)[0].id for number in range(0, 400, 13)] == ids[::13]
    monkeypatch.setattr(readback, "_FEW", 0)
    assert [row.id for row in _read(inventory, *range(400))] == ids


def test_rows_are_read_beside_those_that_were_appended_since(location: CacheLocation) -> None:
    """A generator that never stops doesn't keep us from what it added before; if that may not be, it is said."""
    index = location.path / META_NAME
    index.write_bytes(b"\n".join(LINES) + b"\n")
    inventory = scan_cache(location, ScanNeeds())
    before = _read(inventory, *range(len(LINES)))
    with index.open("ab") as file:
        file.write(LINES[0] + b"\n")
    assert _read(inventory, *range(len(LINES))) == before
    with pytest.raises(InconsistentIndexError, match="try again"):
        RowReader(inventory, may_have_grown=False)


def test_an_index_that_was_written_anew_and_is_longer_is_not_read(location: CacheLocation) -> None:
    """Over the same file: what was there isn't there any more."""
    index = location.path / META_NAME
    index.write_bytes(b"\n".join(LINES) + b"\n")
    inventory = scan_cache(location, ScanNeeds())
    index.write_bytes(b"\n".join([*LINES[1:], LINES[0], LINES[0]]) + b"\n")
    with pytest.raises(InconsistentIndexError, match="try again"):
        RowReader(inventory)


@pytest.mark.parametrize("change", ["appended", "touched", "replaced", "gone", "link", "fifo"])
def test_an_index_that_changed_since_the_scan_is_not_read(
    location: CacheLocation, inventory: Inventory, change: str
) -> None:
    """Its offsets may lead anywhere."""
    index = location.path / META_NAME
    content = index.read_bytes()
    if change == "appended":
        index.write_bytes(content + b"\n")
    elif change == "touched":
        os.utime(index, (5, 5))
    else:
        index.rename(location.path / "old")
    if change == "replaced":
        index.write_bytes(content)
    elif change == "link":
        index.symlink_to("old")
    elif change == "fifo":
        os.mkfifo(index)
    with pytest.raises(InconsistentIndexError, match="try again"):
        RowReader(inventory)
