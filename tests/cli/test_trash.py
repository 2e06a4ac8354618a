"""What was removed can be brought back, until it is too old or too much."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Run

from builders import DAY, CacheBuilder

ARRAYS = ("clap_text.npy", "clap_audio.npy", "bge_text.npy")
Item = tuple[bytes, bytes | None, tuple[bytes, ...]]


@pytest.fixture
def builder(tmp_path: Path) -> CacheBuilder:
    builder = CacheBuilder(tmp_path, now=time.time())
    for prompt, age in (("rain", 40), ("wind", 50), ("bells", 1), ("rain", 45), ("waves", 3)):
        builder.add(prompt, age=age, quality=age / 100)
    builder.add("gone", age=60, audio=None)
    builder.add_stray("temp_rain_1700000000000.wav", age=9)
    builder.write()
    return builder


@pytest.fixture
def config(builder: CacheBuilder, tmp_path: Path) -> Path:
    return configure(builder, tmp_path, {"keep": "7d"})


def configure(builder: CacheBuilder, tmp_path: Path, trash: dict[str, Any]) -> Path:
    policy = {
        "rules": [{"name": "stale", "max_age": "30d"}, {"name": "leftovers", "state": "leftover"}],
        "limits": {"max_percent": "none"},
        "trash": trash,
    }
    location = builder.location
    cache = {
        "path": str(location.path),
        "audio_roots": [str(builder.output)],
        "policy": "p",
        "writer": {"mode": "stopped"},
    }
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"version": 1, "caches": {"c": cache}, "policies": {"p": policy}}))
    return config


def items(cache: Path) -> list[Item]:
    """Each item whole: the bytes of its row, of its file (None: missing) and of its vectors; in no order."""
    arrays = [np.load(cache / name) for name in ARRAYS]
    lines = (cache / "meta.jsonl").read_bytes().splitlines(keepends=True)
    assert {len(array) for array in arrays} == {len(lines)}
    result = []
    for number, line in enumerate(lines):
        path = Path(json.loads(line)["path"])
        content = path.read_bytes() if path.exists() else None
        result.append((line, content, tuple(array[number].tobytes() for array in arrays)))
    return sorted(result, key=lambda item: item[0])


def run_of(config: Path, run: Run) -> str:
    (cache,) = run("--config", config, "trash", "list", "--format", "json").json["caches"]
    (trashed,) = cache["runs"]
    name: str = trashed["run"]
    return name


def test_a_restored_run_is_byte_for_byte_what_it_was(config: Path, builder: CacheBuilder, run: Run) -> None:
    """Rows, vectors and files; the file without a row too; and the trash is empty again."""
    before = items(builder.location.path)
    assert run("--config", config, "run-once").status == 0
    assert len(items(builder.location.path)) == 2

    ran = run("--config", config, "trash", "restore", run_of(config, run), "--format", "json")

    assert ran.status == 0
    assert ran.json["restored"] == 5
    assert items(builder.location.path) == before
    assert (builder.output / "temp_rain_1700000000000.wav").exists()
    assert run("--config", config, "trash", "list", "--format", "json").json["caches"][0]["runs"] == []


def test_twenty_rounds_of_evict_and_restore_change_nothing(config: Path, builder: CacheBuilder, run: Run) -> None:
    """`clear` and back, again and again."""
    before = items(builder.location.path)
    for _ in range(20):
        assert run("--config", config, "clear", "--confirm").status == 0
        assert items(builder.location.path) == []
        assert run("--config", config, "trash", "restore", run_of(config, run)).status == 0
        forget_protection(builder.location.path)
    assert items(builder.location.path) == before


def forget_protection(cache: Path) -> None:
    path = cache / ".audio-cache-daemon" / "state.json"
    state = json.loads(path.read_bytes())
    state["memory"]["held"] = ""
    path.write_text(json.dumps(state))


def test_single_items_come_back_by_path_and_the_rest_stays(config: Path, builder: CacheBuilder, run: Run) -> None:
    """And the others can be brought back later."""
    before = items(builder.location.path)
    wind = next(builder.output.glob("wind*.wav"))
    run("--config", config, "run-once")
    name = run_of(config, run)

    assert run("--config", config, "trash", "restore", name, wind.name, "--format", "json").json["restored"] == 1
    assert wind.exists()
    assert len(items(builder.location.path)) == 3

    assert run("--config", config, "trash", "restore", name, "--format", "json").json["restored"] == 4
    assert items(builder.location.path) == before


def test_what_was_restored_is_protected_afterwards(config: Path, run: Run) -> None:
    """The rule that took it would take it again at once."""
    run("--config", config, "run-once")
    run("--config", config, "trash", "restore", run_of(config, run))

    report = run("--config", config, "run-once", "--dry-run", "--format", "json").json["caches"][0]
    assert report["plan"]["by_rule"]["stale"]["items"] == 0
    explained = run("--config", config, "explain", "wind", "--format", "json").json["items"][0]
    assert {"name": "restored", "verdict": "true"} in explained["protections"]

    later = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 9 * DAY))
    report = run("--config", config, "run-once", "--dry-run", "--as-of", later, "--format", "json").json["caches"][0]
    assert report["plan"]["by_rule"]["stale"]["items"] == 4


def test_a_place_that_is_taken_is_not_overwritten(config: Path, builder: CacheBuilder, run: Run) -> None:
    """The item stays in the trash, the others come back, and the status says partly."""
    wind = next(builder.output.glob("wind*.wav"))
    run("--config", config, "run-once")
    wind.write_bytes(b"somebody's new work")

    ran = run("--config", config, "trash", "restore", run_of(config, run), "--format", "json")

    assert ran.status == 4
    assert ran.json["restored"] == 4
    assert wind.read_bytes() == b"somebody's new work"
    assert "wind" not in [json.loads(line)["prompt"] for line, _, _ in items(builder.location.path)]


def test_an_item_comes_back_once(config: Path, builder: CacheBuilder, run: Run) -> None:
    """A second try finds nothing to bring back."""
    run("--config", config, "run-once")
    name = run_of(config, run)
    wind = "wind"
    (found,) = run("--config", config, "audit", "--item", wind, "--format", "json").json["records"]
    assert run("--config", config, "trash", "restore", name, found["item"]["id"]).status == 0
    assert run("--config", config, "trash", "restore", name, found["item"]["id"]).status == 2
    assert len(items(builder.location.path)) == 3


def test_no_row_is_added_under_a_running_generator(config: Path, builder: CacheBuilder, run: Run) -> None:
    """It would be lost, or misplaced; what needs none comes back."""
    run("--config", config, "run-once")
    ran = run("--config", config, "--live", "trash", "restore", run_of(config, run))
    assert ran.status == 4
    assert "--writer-stopped" in ran.err
    assert len(items(builder.location.path)) == 2


def test_what_is_retired_can_be_brought_back_before_its_files_went(
    config: Path, builder: CacheBuilder, run: Run
) -> None:
    """It is listed without an end, and gets its vectors back under the running generator, to the last byte."""
    before = items(builder.location.path)
    run("--config", config, "--live", "run-once")
    assert items(builder.location.path) != before
    listed = run("--config", config, "trash", "list", "--format", "json").json["caches"][0]["runs"]
    (pending,) = [found for found in listed if found["pending"]]
    assert pending["until"] is None
    ran = run("--config", config, "--live", "trash", "restore", pending["run"], "--format", "json")
    assert ran.status == 0
    assert ran.json["restored"] == pending["items"]
    assert items(builder.location.path) == before
    assert (
        run("--config", config, "--live", "run-once", "--format", "json").json["caches"][0]["outcome"]["evicted"] == 0
    )


def test_emptying_asks_and_removes_for_good(config: Path, builder: CacheBuilder, run: Run) -> None:
    """Without --confirm nothing goes; afterwards nothing of the run is left, and the audit log knows."""
    run("--config", config, "run-once")
    assert run("--config", config, "trash", "empty").status == 2
    assert run_of(config, run)
    assert run("--config", config, "trash", "empty", "--confirm").status == 0
    assert run("--config", config, "trash", "list", "--format", "json").json["caches"][0]["runs"] == []
    assert list(builder.output.rglob("trash/*/*")) == []
    assert run("--config", config, "audit", "--event", "trash_emptied", "--format", "json").json["records"]


def test_keep_0_removes_for_good_at_once(builder: CacheBuilder, tmp_path: Path, run: Run) -> None:
    """No trash is kept."""
    config = configure(builder, tmp_path, {"keep": 0})
    assert run("--config", config, "run-once").status == 0
    assert run("--config", config, "trash", "list", "--format", "json").json["caches"][0]["runs"] == []


def test_a_run_larger_than_the_trash_is_refused(builder: CacheBuilder, tmp_path: Path, run: Run) -> None:
    """It could not be undone, and isn't destroyed in silence."""
    config = configure(builder, tmp_path, {"keep": "7d", "max_size": "1B"})
    ran = run("--config", config, "run-once")
    assert ran.status == 3
    assert "trash.max_size" in ran.err
    assert len(items(builder.location.path)) == 6


def test_a_run_makes_room_in_the_trash(builder: CacheBuilder, tmp_path: Path, run: Run) -> None:
    """The oldest run goes for good when both don't fit."""
    config = configure(builder, tmp_path, {"keep": "7d", "max_size": "25B"})
    run("--config", config, "run-once", "--rule", "leftovers")
    first = run_of(config, run)
    assert run("--config", config, "run-once").status == 0
    assert run_of(config, run) != first


def test_a_run_with_nothing_to_evict_empties_what_is_too_old(config: Path, builder: CacheBuilder, run: Run) -> None:
    """The disk gets its space back without waiting for the next eviction."""
    run("--config", config, "run-once")
    (note,) = builder.location.path.glob(".audio-cache-daemon/trash/*/run.json")
    values = json.loads(note.read_bytes())
    note.write_text(json.dumps({**values, "time": values["time"] - 8 * DAY}))
    assert run("--config", config, "run-once", "--format", "json").json["caches"][0]["result"] == "noop"
    assert run("--config", config, "trash", "list", "--format", "json").json["caches"][0]["runs"] == []
