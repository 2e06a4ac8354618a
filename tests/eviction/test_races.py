"""A generator in a process of its own adds items while the index is compacted, at moments that nobody chose.

A trial that fails prints its seed; `RACES` in the environment is how many are made, and `RACES_SEED` the first.
"""

from __future__ import annotations

import os
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from exchanges import read_content
from generator import ARRAYS, Command, Generator, GeneratorProcess, NewItem

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.cache.vectors import check_alignment
from audio_cache_daemon.errors import DeferredError, InconsistentIndexError
from audio_cache_daemon.eviction.changes import changes_of
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.reconcile import rewrite_index
from audio_cache_daemon.eviction.recovery import recover
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import Inventory, ScanNeeds

TRIALS = int(os.environ.get("RACES", "40"))
FIRST_SEED = int(os.environ.get("RACES_SEED", "1"))

PAUSES = (0.0, 0.0002, 0.001)
"""Seconds that the generator takes between two steps of an addition; a compaction takes some ten thousandths."""

FEW = 8
"""Items below which none is dropped."""


@dataclass
class World:
    """A cache, the generator that adds to it, and what must be in it."""

    location: CacheLocation
    generator: GeneratorProcess
    items: list[NewItem] = field(default_factory=list)
    added: int = 0

    def next_items(self, count: int, chance: random.Random) -> tuple[NewItem, ...]:
        """Items to add, some of prompts that were there before, some of audio that can't be read."""
        first, self.added = self.added, self.added + count
        return tuple(
            NewItem(f"sound of {number % 7}", number, chance.choice([0.4, 0.6, 0.8, None]))
            for number in range(first, first + count)
        )

    def observe(self) -> Inventory | None:
        """The index, if it can be told that no addition is in flight: BGE vectors may lack for other reasons."""
        inventory = scan_cache(self.location, ScanNeeds())
        with suppress(InconsistentIndexError):
            check_alignment(inventory)
            if {info.rows for info in inventory.index.arrays.values()} == {len(inventory.rows)}:
                return inventory
        return None

    def compact(self, dropped: set[int]) -> str:
        """Drop items, however often it takes, while the generator goes on; what came of it."""
        for attempt in range(200):
            inventory = self.observe()
            if inventory is None:
                continue
            numbers = np.flatnonzero(inventory.rows.timestamp > 0)
            kept = np.array([int(inventory.rows.timestamp[row] - 2e9) not in dropped for row in numbers], np.bool_)
            try:
                rewrite_index(self.location, changes_of(inventory, kept), Execution("run"), lambda: None)
            except InconsistentIndexError as error:
                assert "nothing was changed" in str(error).lower(), error
                # As a run begins: what was kept because a file was torn is looked at again.
                with suppress(DeferredError):
                    recover(self.location, lambda: None)
            except DeferredError:
                return "deferred"
            else:
                return f"held at {attempt}"
        return "given up"
