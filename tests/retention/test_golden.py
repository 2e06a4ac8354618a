"""Whole plans as text, for caches that a person can read: golden/NAME.yaml is a cache, golden/NAME.txt its plan.

`UPDATE_GOLDEN=1 pytest tests/retention/test_golden.py` writes the texts anew; look at the difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from inventories import NOW, Disk, RowSpec, StraySpec, Surroundings, inventory, patterns_of
from plans import protected_of, reasons_of

from audio_cache_daemon.model import ItemState, Plan, StrayKind, Truth
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import (
    Budget,
    Dedupe,
    DiskMarks,
    InState,
    KeepBest,
    Limits,
    Marks,
    MaxAge,
    Pattern,
    Policy,
    Protection,
    Rule,
    Share,
    YoungerThan,
)
from audio_cache_daemon.units import parse_duration, parse_size

GOLDEN = Path(__file__).parent / "golden"
HOUR, DAY, MEGABYTE = 3600.0, 86400.0, 10**6

careful = Policy(
    "careful",
    protect=(
        Protection("too-young", YoungerThan(HOUR)),
        Protection("brand", Pattern("brand")),
        Protection("best-take", KeepBest(1)),
    ),
    rules=(
        Rule("stale", MaxAge(30 * DAY)),
        Rule("tests", Pattern("test")),
        Rule("takes", Dedupe("prompt", 3, ("quality", "newest"))),
    ),
)
tidying = Policy(
    "tidying",
    rules=(
        Rule("same-bytes", Dedupe("content")),
        Rule("gone", InState("missing"), min_age=DAY),
        Rule("orphans", InState("orphan"), min_age=2 * DAY),
        Rule("leftovers", InState("leftover"), min_age=6 * HOUR),
    ),
)
tight = Policy(
    "tight",
    budget=Budget(size=Marks(12 * MEGABYTE, 9 * MEGABYTE), disk=DiskMarks(Share(8), Share(10))),
)
hasty = Policy(
    "hasty",
    rules=(Rule("stale", MaxAge(30 * DAY)),),
    budget=Budget(items=Marks(8, 6), evict="lowest_quality"),
    limits=Limits(10, 50),
)

CASES = {"exhibit": careful, "after_a_crash": tidying, "full_disk": tight, "implausible": hasty}


@pytest.mark.parametrize("name", CASES)
def test_a_plan_is_what_its_golden_text_says(name: str) -> None:
    """Each row and each file: kept or evicted, and why."""
    cache = yaml.safe_load((GOLDEN / f"{name}.yaml").read_text("utf-8"))
    rows = [row_from(entry) for entry in cache["rows"]]
    strays = [stray_from(entry) for entry in cache.get("strays", ())]
    disks = tuple(disk_from(entry) for entry in cache.get("disks", ())) or (Disk(),)
    policy = CASES[name]
    around = Surroundings(disks=disks, vector_bytes=5632)
    found = inventory(rows, strays, around=around, patterns=patterns_of(policy))
    text = "\n".join(describe(plan_evictions(found, policy, NOW), rows, strays)) + "\n"
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, "utf-8")
    assert text == golden.read_text("utf-8")


def row_from(entry: Mapping[str, Any]) -> RowSpec:
    """A row as the YAML says it: durations and sizes with units; what is absent is a missing value."""
    return RowSpec(
        **{
            "age": None,
            "quality": None,
            "prompt": None,
            **entry,
            **{key: parse_duration(entry[key]) for key in ("age", "missing_for") if key in entry},
            "size": parse_size(entry.get("size", "0")),
            "state": ItemState[entry.get("state", "ok").upper()],
            "matches": dict.fromkeys(entry.get("matches", ()), Truth.TRUE),
        }
    )


def stray_from(entry: Mapping[str, Any]) -> StraySpec:
    kind = StrayKind[entry["kind"].upper()]
    return StraySpec(kind, parse_duration(entry["age"]), parse_size(entry["size"]), entry.get("root", 0))


def disk_from(entry: Mapping[str, Any]) -> Disk:
    return Disk(entry["device"], parse_size(entry["free"]), parse_size(entry["size"]))


def describe(plan: Plan, rows: list[RowSpec], strays: list[StraySpec]) -> Iterator[str]:
    """The plan in lines: limits first, then each row, then each file without one."""
    yield from (f"refused by {refusal.limit}" for refusal in plan.refusals)
    yield from (f"cut short by {limit}" for limit in plan.capped)
    yield f"{len(plan.rows)} rows and {len(plan.strays)} files go, {plan.undecidable} rows are undecidable"
    reasons, protected = reasons_of(plan, plan.rows), protected_of(plan)
    for number, row in enumerate(rows):
        verdict = f"protected by {protected[number]}" if number in protected else "kept"
        if number in reasons:
            reason = reasons[number]
            verdict = f"evicted by {reason.rule}: {number_text(reason.value)}, limit {number_text(reason.threshold)}"
            verdict += f", row {reason.keeper} stays" if reason.keeper >= 0 else ""
        yield f"row {number} ({row.prompt or 'no prompt'}): {verdict}"
    reasons = reasons_of(plan, plan.strays)
    for number, stray in enumerate(strays):
        verdict = "kept"
        if number in reasons:
            reason = reasons[number]
            verdict = f"evicted by {reason.rule}: {number_text(reason.value)}, limit {number_text(reason.threshold)}"
        yield f"file {number} ({stray.kind.name.lower()}): {verdict}"


def number_text(value: float | None) -> str:
    return "none" if value is None else f"{value:.0f}"
