"""Retired rows dropped from the index: one rewrite of all of its files."""

from __future__ import annotations

from audio_cache_daemon.eviction.directories import create_file, make_state_directory
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.rewrite import REWRITE, exchange_index, finish_rewrite, prepare_rewrite
from audio_cache_daemon.eviction.space import check_room
from audio_cache_daemon.manifest import MANIFEST_NAME
from audio_cache_daemon.model import Inventory, ItemState


def compact_retired(inventory: Inventory, execution: Execution) -> None:
    """Drop the retired rows. DeferredError when the new files don't fit beside the old; nothing was changed then."""
    location = inventory.location
    kept = inventory.rows.state != ItemState.RETIRED
    check_room(inventory, kept)
    finish_rewrite(location)
    # Recovery reads a manifest of files that go with a rewrite; with this one none does.
    create_file(make_state_directory(location.path, REWRITE, "saved") / MANIFEST_NAME).close()
    exchange_index(location, prepare_rewrite(inventory, kept, execution))
    finish_rewrite(location)
