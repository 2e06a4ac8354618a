"""On a disk that is too full: what goes first, what isn't kept, and what is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.errors import DeferredError
from audio_cache_daemon.eviction.space import RESERVE_BYTES, check_room, space_in_reserve
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.model import RunReport, ScanNeeds
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.policy import Budget, DiskMarks, Limits, Pattern, Policy, Rule, Share
from builders import NOW, CacheBuilder

NO_LIMITS = Limits(max_items=None, max_percent=None)
DROP = Policy("drop", rules=(Rule("drop", Pattern("drop")),), limits=NO_LIMITS)
ALWAYS_SHORT = Budget(disk=DiskMarks(Share(100), Share(100)))
"""Marks that no disk with a file on it can meet."""


def make_cache(directory: Path) -> CacheLocation:
    cache = CacheBuilder(directory)
    for number in range(6):
        cache.add("drop this" if number < 2 else f"keep {number}")
    return cache.write()


def run(location: CacheLocation, policy: Policy, name: str) -> RunReport:
    target = Target(
        CacheSettings(location, policy, WriterSettings(mode="stopped")), location.state_directory / "audit.jsonl"
    )
    return run_maintenance(target, RunRequest(NOW, name), lambda: NOW)


def events(location: CacheLocation) -> list[str]:
    lines = (location.state_directory / "audit.jsonl").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_the_trash_goes_first_and_what_follows_goes_for_good(tmp_path: Path) -> None:
    """A file in the trash frees nothing: under `min_free` it is emptied, then bypassed, and the audit says so."""
    location = make_cache(tmp_path)
    run(location, DROP, "one")
    assert (location.state_directory / "trash" / "one").exists()
    short = replace(DROP, rules=(Rule("more", Pattern("keep 2")),), budget=ALWAYS_SHORT)
    run(location, replace(short, protect=()), "two")
    assert list((location.state_directory / "trash").iterdir()) == []
    found = events(location)
    assert found.index("trash_emptied") < found.index("trash_bypassed") < len(found) - 1 - found[::-1].index("removed")


def test_bytes_in_the_trash_count_as_free(tmp_path: Path) -> None:
    """No item goes for room that emptying the trash makes."""
    location = make_cache(tmp_path)
    run(location, DROP, "one")
    inventory = scan_cache(location, ScanNeeds(coming=True))
    assert inventory.roots[0].coming == len("sound 0") + len("sound 1")
    assert scan_cache(location, ScanNeeds()).roots[0].coming == 0


def test_a_rewrite_that_does_not_fit_says_how_many_bytes_it_needs(tmp_path: Path) -> None:
    """Before anything is written."""
    inventory = scan_cache(make_cache(tmp_path), ScanNeeds())
    wide = {name: replace(info, width=2**50) for name, info in inventory.index.arrays.items()}
    huge = replace(inventory, index=replace(inventory.index, arrays=wide))
    kept = np.array([False, True, False, False, False, False])
    needed = int(np.diff(inventory.rows.offset)[1]) + huge.index.vector_bytes
    with pytest.raises(DeferredError, match=f"needs {needed} bytes"):
        check_room(huge, kept)
    check_room(inventory, kept)


def test_room_is_kept_in_reserve(tmp_path: Path) -> None:
    """As long as the disk isn't nearly full."""
    with space_in_reserve(tmp_path):
        assert not (tmp_path / "reserve").exists()
    assert (tmp_path / "reserve").stat().st_size == RESERVE_BYTES
