"""Hypothesis strategies for small inventories and policies.

The pools are narrow, so that values meet: several rows at one age, an age exactly at a limit, a file that several
rows name, a budget that is just exceeded.
"""

from __future__ import annotations

import math

import msgspec
from hypothesis import strategies as st
from inventories import WHOLE, Disk, RowSpec, StraySpec, Surroundings, inventory
from msgspec.structs import replace

from audio_cache_daemon.decodings import UNDECODABLE, UNKNOWN
from audio_cache_daemon.model import Inventory, ItemState, StrayKind, Truth
from audio_cache_daemon.retention.policy import (
    Broken,
    Budget,
    Compared,
    Criterion,
    Dedupe,
    DiskMarks,
    Everything,
    InState,
    KeepBest,
    KeepNewest,
    Limits,
    Marks,
    MaxAge,
    Pattern,
    Policy,
    Protection,
    ProtectionCriterion,
    Rule,
    Share,
    YoungerThan,
)

SECONDS = (100.0, 3600.0)
AGES = (0.0, 100.0, 101.0, 3600.0, 3601.0)
SIZES = (0, 100, 1000, 5000)
PATTERNS = ("p", "q")
SOUNDS = (
    (1.0, 0.0, 0.0, 0.0),
    (0.0, 1.0, 0.0, 0.0),
    (0.5, 0.5, 0.5, 0.5),
    (0.5, -0.5, 0.5, -0.5),
    (-1.0, 0.0, 0.0, 0.0),
)
DECODINGS = (
    WHOLE,
    WHOLE,
    UNKNOWN,
    UNDECODABLE,
    replace(WHOLE, seconds=12.0),
    replace(WHOLE, seconds=11.9),
    replace(WHOLE, seconds=0.0, peak=0.0),
    replace(WHOLE, peak=0.1),
    replace(WHOLE, peak=0.0),
    replace(WHOLE, clipped=0.5),
    replace(WHOLE, clipped=0.75),
)
CAPACITIES = (0, 1000, 2000, 5000, 12000)

ages = st.sampled_from([*AGES, -10.0, None])
limits_in_seconds = st.sampled_from(SECONDS)


class Scene(msgspec.Struct, frozen=True):
    """Rows, files and disks from which an inventory is made; tests change it and look at what the plan makes of it."""

    rows: tuple[RowSpec, ...]
    strays: tuple[StraySpec, ...]
    around: Surroundings

    def inventory(self) -> Inventory:
        return inventory(self.rows, self.strays, around=self.around, patterns=PATTERNS)


class _File(msgspec.Struct, frozen=True):
    """What rows that name one file have in common."""

    name: str | None
    state: ItemState
    size: int
    root: int
    content: str | None
    used_elsewhere: bool


_states = st.sampled_from([ItemState.OK, ItemState.OK, ItemState.OK, ItemState.MISSING, ItemState.UNDECIDABLE])
_UNREADABLE = RowSpec(None, None, None, None, ItemState.UNDECIDABLE, size=0, readable=False)


@st.composite
def _files(draw: st.DrawFn, name: str | None, roots: int, *, tidy: bool) -> _File:
    state, size = ItemState.OK if tidy else draw(_states), draw(st.sampled_from(SIZES))
    content = draw(st.sampled_from([None, "x", "y"])) if state is ItemState.OK else None
    return _File(
        name=name,
        state=state,
        size=size,
        root=draw(st.integers(0, roots - 1)),
        content=None if content is None else f"{content} of {size} bytes",
        used_elsewhere=state is not ItemState.UNDECIDABLE and draw(st.integers(0, 5)) == 0,
    )


@st.composite
def _rows(draw: st.DrawFn, shared: list[_File], roots: int, *, tidy: bool) -> RowSpec:
    file = draw(_files(None, roots, tidy=tidy) | st.sampled_from(shared))
    unknown: list[None] = [] if tidy else [None]
    spec = RowSpec(
        age=draw(st.sampled_from(AGES) if tidy else ages),
        quality=draw(st.sampled_from([0.25, 0.5, 0.75, *unknown])),
        duration=draw(st.sampled_from([0.0, 24.0, 25.5, *unknown])),
        prompt=draw(st.sampled_from(["rain", "wind", "sea", *unknown])),
        state=file.state,
        file=file.name,
        size=file.size,
        missing_for=draw(ages) if file.state is ItemState.MISSING else None,
        content=file.content,
        used_elsewhere=file.used_elsewhere,
        root=file.root,
        line=draw(st.sampled_from([50, 100])),
        pinned_for=draw(st.sampled_from([None, None, None, None, -1.0, 10.0, math.inf])),
        sound=draw(st.sampled_from([*SOUNDS, *unknown])),
        decoding=draw(st.sampled_from(DECODINGS)),
        matches={pattern: draw(st.sampled_from(list(Truth))) for pattern in PATTERNS},
    )
    fate = draw(st.integers(0, 5 if tidy else 9))
    if fate == 0 and spec.state is not ItemState.UNDECIDABLE:
        return replace(spec, state=ItemState.RETIRED)
    return replace(_UNREADABLE, line=spec.line) if fate == 1 and not tidy else spec


