"""An inventory in plain values, one object a row, for the reference planner; and what its plan is made of.

None stands for a value that is missing or can't be true.
"""

from __future__ import annotations

import math

import msgspec

from audio_cache_daemon.decodings import UNDECODABLE, Decoding
from audio_cache_daemon.model import Decoded, DecodingState, Inventory, ItemState, StrayKind, Truth
from audio_cache_daemon.retention.policy import Policy


class Item(msgspec.Struct, frozen=True):
    """A row in plain values. `device` is the file system that its file lies on."""

    number: int
    readable: bool
    state: ItemState
    age: float | None
    missing_for: float | None
    quality: float | None
    duration: float | None
    prompt: int | None
    content: int | None
    file: int
    size: int | None
    line: int
    used_elsewhere: bool
    device: int | None
    matches: dict[str, Truth]
    sound: tuple[float, ...] | None = None
    is_pinned: bool = False
    decoding: Decoding | None = None

    @property
    def selectable(self) -> bool:
        return self.readable and self.state in (ItemState.OK, ItemState.MISSING)


class Stray(msgspec.Struct, frozen=True):
    """A file without a row in plain values."""

    number: int
    kind: StrayKind
    age: float | None
    size: int
    device: int | None


class Reason(msgspec.Struct, frozen=True):
    """Why something goes; a value or threshold of None is none that could be told."""

    rule: str
    value: float | None
    threshold: float | None
    keeper: int = -1


class ReferencePlan(msgspec.Struct):
    """What goes and why, by row number and by number of the stray; and what is protected by which protection."""

    rows: dict[int, Reason] = msgspec.field(default_factory=dict)
    strays: dict[int, Reason] = msgspec.field(default_factory=dict)
    protected: dict[int, str] = msgspec.field(default_factory=dict)
    protected_strays: set[int] = msgspec.field(default_factory=set)
    refusals: set[str] = msgspec.field(default_factory=set)
    capped: set[str] = msgspec.field(default_factory=set)
    undecidable: set[int] = msgspec.field(default_factory=set)


class World(msgspec.Struct, frozen=True):
    """Everything that a decision may look at."""

    items: list[Item]
    strays: list[Stray]
    inventory: Inventory
    policy: Policy


def read_world(inventory: Inventory, policy: Policy, now: float) -> World:
    """The inventory in plain values, as they stand at `now`."""
    items = [_item(inventory, number, now) for number in range(len(inventory.rows))]
    strays = [_stray(inventory, number, now) for number in range(len(inventory.strays))]
    return World(items, strays, inventory, policy)


def _decoding(decoded: Decoded | None, number: int) -> Decoding | None:
    if decoded is None or decoded.state[number] == DecodingState.UNKNOWN:
        return None
    if decoded.state[number] == DecodingState.UNDECODABLE:
        return UNDECODABLE
    measures = (float(column[number]) for column in (decoded.seconds, decoded.peak, decoded.clipped))
    return Decoding(DecodingState.DECODED, *measures)


def _item(inventory: Inventory, number: int, now: float) -> Item:
    rows = inventory.rows
    return Item(
        number=number,
        readable=bool(rows.readable[number]),
        state=ItemState(int(rows.state[number])),
        age=_age(float(rows.timestamp[number]), now),
        missing_for=_age(float(rows.missing_since[number]), now),
        quality=_known(float(rows.quality[number])),
        duration=_known(float(rows.duration[number])),
        prompt=int(rows.prompt[number]) if rows.prompt[number] >= 0 else None,
        content=int(rows.content[number]) if rows.content[number] >= 0 else None,
        file=int(rows.file[number]),
        size=int(rows.size[number]) if rows.size[number] >= 0 else None,
        line=int(rows.offset[number + 1] - rows.offset[number]),
        used_elsewhere=bool(rows.used_elsewhere[number]),
        device=_device(inventory, int(rows.root[number])),
        matches={pattern: Truth(int(column[number])) for pattern, column in rows.matches.items()},
        sound=_sound(inventory, number),
        is_pinned=bool(rows.pinned_until[number] > now),
        decoding=_decoding(rows.decoded, number),
    )


def _sound(inventory: Inventory, number: int) -> tuple[float, ...] | None:
    sounds = inventory.rows.sounds
    if sounds is None or sounds.place[number] < 0:
        return None
    return tuple(sounds.vectors[sounds.place[number]].tolist())


def _stray(inventory: Inventory, number: int, now: float) -> Stray:
    strays = inventory.strays
    return Stray(
        number=number,
        kind=StrayKind(int(strays.kind[number])),
        age=_age(float(strays.changed[number]), now),
        size=int(strays.size[number]),
        device=_device(inventory, int(strays.root[number])),
    )


def _device(inventory: Inventory, root: int) -> int | None:
    return inventory.roots[root].device if root >= 0 else None


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _age(moment: float, now: float) -> float | None:
    """Seconds since a moment; None when it isn't known or lies in the future."""
    return None if math.isnan(moment) or moment > now else now - moment


def newest_first(item: Item) -> tuple[float, int]:
    """Newest first, a time that isn't known as the oldest of all; then by row number."""
    return (math.inf if item.age is None else item.age, item.number)


def files_of(world: World, gone: set[int]) -> dict[int, int]:
    """The size of each file that a row still names."""
    named = [item for item in world.items if item.state is ItemState.OK and item.number not in gone]
    return {item.file: item.size or 0 for item in named}


def bytes_that_go(world: World, gone: set[int]) -> int:
    """Bytes of the files that nobody names any more, here or in another cache."""
    still_named = files_of(world, gone)
    elsewhere = {item.file for item in world.items if item.used_elsewhere}
    files = files_of(world, set())
    return sum(size for file, size in files.items() if file not in still_named and file not in elsewhere)
