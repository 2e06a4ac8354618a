"""The real service as a process, but quicker: a minute of its schedule is a second, and its margins are short.

`quick_service.py CONFIG [PACE]`: what stands in PACE, as JSON, isn't quickened but as it says.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from audio_cache_daemon.config.load import load_settings
from audio_cache_daemon.config.settings import CacheSettings, Settings
from audio_cache_daemon.daemon.pace import Pace
from audio_cache_daemon.daemon.service import Service

QUICK = Pace(
    tick=0.05,
    scan=0.3,
    scan_cost=0.0,
    pressure_gap=0.5,
    catch_up=0.2,
    retry=0.2,
    generator=0.1,
    config=0.1,
    control=0.1,
    publish=0.05,
    settle=3.0,
    heartbeat=0.2,
)


def load_quickened(path: Path, environ: Mapping[str, str]) -> Settings:
    """A configuration whose intervals are a sixtieth of what the file says."""
    settings = load_settings(path, environ)
    return replace(settings, caches={name: _quickened(cache) for name, cache in settings.caches.items()})


def _quickened(cache: CacheSettings) -> CacheSettings:
    schedule = cache.policy.schedule
    if schedule is None or schedule.every is None:
        return cache
    return replace(cache, policy=replace(cache.policy, schedule=replace(schedule, every=schedule.every / 60)))


if __name__ == "__main__":
    pace = replace(QUICK, **json.loads(sys.argv[2]) if len(sys.argv) > 2 else {})
    Service(Path(sys.argv[1]), os.environ, pace, load_quickened).run()
