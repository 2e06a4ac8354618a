"""Sounds that were compared are not compared again by a later run, and what is new is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cache_runs import NO_LIMITS, run_policy

from audio_cache_daemon.likenesses import likenesses_path
from audio_cache_daemon.location import CLAP_AUDIO_NAME, CacheLocation
from audio_cache_daemon.model import Bools, Ints, RunReport, RunResult, Sounds
from audio_cache_daemon.retention import likeness
from audio_cache_daemon.retention.policy import Dedupe, KeepBest, Policy, Protection, Rule
from builders import CacheBuilder

COUNT = 200

POLICY = Policy(
    "test",
    protect=(Protection("best", KeepBest(1)),),
    rules=(Rule("copies", Dedupe("sound", similarity=0.99999, within="cache")),),
    limits=NO_LIMITS,
)


@pytest.fixture
def cache(tmp_path: Path) -> CacheBuilder:
    """Sounds of prompts of their own, and takes of one prompt, two of them with each score."""
    cache = CacheBuilder(tmp_path)
    for number in range(COUNT):
        cache.add(f"prompt {number}" if number % 2 else "rain", quality=0.3 + number // 4 / 1000)
    return cache


def repeat_sound(location: CacheLocation, row: int, of: int) -> None:
    """Make a row sound like another one of the same prompt and score."""
    array = np.load(location.path / CLAP_AUDIO_NAME)
    array[row] = array[of]
    np.save(location.path / CLAP_AUDIO_NAME, array)


def evicted(report: RunReport) -> int:
    assert report.outcome is not None
    return report.outcome.evicted


def test_a_later_run_compares_what_is_new_alone(cache: CacheBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    """And finds the copy among it; what it settled is known to the next one."""
    compared: list[int] = []
    compare = likeness._may_be_alike

    def count(sounds: Sounds, rows: Ints, others: Ints, similarity: float) -> Bools:
        compared.append(len(rows) * len(others))
        return compare(sounds, rows, others, similarity)

    monkeypatch.setattr(likeness, "_may_be_alike", count)
    assert run_policy(cache.write(), POLICY).result == RunResult.NOOP
    assert sum(compared) >= COUNT * COUNT / 2
    cache.add("rain", quality=0.3)
    location = cache.write()
    repeat_sound(location, COUNT, 2)
    compared.clear()
    report = run_policy(location, POLICY, "run-2")
    assert (evicted(report), sum(compared)) == (1, 2 * (COUNT + 1)), "the new one, and the one that it equals"
    compared.clear()
    assert run_policy(location, POLICY, "run-3").result == RunResult.NOOP
    assert sum(compared) == 0
    remembered = json.loads(likenesses_path(location).read_bytes())
    assert len(remembered["unlike"]) + len(remembered["protected"]) == COUNT


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version":2}', b"\xff"])
def test_what_cannot_be_read_is_compared_anew(cache: CacheBuilder, content: bytes) -> None:
    location = cache.write()
    repeat_sound(location, 2, 0)
    location.state_directory.mkdir()
    likenesses_path(location).write_bytes(content)
    assert evicted(run_policy(location, POLICY)) == 1
