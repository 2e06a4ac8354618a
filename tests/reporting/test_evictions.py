"""The evictions of a plan as JSON: rows, then files without a row, however many processes make them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.maintenance import preview_maintenance
from audio_cache_daemon.model import Plan
from audio_cache_daemon.reporting import run_summary
from audio_cache_daemon.reporting.evictions import iter_evictions
from audio_cache_daemon.request import Listener, RunRequest, Target
from audio_cache_daemon.retention.policy import InState, Limits, Pattern, Policy, Rule
from builders import NOW, CacheBuilder

DROP = Policy(
    "drop", rules=(Rule("drop", Pattern("drop")), Rule("left", InState("leftover"))), limits=Limits(None, None)
)


def plan_of(directory: Path, rows: int, strays: int) -> Plan:
    """A plan that takes so many rows, of which some repeat others to the letter, and so many leftovers."""
    cache = CacheBuilder(directory)
    for number in range(rows):
        cache.add("keep")
        cache.add(f"drop {number}")
    if rows:
        cache.repeat(1)
        cache.repeat(1)
    for number in range(strays):
        cache.add_stray(f"temp_rain_{number}_1700000000000.wav")
    location = cache.write()
    target = Target(CacheSettings(location, DROP, WriterSettings(mode="stopped")), directory / "audit.jsonl")
    plans: list[Plan] = []
    preview_maintenance(target, RunRequest(NOW, "run-1"), Listener(planned=plans.append))
    return plans[0]


@pytest.mark.parametrize(("rows", "strays"), [(0, 0), (0, 3), (3, 0), (3, 3), (1, 7), (7, 1)])
def test_two_processes_make_the_list_of_one(
    rows: int, strays: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tmp_path, rows, strays)
    alone = json.loads(b"".join(run_summary.spool_evictions(plan)))
    assert len(alone) == len(plan.rows) + len(plan.strays) == (rows + 2 if rows else 0) + strays
    monkeypatch.setattr(run_summary, "_WORTH_TWO", 0)
    assert json.loads(b"".join(run_summary.spool_evictions(plan))) == alone


def test_the_places_of_a_plan_are_its_rows_and_then_its_strays(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 3, 3)
    every = [view.item.id for view in iter_evictions(plan)]
    count = len(every)
    for start in range(count + 1):
        for end in range(start, count + 2):
            assert [view.item.id for view in iter_evictions(plan, start, end)] == every[start:end]
