"""A cache that grows by what was added to it lately, and shrinks by what is taken from it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from msgspec.structs import asdict, replace
from numpy.typing import NDArray

from audio_cache_daemon.model import Bools, Floats, Ints, Inventory, Rows, Strays
from audio_cache_daemon.retention.judgement import rank_in_groups, unmeasured

_Column: TypeAlias = NDArray[Any]

_Columns: TypeAlias = dict[str, dict[str, Any]]
"""Those of the rows by name, and those of what the rows hold: `matches`, `sounds`, `decoded`."""

_NUMBERED = ("prompt", "file", "content")

DAY = 86400.0


class GrowingCache:
    """A cache whose rows `again` are added once more in each window (whole days) after `now`, as they were before it.

    Each then has a prompt, a file and contents of its own. The columns are changed one by one, each in place of what
    it was, and one in which all rows say the same is a single value: of a million rows all of them twice are 120 MB.
    """

    def __init__(self, inventory: Inventory, again: Ints, now: float, window_days: int) -> None:
        self._around = asdict(inventory)
        rows: Rows = self._around.pop("rows")
        self._sounds, self._decoded, self._window_days = rows.sounds, rows.decoded, window_days
        self._columns = _columns_of(rows)
        self._again = {
            kind: {name: _pick(name, column, again) for name, column in columns.items()}
            for kind, columns in self._columns.items()
        }
        plain = self._again["rows"]
        plain |= {name: _numbered_anew(plain[name]) for name in _NUMBERED}
        # Nobody holds what is still to come.
        plain["held_until"] = plain["pinned_until"] = unmeasured(len(again))
        plain["used_elsewhere"] = np.broadcast_to(np.False_, len(again))
        self._first_number: dict[str, int] = {}
        self._bytes = _bytes_added(inventory, again)
        self._due: Floats = window_days * DAY - (now - rows.timestamp[again])

    def inventory(self) -> Inventory:
        """The cache as it is now. Who holds on to it while the cache changes holds columns twice."""
        columns = self._columns
        rows = Rows(
            **columns["rows"],
            matches=dict(columns["matches"]),
            sounds=replace(self._sounds, known=None, **columns["sounds"]) if self._sounds is not None else None,
            decoded=replace(self._decoded, **columns["decoded"]) if self._decoded is not None else None,
        )
        return Inventory(**self._around, rows=rows)

    def grow(self, day: int) -> tuple[int, int]:
        """Add what comes on a day, the first of which is 1: how many items, and how many bytes."""
        window, place = divmod(day - 1, self._window_days)
        if place == 0:
            self._number_anew()
        come = np.flatnonzero((self._due > place * DAY) & (self._due <= (place + 1) * DAY))
        for kind, columns in self._columns.items():
            for name in columns:
                coming = _pick(name, self._again[kind][name], come)
                columns[name] = _join(name, columns[name], self._changed(name, coming, window))
        return len(come), int(self._bytes[come].sum())

    def keep(self, rows: Bools, strays: Bools) -> None:
        """Take away all but these rows and strays."""
        self._around["strays"] = _only(self._around["strays"], strays)
        if rows.all():
            return
        stay = np.flatnonzero(rows)
        for columns in self._columns.values():
            for name in columns:
                columns[name] = _pick(name, columns[name], stay)

    def _changed(self, name: str, coming: _Column, window: int) -> _Column:
        """What comes in a window, the first of which is 0, as it is in this column."""
        if name == "timestamp":
            return coming + (window + 1) * self._window_days * DAY
        if name in _NUMBERED:
            return _said_once(np.where(coming >= 0, coming + self._first_number[name], coming))
        return coming

    def _number_anew(self) -> None:
        """Without gaps, since a sum over files takes 8 bytes a number; what comes in one window is numbered alike."""
        plain = self._columns["rows"]
        for name in _NUMBERED:
            plain[name] = _numbered_anew(plain[name])
            self._first_number[name] = int(plain[name].max(initial=-1)) + 1


def _columns_of(rows: Rows) -> _Columns:
    """The columns that decide something, with those that say the same of all rows as a single value."""
    plain = {name: column for name, column in asdict(rows).items() if isinstance(column, np.ndarray)}
    # What tells files apart decides nothing, and of a million rows it takes 16 MB.
    plain["inode"] = plain["mtime_ns"] = np.broadcast_to(np.int64(0), len(rows))
    decoded = {} if rows.decoded is None else asdict(rows.decoded)
    return {
        "rows": {name: _said_once(column) for name, column in plain.items()},
        "matches": dict(rows.matches),
        "sounds": {} if rows.sounds is None else {"place": rows.sounds.place},
        "decoded": {name: column for name, column in decoded.items() if isinstance(column, np.ndarray)},
    }


def _said_once(column: _Column) -> _Column:
    """A column that says the same of all rows as a single value; NaN is the same as NaN."""
    same = (column == column[:1]).all() or (column.dtype == np.float64 and np.isnan(column).all())
    return np.broadcast_to(column[:1].copy(), len(column)) if len(column) and same else column


def _numbered_anew(numbers: NDArray[np.int32]) -> NDArray[np.int32]:
    """The same groups with numbers from 0 that leave none out; -1 stays: in no group."""
    there = np.zeros(int(numbers.max(initial=-1)) + 2, np.bool_)
    there[numbers] = True
    places = np.cumsum(there, dtype=np.int32) - 1
    places[-1] = -1
    return _said_once(places[numbers])


def _pick(name: str, column: _Column, which: Ints) -> _Column:
    if name == "offset":
        return np.concatenate([[0], np.cumsum(np.diff(column)[which])])
    return np.broadcast_to(column[0], len(which)) if _is_single(column) else column[which]


def _join(name: str, column: _Column, more: _Column) -> _Column:
    if name == "offset":
        return np.concatenate([column, column[-1] + more[1:]])
    joined = _is_single(column) and _is_single(more) and np.array_equal(column[:1], more[:1], equal_nan=True)
    return np.broadcast_to(column[0], len(column) + len(more)) if joined else np.concatenate([column, more])


def _is_single(column: _Column) -> bool:
    return len(column) > 0 and column.strides == (0,)


def _bytes_added(inventory: Inventory, again: Ints) -> Ints:
    """What the cache grows by with each of these rows: a file that several name comes with the first of them."""
    rows = inventory.rows
    turn = rank_in_groups(rows.file[again], np.ones(len(again), np.bool_), [rows.timestamp[again]])
    lines = rows.offset[again + 1] - rows.offset[again]
    files: Ints = np.where(turn == 1, rows.size[again], 0)
    return files + lines + inventory.index.vector_bytes


def _only(strays: Strays, left: Bools) -> Strays:
    return Strays(
        tuple(path for path, stays in zip(strays.path, left.tolist(), strict=True) if stays),
        strays.kind[left],
        strays.size[left],
        strays.changed[left],
        strays.inode[left],
        strays.mtime_ns[left],
        strays.root[left],
    )
