"""One cache in the daemon's care, as others see it while work is done on it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

from audio_cache_daemon.config.settings import CacheSettings
from audio_cache_daemon.daemon.clock import ClockWatch
from audio_cache_daemon.daemon.household import Household
from audio_cache_daemon.daemon.keeper import Keeper
from audio_cache_daemon.daemon.pace import Pace
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.policy import Limits, Pattern, Policy, Rule
from builders import NOW, CacheBuilder


def make_target(directory: Path) -> Target:
    cache = CacheBuilder(directory)
    for number in range(4):
        cache.add(f"prompt {number}")
    policy = Policy("drop", rules=(Rule("drop", Pattern("prompt 1")),), limits=Limits(None, None))
    location = cache.write()
    return Target(CacheSettings(location, policy), location.state_directory / "audit.jsonl")


def test_whoever_sees_a_look_finds_it_counted(tmp_path: Path) -> None:
    """At every step of a look: a scrape may come between any two."""
    target = make_target(tmp_path)
    pace = Pace()
    keeper = Keeper(target, None, Household(pace, ClockWatch(pace.clock_drift, pace.settle)))
    run_maintenance(target, RunRequest(NOW, "20361231T000000Z-abcdef"), lambda: NOW)
    records = ("audio_cache_audit_records_total", (keeper.name,))
    seen: set[tuple[float, float]] = set()

    def see(_frame: FrameType, _event: str, _argument: object) -> None:
        if keeper.last_look is not None:
            seen.add((float(keeper.last_look.audit_sequence or 0), keeper.tally.samples[records]))

    sys.setprofile(see)
    try:
        keeper.look()
    finally:
        sys.setprofile(None)
        keeper.view.foresight.close()
    assert seen
    assert all(shown == counted > 0 for shown, counted in seen)
