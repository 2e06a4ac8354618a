"""Sentinels: what an inventory looks like when something is wrong with the world and not with the cache.

They are always on. Each says what it saw and how to go on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from audio_cache_daemon.model import Inventory, ItemState, Memory, Refusal
from audio_cache_daemon.units import format_time

CLOCK_TOLERANCE_SECONDS = 60.0
"""How far a clock may be set back in ordinary life: time servers step by less."""

SHRUNK_BELOW = 0.5
"""An index that lost more than this share of its rows since the last good run was replaced, not cleaned."""

_LOST_SHARE = 10
"""On another device a directory is the one of before if at most one in so many of its files is gone."""


def check_sentinels(
    inventory: Inventory, memory: Memory | None, now: float, accepted: Collection[str] = ()
) -> tuple[Refusal, ...]:
    """What is implausible about an inventory, given what is remembered of the last good run.

    `accepted` names what the operator has looked at and accepts: "index", "root", "clock".
    """
    refusals: list[Refusal] = []
    if "index" not in accepted and memory is not None:
        refusals += _shrunk_index(inventory, memory)
    if "root" not in accepted:
        refusals += _wrong_roots(inventory, memory)
    if "clock" not in accepted and memory is not None:
        refusals += _clock_set_back(memory, now)
    return tuple(refusals)


def _shrunk_index(inventory: Inventory, memory: Memory) -> Iterator[Refusal]:
    if len(inventory.rows) < memory.rows * SHRUNK_BELOW:
        yield Refusal(
            "index_shrank",
            f"{inventory.location.path} has {len(inventory.rows)} rows, and had {memory.rows} after the last run: "
            "was the index replaced or truncated? If that is right, go on with --accept-index",
        )


def _wrong_roots(inventory: Inventory, memory: Memory | None) -> Iterator[Refusal]:
    named = inventory.rows.root[inventory.rows.state != ItemState.RETIRED]
    found = inventory.rows.root[inventory.rows.state == ItemState.OK]
    how_to_go_on = "is its volume mounted? If that is right, go on with --accept-root"
    for number, root in enumerate(inventory.roots):
        known = memory.roots.get(str(root.path)) if memory is not None else None
        if root.inode is None:
            # A root that never was there and that no row names is a path still to be filled.
            if known is not None or np.any(named == number):
                yield Refusal("root_gone", f"the audio root {root.path} isn't there; {how_to_go_on}")
        elif known is not None and not _is_known(inventory, number, known):
            yield Refusal(
                "root_replaced", f"the audio root {root.path} is another directory than before; {how_to_go_on}"
            )
        elif np.any(named == number) and not np.any(found == number):
            yield Refusal("root_empty", f"none of the files that rows name in {root.path} is there; {how_to_go_on}")


def _is_known(inventory: Inventory, number: int, known: tuple[int, int]) -> bool:
    """Whether an audio root is the directory of this device and inode.

    A volume has another device number whenever it is mounted (network file systems, Btrfs, overlays), and a disk
    perhaps after a restart. Then the files that rows name tell: those that weren't missing before are there.
    """
    rows, root = inventory.rows, inventory.roots[number]
    device, inode = known
    if device == root.device or inode != root.inode:
        return known == (root.device, root.inode)
    here = rows.root == number
    found = int((here & rows.present()).sum())
    lost = int((here & rows.missing() & np.isnan(rows.missing_since)).sum())
    if found + lost == 0:
        return not np.any(inventory.strays.root == number)
    return lost * _LOST_SHARE <= found + lost


def _clock_set_back(memory: Memory, now: float) -> Iterator[Refusal]:
    if now < memory.last_run - CLOCK_TOLERANCE_SECONDS:
        yield Refusal(
            "clock",
            f"it is {format_time(now)} by the clock, before the last run at {format_time(memory.last_run)}; "
            "set the clock, or, if it is right now, go on with --accept-clock",
        )