@st.composite
def scenes(draw: st.DrawFn, *, tidy: bool = False) -> Scene:
    """A cache of up to eight rows and five strays, or of as many four times, so that percentages count.

    A tidy one has all values, and a file for each row: a budget then has much to choose from.
    """
    devices = draw(st.sampled_from([(1,), (1, 1), (1, 2), (1, None)]))
    disk = {device: draw(st.sampled_from(CAPACITIES)) for device in devices}
    disks = tuple(Disk(device, disk[device], size=20000) for device in devices)
    shared = [draw(_files(name, len(disks), tidy=tidy)) for name in ("shared a", "shared b", "shared c")]
    times = draw(st.sampled_from([1, 1, 4]))
    rows = draw(st.lists(_rows(shared, len(disks), tidy=tidy), min_size=2 if tidy else 0, max_size=8))
    stray = st.builds(
        StraySpec, st.sampled_from(StrayKind), ages, st.sampled_from(SIZES), st.integers(0, len(disks) - 1)
    )
    strays = draw(st.lists(stray, max_size=5))
    around = Surroundings(
        disks=disks,
        vector_bytes=draw(st.sampled_from([0, 400])),
        orphans_undecidable=draw(st.sampled_from([None, None, "the index is empty"])),
    )
    return Scene(tuple(rows * times), tuple(strays * times), around)


preferences = st.lists(st.sampled_from(["quality", "newest", "oldest", "longest"]), max_size=2, unique=True)
by_ear = st.builds(
    Dedupe, st.just("prompt"), st.integers(1, 3), st.just(("diverse",)), st.sampled_from([0.0, 0.25, 0.5, 1.0])
)
by_sound = st.builds(
    Dedupe,
    st.just("sound"),
    prefer=st.sampled_from([(), ("quality",), ("oldest",)]),
    similarity=st.sampled_from([0.5, 0.9]),
    within=st.sampled_from(["prompt", "cache"]),
)
signs = st.sampled_from(["<", "<=", "==", ">=", ">"])
criteria: st.SearchStrategy[Criterion] = st.one_of(
    st.builds(MaxAge, limits_in_seconds),
    st.builds(Pattern, st.sampled_from(PATTERNS)),
    st.builds(Dedupe, st.sampled_from(["prompt", "content"]), st.integers(1, 3), preferences.map(tuple)),
    by_ear,
    by_sound,
    st.builds(InState, st.sampled_from(["missing", "orphan", "leftover"])),
    st.builds(Compared, st.just("quality"), signs, st.sampled_from([0.25, 0.5])),
    st.builds(Compared, st.just("duration"), signs, st.sampled_from([0.0, 24.0])),
    st.builds(Broken, st.sampled_from([0.5, 0.9]), st.sampled_from([-20.0, -10.0]), st.just(0.5)),
    st.just(Everything()),
)
protection_criteria: st.SearchStrategy[ProtectionCriterion] = st.one_of(
    st.builds(YoungerThan, limits_in_seconds),
    st.builds(Pattern, st.sampled_from(PATTERNS)),
    st.builds(KeepBest, st.integers(1, 2)),
    st.builds(KeepNewest, st.integers(1, 2)),
)
narrowings = st.tuples(st.none() | limits_in_seconds, st.none() | st.sampled_from(PATTERNS))


def rules_of(some_criteria: st.SearchStrategy[Criterion], *, most: int = 4) -> st.SearchStrategy[tuple[Rule, ...]]:
    """Up to `most` rules, each narrowed or not, named by their place."""
    parts = st.lists(st.tuples(some_criteria, st.just((None, None)) | narrowings), max_size=most)
    return parts.map(lambda drawn: tuple(Rule(f"rule {i}", c, *narrow) for i, (c, narrow) in enumerate(drawn)))


def protections_of(*, most: int = 3) -> st.SearchStrategy[tuple[Protection, ...]]:
    """Up to `most` protections, named by their place."""
    drawn = st.lists(protection_criteria, max_size=most)
    return drawn.map(lambda criteria: tuple(Protection(f"guard {i}", c) for i, c in enumerate(criteria)))


def _marks(pool: list[int]) -> st.SearchStrategy[Marks]:
    return st.lists(st.sampled_from(pool), min_size=2, max_size=2).map(lambda two: Marks(max(two), min(two)))


def _disk_marks() -> st.SearchStrategy[DiskMarks]:
    bytes_of_disk = st.lists(st.sampled_from(CAPACITIES), min_size=2, max_size=2)
    percents = st.lists(st.sampled_from([5.0, 10.0, 25.0]), min_size=2, max_size=2)
    return st.one_of(
        bytes_of_disk.map(lambda two: DiskMarks(min(two), max(two))),
        percents.map(lambda two: DiskMarks(Share(min(two)), Share(max(two)))),
    )


budgets = st.builds(
    Budget,
    size=st.none() | _marks([0, 1000, 2000, 4000, 6000, 10000]),
    items=st.none() | _marks([0, 1, 3, 5]),
    disk=st.none() | _disk_marks(),
    evict=st.sampled_from(["oldest", "lowest_quality", "largest"]),
)
limits = st.builds(
    Limits, st.sampled_from([None, None, 0, 1, 3, 8]), st.sampled_from([None, None, 0.0, 10.0, 25.0, 50.0])
)


def policies(
    *, most_rules: int = 4, most_protections: int = 3, with_budget: bool = True, with_limits: bool = True
) -> st.SearchStrategy[Policy]:
    """Policies with rules and protections of every kind, and with a budget and limits where they are asked for."""
    return st.builds(
        Policy,
        name=st.just("test"),
        protect=protections_of(most=most_protections),
        rules=rules_of(criteria, most=most_rules),
        budget=budgets if with_budget else st.just(Budget()),
        limits=limits if with_limits else st.just(Limits(None, None)),
    )
