"""Every command and example of the seed's guide has an equivalent here that works, with the same figures."""

from __future__ import annotations

import json
import os
import shlex
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Run

from builders import CacheBuilder

DAY = 86400.0

READING_EXAMPLES = (
    "stats",
    "list --limit 10",
    "list --limit 5 --sort clap_similarity",
    "list --sort duration --limit 20",
    "list --sort clap_similarity --limit 10",
    "list --oldest-first --limit 10",
    "list --sort prompt",
    "grouped",
    "duplicates",
    "clean --days 30 --dry-run",
    "clean --days 7 --dry-run",
    'remove-pattern "test.*" --dry-run',
)
REMOVING_EXAMPLES = {
    "clean --days 30": 6,
    "clean --days 7": 4,
    "clear --confirm": 0,
    "duplicates --remove-duplicates --confirm": 7,
    'remove-pattern "test.*" --confirm': 7,
    'remove-pattern "(test|debug|temp)" --confirm': 5,
}
"""What the guide shows, and how many of the nine items stay."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nine items in `audio_cache/`, in the working directory; nothing changed there for two days."""
    builder = CacheBuilder(tmp_path, now=time.time())
    for prompt, age, quality in (
        ("Rain on leaves", 40, 0.41),
        ("Rain on leaves", 3, 0.55),
        ("Rain on leaves", 2, 0.38),
        ("test tone", 1, 0.2),
        ("A quiet TEST", 8, 0.3),
        ("debug noise", 5, 0.33),
        ("temp loop", 45, 0.36),
        ("Waves", 10, 0.61),
        ("Wind", 50, 0.5),
    ):
        builder.add(prompt, age=age, quality=quality, audio=prompt.encode() * age)
    location = builder.write()
    settle(location.path)
    monkeypatch.chdir(location.path.parent)
    return location.path


def settle(cache: Path) -> None:
    """Let the index look as if its generator had been quiet for two days."""
    for path in cache.iterdir():
        os.utime(path, (time.time() - 2 * DAY,) * 2)


def read_rows(cache: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (cache / "meta.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("example", READING_EXAMPLES)
def test_reading_examples_work_and_change_nothing(example: str, cache: Path, run: Run) -> None:
    """A command that reads ends with status 0, says something, and leaves every byte and name as it was."""
    before = snapshot(cache.parent)

    ran = run(*shlex.split(example))

    assert ran.status == 0
    assert ran.out
    assert snapshot(cache.parent) == before


@pytest.mark.parametrize("example", REMOVING_EXAMPLES)
def test_removing_examples_remove_rows_vectors_and_audio_together(example: str, cache: Path, run: Run) -> None:
    """What stays is whole: as many rows as vectors, and a file for each row, and no file without one."""
    ran = run(*shlex.split(example))

    assert ran.status == 0, ran.err
    rows = read_rows(cache)
    assert len(rows) == REMOVING_EXAMPLES[example]
    for name in ("clap_text.npy", "clap_audio.npy", "bge_text.npy"):
        array = np.load(cache / name)
        assert array.shape == (len(rows), array.shape[1])
    assert {row["path"] for row in rows} == {str(path) for path in cache.parent.glob("*.wav")}


def test_cache_dir_may_stand_before_the_command_as_in_the_guide(cache: Path, run: Run) -> None:
    """`--cache-dir /path/to/cache stats` and `stats --cache-dir /path/to/cache` are one."""
    before = run("--cache-dir", cache, "stats", "--format", "json").json
    behind = run("stats", "--cache-dir", cache, "--format", "json").json
    assert before == behind


def test_cache_dir_with_clear_empties_that_cache(cache: Path, run: Run, tmp_path: Path) -> None:
    """`--cache-dir ./tmp_cache clear --confirm` clears the named cache."""
    other = CacheBuilder(tmp_path / "other", now=time.time())
    other.add("rain")
    settle(other.write().path)

    assert run("--cache-dir", other.location.path, "clear", "--confirm").status == 0

    assert read_rows(other.location.path) == []
    assert len(read_rows(cache)) == 9


def test_stats_agree_with_the_rows_and_the_files(cache: Path, run: Run) -> None:
    """Counts, sums and averages are what one gets by adding up the index by hand."""
    rows = read_rows(cache)
    figures = run("stats", "--format", "json").json["caches"][0]

    assert figures["items"] == 9
    assert figures["unique_prompts"] == 7
    assert figures["duplicates"] == 2
    assert figures["audio_bytes"] == sum(Path(row["path"]).stat().st_size for row in rows)
    assert figures["quality"]["average"] == pytest.approx(np.mean([row["clap_similarity"] for row in rows]))
    assert figures["duration"]["average"] == pytest.approx(np.mean([row["duration_s"] for row in rows]))
    assert figures["missing"] == 0


@pytest.mark.parametrize("key", ["timestamp", "clap_similarity", "duration", "prompt"])
@pytest.mark.parametrize("oldest_first", [False, True])
def test_list_is_in_the_seeds_order(key: str, oldest_first: bool, cache: Path, run: Run) -> None:
    """The highest value first, or the lowest with --oldest-first; equals in the order of the index."""
    field = {"duration": "duration_s", "prompt": "prompt_norm"}.get(key, key)
    rows = list(enumerate(read_rows(cache)))
    expected = [number for number, _ in sorted(rows, key=lambda row: row[1][field], reverse=not oldest_first)]

    options = ["--oldest-first"] if oldest_first else []
    items = run("list", "--sort", key, *options, "--format", "json").json["caches"][0]["items"]

    assert [item["row"] for item in items] == expected


def test_duplicates_keeps_the_newest_whose_file_is_there(cache: Path, run: Run) -> None:
    """A row whose sound is missing is no reason to remove one that can be played."""
    newest = min(
        (row for row in read_rows(cache) if row["prompt_norm"] == "rain on leaves"), key=lambda row: -row["timestamp"]
    )
    Path(newest["path"]).unlink()

    run("duplicates", "--remove-duplicates", "--confirm")

    kept = [row for row in read_rows(cache) if row["prompt_norm"] == "rain on leaves"]
    assert len(kept) == 1
    assert Path(kept[0]["path"]).exists()


@pytest.mark.usefixtures("cache")
def test_output_has_the_seeds_symbols_on_a_terminal_only(run: Run) -> None:
    """A pipe gets text: no symbols, no colour."""
    piped = run("stats").out
    assert "\x1b" not in piped
    assert "📁" not in piped


def snapshot(directory: Path) -> dict[str, bytes | None]:
    """Names and contents of everything in a directory."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(directory.rglob("*"))}
