"""Rules that judge the sounds, from the configuration to the reason that is shown."""

from __future__ import annotations

import time
from pathlib import Path

from commands import Run
from configured import write_config

from builders import CacheBuilder


def test_quality_and_length_are_told_with_the_sign_that_the_policy_has(run: Run, tmp_path: Path) -> None:
    """In a dry run, and in an explanation also where the rule leaves the item."""
    builder = CacheBuilder(tmp_path, now=time.time())
    builder.add("rain", quality=0.2)
    builder.add("wind", quality=0.25)
    builder.add("bells", duration_s=0.0)
    rules = [
        {"name": "faint", "quality": "< 0.25"},
        {"name": "unservable", "duration": "== 0"},
        {"name": "short", "duration": "< 2s"},
    ]
    config = write_config(builder, {"rules": rules})

    dry = run("--config", config, "run-once", "--dry-run").out
    assert "0.2 < 0.25" in dry
    assert "0 == 0" in dry
    (report,) = run("--config", config, "run-once", "--dry-run", "--format", "json").json["caches"]
    assert [(entry["row"], entry["reason"]["criterion"]) for entry in report["plan"]["evict"]] == [
        (0, "quality:<"),
        (2, "duration:=="),
    ]
    explained = run("--config", config, "explain", "1").out
    assert "0.25 against 0.25" in explained
    assert "2 against 2" in explained
