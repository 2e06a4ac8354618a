"""`pin`, `unpin`, `pins`: what a person protects stays, wherever its row moves to."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from commands import Run
from configured import write_config
from test_seed_guide import read_rows

from audio_cache_daemon.pins import pins_path
from builders import CacheBuilder


@pytest.fixture
def builder(tmp_path: Path) -> CacheBuilder:
    """Four old items: two takes of rain, wind, and bells of unknown age."""
    builder = CacheBuilder(tmp_path, now=time.time())
    builder.add("rain", age=40)
    builder.add("wind", age=41)
    builder.add("rain", age=42)
    builder.add("bells", timestamp=0.0, quality=0.1)
    return builder


@pytest.fixture
def config(builder: CacheBuilder) -> Path:
    rules = [{"name": "stale", "max_age": "30d"}, {"name": "faint", "quality": "< 0.2"}]
    return write_config(builder, {"rules": rules, "limits": {"max_items": 10, "max_percent": "none"}})


def _planned(run: Run, config: Path) -> list[int]:
    (report,) = run("--config", config, "run-once", "--dry-run", "--format", "json").json["caches"]
    return [entry["row"] for entry in report["plan"]["evict"]]


def test_what_is_pinned_stays_and_its_row_may_move(run: Run, config: Path, builder: CacheBuilder) -> None:
    """The row before it goes in the first run, with a rewrite of the index; the pin holds in the second."""
    assert run("--config", config, "pin", "wind", "--reason", "the opening").status == 0
    assert _planned(run, config) == [0, 2, 3]
    run("--config", config, "run-once")
    assert [row["prompt"] for row in read_rows(builder.location.path)] == ["wind"]
    assert _planned(run, config) == []
    assert run("--config", config, "unpin", "wind").status == 0
    assert _planned(run, config) == [0]


@pytest.mark.parametrize("name", ["3", "bells"])
def test_an_item_of_unknown_age_can_be_pinned(run: Run, config: Path, name: str) -> None:
    """By its row number as by its prompt."""
    run("--config", config, "pin", name, "--reason", "rings")
    assert _planned(run, config) == [0, 1, 2]


def test_a_prompt_pins_all_its_takes(run: Run, config: Path) -> None:
    """Rows that repeat each other to the letter are one sound, and pinned together as well."""
    run("--config", config, "pin", "rain", "--reason", "it rains")
    assert _planned(run, config) == [1, 3]
    listed = run("--config", config, "pins", "--format", "json").json["caches"][0]["pins"]
    assert [(pin["row"], pin["reason"], pin["until"]) for pin in listed] == [
        (0, "it rains", None),
        (2, "it rains", None),
    ]


def test_a_row_that_is_there_twice_is_pinned_twice(run: Run, config: Path, builder: CacheBuilder) -> None:
    """By the number of the second, too."""
    builder.repeat(1)
    builder.write()
    run("--config", config, "pin", "4", "--reason", "blows")
    assert _planned(run, config) == [0, 2, 3]


def test_a_pin_is_shown_wherever_the_item_is(run: Run, config: Path) -> None:
    """With its reason in an explanation."""
    run("--config", config, "pin", "wind", "--reason", "the opening", "--until", "2099-01-01")
    (item,) = run("--config", config, "explain", "wind", "--format", "json").json["items"]
    assert item["evicted"] is False
    assert item["item"]["pinned"] is True
    assert item["protections"] == [{"name": "pinned", "verdict": "true"}]
    assert item["pin"]["reason"] == "the opening"
    assert "until 2099-01-01T00:00:00Z: the opening" in run("--config", config, "explain", "wind").out
    (cache,) = run("--config", config, "list", "--format", "json").json["caches"]
    assert [entry["prompt"] for entry in cache["items"] if entry["pinned"]] == ["wind"]
    assert "ok, pinned" in run("--config", config, "list").out
    assert "ok, pinned" in run("--config", config, "grouped").out
    assert "protected by pinned" in run("--config", config, "run-once", "--dry-run", "--kept").out
    assert "the opening" in run("--config", config, "pins").out


def test_a_pin_is_shown_among_duplicates(run: Run, config: Path) -> None:
    """Where one of them is about to be chosen."""
    run("--config", config, "pin", "2", "--reason", "the better rain")
    found = run("--config", config, "duplicates", "--format", "json").json["prompts"]
    assert [(item["row"], item["pinned"]) for item in found[0]["items"]] == [(0, False), (2, True)]


def test_pinning_is_in_the_audit_log(run: Run, config: Path) -> None:
    """Who, what and why; and the chain is whole."""
    run("--config", config, "pin", "wind", "--reason", "the opening")
    run("--config", config, "unpin", "wind")
    records = run("--config", config, "audit", "--item", "wind", "--format", "json").json["records"]
    assert [record["event"] for record in records] == ["pinned", "unpinned"]
    assert records[0]["detail"]["reason"] == "the opening"
    assert run("--config", config, "audit", "verify").status == 0


def test_a_damaged_file_of_pins_stops_evictions(run: Run, config: Path, builder: CacheBuilder) -> None:
    """A protection that was lost may not become a removal; the message names the file and what to do."""
    run("--config", config, "pin", "wind", "--reason", "the opening")
    path = pins_path(builder.location)
    path.write_bytes(path.read_bytes()[:-5])
    ran = run("--config", config, "run-once")
    assert ran.status == 1
    assert str(path) in ran.err
    assert "nothing is evicted" in ran.err
    assert len(read_rows(builder.location.path)) == 4
    path.unlink()
    assert run("--config", config, "run-once").status == 0


def test_a_pin_of_which_the_row_is_gone_is_listed_and_can_be_taken_back(
    run: Run, config: Path, builder: CacheBuilder
) -> None:
    """By its id."""
    run("--config", config, "pin", "wind", "--reason", "the opening")
    meta = builder.location.path / "meta.jsonl"
    lines = meta.read_bytes().splitlines(keepends=True)
    meta.write_bytes(b"".join([lines[0], *lines[2:]]))
    (pin,) = run("--config", config, "pins", "--format", "json").json["caches"][0]["pins"]
    assert pin["row"] is None
    assert run("--config", config, "unpin", pin["id"]).status == 0
    assert run("--config", config, "pins", "--format", "json").json["caches"][0]["pins"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pin", "hail", "--reason", "x"), "row number"),
        (("unpin", "wind"), "nothing of the name"),
        (("pin", "wind", "--reason", "x", "--until", "2020-01-01"), "past already"),
        (("pin", "wind"), "--reason"),
    ],
)
def test_what_cannot_be_pinned_is_said(run: Run, config: Path, arguments: tuple[str, ...], words: str) -> None:
    ran = run("--config", config, *arguments)
    assert ran.status == 2
    assert words in ran.err


def test_what_is_evicted_already_cannot_be_pinned(run: Run, config: Path) -> None:
    """It is retired, with zeros for vectors: a pin would hold nothing."""
    run("--config", config, "--live", "run-once")
    ran = run("--config", config, "pin", "wind", "--reason", "x")
    assert ran.status == 2
    assert "trash list" in ran.err


def test_pins_that_are_over_are_no_pins(run: Run, config: Path, builder: CacheBuilder) -> None:
    """Neither in the list of pins, nor for the items."""
    run("--config", config, "pin", "wind", "--reason", "the opening", "--until", "2099-01-01")
    path = pins_path(builder.location)
    content = json.loads(path.read_bytes())
    for pin in content["pins"].values():
        pin["until"] = time.time() - 1
    path.write_text(json.dumps(content))
    assert run("--config", config, "pins", "--format", "json").json["caches"][0]["pins"] == []
    assert _planned(run, config) == [0, 1, 2, 3]
    (item,) = run("--config", config, "explain", "wind", "--format", "json").json["items"]
    assert item["item"]["pinned"] is False
