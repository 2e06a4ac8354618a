"""`run-once --dry-run --kept`: what stays, and why."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from commands import Run
from configured import write_config

from builders import CacheBuilder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An old item, a young one, one of unknown age, one that nothing selects, and a new orphan."""
    builder = CacheBuilder(tmp_path, now=time.time())
    builder.add("rain", age=40)
    builder.add("wind", age=0.01)
    builder.add("sea", timestamp=0.0)
    builder.add("bells", age=2, audio=None)
    builder.add("street", age=2)
    builder.add_stray("lost_1700000000000.wav")
    policy = {
        "protect": [{"name": "young", "age": "< 1h"}],
        "rules": [{"name": "unservable", "duration": "== 0"}, {"name": "stale", "max_age": "30d"}],
    }
    policy["protect"].append({"name": "bells", "pattern": "bells"})
    return write_config(builder, policy)


def test_what_stays_is_listed_with_its_reason(run: Run, config: Path) -> None:
    """Beside what goes, in one object; together they are all items and files."""
    (report,) = run("--config", config, "run-once", "--dry-run", "--kept", "--format", "json").json["caches"]
    keep = report["plan"]["keep"]
    assert [(entry["row"], entry["reason"]) for entry in keep] == [
        (1, {"kind": "protected", "by": "young"}),
        (2, {"kind": "protected", "by": "young"}),
        (3, {"kind": "protected", "by": "bells"}),
        (4, {"kind": "unselected", "by": None}),
        (None, {"kind": "protected", "by": "young"}),
    ]
    assert [entry["row"] for entry in report["plan"]["evict"]] == [0]
    assert keep[2]["bytes"] is None
    assert keep[1]["timestamp"] is None


def test_the_table_counts_the_reasons_and_lists_items(run: Run, config: Path) -> None:
    """As many as asked for; the rest is counted."""
    ran = run("--config", config, "run-once", "--dry-run", "--kept", "--limit", "3")
    assert "5 would stay" in ran.out
    assert "protected by young" in ran.out
    assert "nothing selects it" in ran.out
    assert "and 2 more" in ran.out


def test_without_being_asked_for_it_is_not_there(run: Run, config: Path) -> None:
    """It may be a hundred thousand items; and a run that removes shows what it removed."""
    (report,) = run("--config", config, "run-once", "--dry-run", "--format", "json").json["caches"]
    assert "keep" not in report["plan"]
    assert run("--config", config, "run-once", "--kept").status == 2
