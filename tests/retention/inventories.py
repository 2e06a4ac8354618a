"""Inventories for tests, written as what a person would say of each row and file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from audio_cache_daemon.decodings import Decoding
from audio_cache_daemon.location import CacheLocation, Root
from audio_cache_daemon.model import (
    ArrayInfo,
    Decoded,
    DecodingState,
    FileIdentity,
    IndexInfo,
    Inventory,
    ItemState,
    Rows,
    Sounds,
    StrayKind,
    Strays,
    Truth,
)
from audio_cache_daemon.retention.policy import Pattern, Policy

NOW = 1_700_000_000.0
"""The time at which all tests happen."""

WHOLE = Decoding(DecodingState.DECODED, 24.0, 0.5, 0.0)
"""A sound of the length that rows have here, neither silent nor clipped."""

_FILE_THERE = (ItemState.OK, ItemState.RETIRED)


class RowSpec(msgspec.Struct, frozen=True):
    """A row. `age` and `missing_for` are seconds before now (negative: in the future); None is a missing value.

    Rows that give the same `file`, `prompt` or `content` share it; without a `file` a row has one of its own.
    A row in state UNDECIDABLE has neither a file nor a root. `matches` names the truth of each pattern; a pattern
    that isn't named doesn't match, and can't be decided without a prompt. `sound` is the audio vector, of length 1;
    `decoding` is what decoding its file tells.
    A row is pinned for so many seconds from now (None: it never was).
    """

    age: float | None = 86400.0
    quality: float | None = 0.5
    duration: float | None = 24.0
    prompt: str | None = "rain"
    state: ItemState = ItemState.OK
    file: str | None = None
    size: int = 1000
    missing_for: float | None = None
    content: str | None = None
    used_elsewhere: bool = False
    readable: bool = True
    root: int = 0
    line: int = 100
    pinned_for: float | None = None
    sound: tuple[float, ...] | None = (1.0, 0.0, 0.0, 0.0)
    decoding: Decoding = WHOLE
    matches: Mapping[str, Truth] = msgspec.field(default_factory=dict)

    def truth(self, pattern: str) -> Truth:
        return self.matches.get(pattern, Truth.FALSE) if self.prompt is not None else Truth.UNDECIDABLE


class StraySpec(msgspec.Struct, frozen=True):
    """A file that no row names; `age` is seconds since it changed."""

    kind: StrayKind = StrayKind.ORPHAN
    age: float | None = 86400.0
    size: int = 1000
    root: int = 0


class Disk(msgspec.Struct, frozen=True):
    """The file system of a root."""

    device: int | None = 1
    free: int = 10**9
    size: int = 10**10


class Surroundings(msgspec.Struct, frozen=True):
    """What an inventory has besides rows and strays; `vector_bytes` (of one row) is a multiple of 4."""

    disks: tuple[Disk, ...] = (Disk(),)
    vector_bytes: int = 0
    orphans_undecidable: str | None = None


row = RowSpec
stray = StraySpec


def inventory(
    rows: Sequence[RowSpec],
    strays: Sequence[StraySpec] = (),
    *,
    now: float = NOW,
    around: Surroundings | None = None,
    patterns: Iterable[str] = (),
) -> Inventory:
    """The inventory of a cache that holds exactly these rows and files; `patterns` are those that a scan looked for."""
    around = around or Surroundings()
    asked = {*patterns, *(pattern for spec in rows for pattern in spec.matches)}
    return Inventory(
        location=CacheLocation("test", Path("/cache"), tuple(Path(f"/root{i}") for i in range(len(around.disks)))),
        index=_index(len(rows), around.vector_bytes),
        rows=_rows(rows, now, sorted(asked)),
        strays=_strays(strays, now),
        roots=tuple(
            Root(Path(f"/root{i}"), disk.device, None if disk.device is None else 2, disk.free, disk.size)
            for i, disk in enumerate(around.disks)
        ),
        orphans_undecidable=around.orphans_undecidable,
    )


def patterns_of(policy: Policy) -> set[str]:
    """Every regular expression that a policy asks for."""
    criteria = [rule.criterion for rule in policy.rules] + [protection.criterion for protection in policy.protect]
    expressions = {criterion.expression for criterion in criteria if isinstance(criterion, Pattern)}
    return expressions | {rule.pattern for rule in policy.rules if rule.pattern is not None}


def _rows(specs: Sequence[RowSpec], now: float, patterns: Sequence[str]) -> Rows:
    count = len(specs)
    files = [
        None if spec.state is ItemState.UNDECIDABLE else spec.file or f"own file of row {number}"
        for number, spec in enumerate(specs)
    ]
    return Rows(
        offset=np.cumsum([0, *(spec.line for spec in specs)], dtype=np.int64),
        readable=np.array([spec.readable for spec in specs], dtype=np.bool_),
        timestamp=_times([spec.age for spec in specs], now),
        duration=np.array([_number(spec.duration) for spec in specs], dtype=np.float64),
        quality=np.array([_number(spec.quality) for spec in specs], dtype=np.float64),
        prompt=_numbered([spec.prompt for spec in specs]),
        state=np.array([spec.state for spec in specs], dtype=np.uint8),
        file=_numbered(files),
        size=np.array([spec.size if spec.state in _FILE_THERE else -1 for spec in specs], dtype=np.int64),
        inode=np.arange(count, dtype=np.int64),
        mtime_ns=np.zeros(count, dtype=np.int64),
        root=np.array([-1 if spec.state is ItemState.UNDECIDABLE else spec.root for spec in specs], dtype=np.int8),
        missing_since=_times([spec.missing_for for spec in specs], now),
        held_until=np.full(count, np.nan),
        pinned_until=_times([None if spec.pinned_for is None else -spec.pinned_for for spec in specs], now),
        used_elsewhere=np.array([spec.used_elsewhere for spec in specs], dtype=np.bool_),
        content=_numbered([spec.content for spec in specs]),
        matches={p: np.array([spec.truth(p) for spec in specs], dtype=np.uint8) for p in patterns},
        sounds=_sounds([spec.sound for spec in specs]),
        decoded=_decoded([spec.decoding for spec in specs]),
    )


def _decoded(decodings: Sequence[Decoding]) -> Decoded:
    measures = np.array([(each.seconds, each.peak, each.clipped) for each in decodings]).reshape(-1, 3)
    state = np.array([each.state for each in decodings], np.uint8)
    measures[state != DecodingState.DECODED] = math.nan
    return Decoded(state, measures[:, 0], measures[:, 1], measures[:, 2])


def _sounds(vectors: Sequence[tuple[float, ...] | None]) -> Sounds:
    known = [vector for vector in vectors if vector is not None]
    place = np.cumsum([vector is not None for vector in vectors], dtype=np.int32) - 1
    return Sounds(
        np.where([vector is not None for vector in vectors], place, -1).astype(np.int32),
        np.array(known, dtype=np.float32).reshape(len(known), -1 if known else 0),
    )


def _strays(specs: Sequence[StraySpec], now: float) -> Strays:
    count = len(specs)
    return Strays(
        path=tuple(f"/root{spec.root}/stray_{number}.mp3" for number, spec in enumerate(specs)),
        kind=np.array([spec.kind for spec in specs], dtype=np.uint8),
        size=np.array([spec.size for spec in specs], dtype=np.int64),
        changed=_times([spec.age for spec in specs], now),
        inode=np.arange(count, dtype=np.int64),
        mtime_ns=np.zeros(count, dtype=np.int64),
        root=np.array([spec.root for spec in specs], dtype=np.int8),
    )


def _index(rows: int, vector_bytes: int) -> IndexInfo:
    identity = FileIdentity(1, 1, 1, 1)
    arrays = {"clap_text.npy": ArrayInfo("clap_text.npy", identity, rows, vector_bytes // 4, "<f4", 128)}
    return IndexInfo(identity, arrays if vector_bytes else {})


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _times(ages: Sequence[float | None], now: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([math.nan if age is None else now - age for age in ages], dtype=np.float64)


def _numbered(names: Sequence[str | None]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """A number for each distinct name, in order of appearance; -1 for none."""
    numbers: dict[str, int] = {}
    return np.array([-1 if name is None else numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int32)
