"""What retiring costs follows the number of items that go, not the size of the cache."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, CacheLocation
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.model import Plan, RunResult
from audio_cache_daemon.request import Listener, RunRequest, Target
from audio_cache_daemon.retention.policy import Limits, Pattern, Policy, Rule
from builders import NOW
from endurance import SOAKING

SMALL, LARGE = 10_000, 1_000_000 if SOAKING else 200_000
RETIRED = 100
WIDTH = 64
DROP = Policy("drop", rules=(Rule("drop", Pattern("drop")),), limits=Limits(None, None))


@dataclass(frozen=True)
class Cost:
    """What a process did: bytes read and written, calls that did so, and seconds of work."""

    read: int
    written: int
    calls: int
    seconds: float

    @classmethod
    def so_far(cls) -> Cost:
        lines = Path("/proc/thread-self/io").read_text().splitlines()
        count = {name: int(value) for name, value in (line.split(": ") for line in lines)}
        return cls(count["rchar"], count["wchar"], count["syscr"] + count["syscw"], time.thread_time())

    def since(self, before: Cost) -> Cost:
        return Cost(
            self.read - before.read,
            self.written - before.written,
            self.calls - before.calls,
            self.seconds - before.seconds,
        )


def make_cache(directory: Path, rows: int) -> CacheLocation:
    """A cache of so many rows, of which a hundred, spread over it, are to go. The others share a file."""
    output = directory / "audio"
    location = CacheLocation("test", output / "audio_cache", (output,))
    location.path.mkdir(parents=True)
    drops = set(range(0, rows, rows // RETIRED))
    shared = output / "kept_1600000000000.wav"
    shared.write_bytes(b"sound")
    with (location.path / META_NAME).open("w") as meta:
        for row in range(rows):
            prompt = f"{'drop' if row in drops else 'keep'} {row}"
            path = output / f"sound_{1_600_000_000_000 + row}.wav" if row in drops else shared
            if row in drops:
                path.write_bytes(b"sound")
            meta.write(
                f'{{"path": "{path}", "prompt": "{prompt}", "prompt_norm": "{prompt}", "duration_s": 2.0, '
                f'"clap_similarity": 0.6, "timestamp": {1_600_000_000.0 + row}}}\n'
            )
    text, audio = np.zeros((rows, WIDTH), np.float32), np.zeros((rows, WIDTH), np.float32)
    text[:, 0], audio[:, 0], audio[:, 1] = 1.0, 0.6, 0.8
    for name, array in zip(ARRAY_NAMES, (text, audio, text), strict=True):
        np.save(location.path / name, array)
    return location


def retire(location: CacheLocation) -> Cost:
    """Retire what is to go: what that cost, from the plan on."""
    begun: list[Cost] = []

    def planned(plan: Plan) -> None:
        assert len(plan.rows) == RETIRED
        begun.append(Cost.so_far())

    writer = WriterSettings("live", started_file=location.path / "started")
    target = Target(CacheSettings(location, DROP, writer), location.state_directory / "audit.jsonl")
    report = run_maintenance(target, RunRequest(NOW, "one"), lambda: NOW, Listener(planned=planned))
    assert report.result == RunResult.SUCCESS
    return Cost.so_far().since(begun[0])


@pytest.mark.slow
def test_a_hundred_items_cost_the_same_in_a_large_cache_and_in_a_small_one(tmp_path: Path) -> None:
    """Within a factor of two, scan apart: in bytes and in calls. The large one has a million rows by `make soak`."""
    small, large = (retire(make_cache(tmp_path / str(rows), rows)) for rows in (SMALL, LARGE))
    print(f"of {SMALL}: {small}; of {LARGE}: {large}")  # noqa: T201 -- the figures are part of the result
    assert large.written < 2 * small.written
    assert large.read < 2 * small.read
    assert large.calls < 2 * small.calls
    # What is left are sums over columns in memory.
    assert large.seconds < small.seconds + 1e-6 * LARGE
