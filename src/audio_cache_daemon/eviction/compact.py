"""Retired rows dropped from the index: one rewrite of all of its files."""

from __future__ import annotations

from audio_cache_daemon.eviction.changes import changes_of
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.reconcile import rewrite_index
from audio_cache_daemon.eviction.space import check_room
from audio_cache_daemon.model import Inventory, ItemState


def compact_retired(inventory: Inventory, execution: Execution) -> None:
    """Drop the retired rows. DeferredError when the new files don't fit beside the old: nothing was changed then.

    Or when the generator was adding an item meanwhile: the next run goes on.
    """
    location = inventory.location
    kept = inventory.rows.state != ItemState.RETIRED
    check_room(inventory, kept)
    rewrite_index(location, changes_of(inventory, kept), execution)
