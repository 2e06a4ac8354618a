"""Rules that judge the sounds, from the configuration to the reason that is shown."""

from __future__ import annotations

import json
import subprocess
import sys
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


def test_of_a_prompt_the_good_takes_stay_that_are_unlike_each_other(run: Run, tmp_path: Path) -> None:
    """From the vectors on disk; while they can't be matched, none goes, and the dry run says so."""
    builder = CacheBuilder(tmp_path, now=time.time())
    for quality in (0.9, 0.899, 0.3, 0.2):
        builder.add("rain", quality=quality)
    builder.add("wind", quality=0.1)
    takes = {"name": "takes", "dedupe": {"by": "prompt", "keep": 3, "prefer": ["diverse"]}}
    config = write_config(builder, {"rules": [takes]})

    (report,) = run("--config", config, "run-once", "--dry-run", "--format", "json").json["caches"]
    ((gone,),) = (report["plan"]["evict"],)
    assert gone["reason"] == {"criterion": "dedupe:prompt", "value": 4.0, "threshold": 3.0}

    builder.drop_array_rows("clap_audio.npy")
    spoiled = run("--config", config, "run-once", "--dry-run")
    assert "0 of 5 items would go" in spoiled.out
    assert "no item goes by how it sounds: clap_audio.npy has 4 rows for 5 lines" in spoiled.err + spoiled.out


def test_explain_names_what_a_rule_keeps_in_the_place_of_a_copy(run: Run, tmp_path: Path) -> None:
    """And nothing where the rule goes by the item alone."""
    builder = CacheBuilder(tmp_path, now=time.time())
    builder.add("rain", quality=0.9, audio=b"the same")
    builder.add("drizzle", quality=0.3, audio=b"the same")
    builder.add("wind", quality=0.2)
    same = {"name": "same", "dedupe": {"by": "content", "keep": 1, "prefer": ["quality"]}}
    config = write_config(builder, {"rules": [same, {"name": "faint", "quality": "< 0.25"}]})

    (copy,) = run("--config", config, "explain", "drizzle", "--format", "json").json["items"]
    assert (copy["rule"], copy["keeper"]["row"], copy["keeper"]["prompt"]) == ("same", 0, "rain")
    assert "same keeps in its place: rain (row 0)" in run("--config", config, "explain", "drizzle").out
    (faint,) = run("--config", config, "explain", "wind", "--format", "json").json["items"]
    assert (faint["rule"], faint["keeper"]) == ("faint", None)


def test_a_command_of_its_own_reads_many_files_by_two_processes_and_finds_the_same_copies(tmp_path: Path) -> None:
    """Each content three times: one stays."""
    builder = CacheBuilder(tmp_path, now=time.time())
    for number in range(3000):
        builder.add("rain", audio=b"%8d" % (number % 1000))
    config = write_config(builder, {"rules": [{"name": "same", "dedupe": {"by": "content", "keep": 1}}]})

    words = [
        sys.executable,
        "-m",
        "audio_cache_daemon",
        "--config",
        config,
        "run-once",
        "--dry-run",
        "--format",
        "json",
    ]
    (report,) = json.loads(subprocess.run(list(map(str, words)), capture_output=True, check=True).stdout)["caches"]
    contents = [entry["row"] % 1000 for entry in report["plan"]["evict"]]
    assert sorted(contents) == sorted([*range(1000), *range(1000)])
