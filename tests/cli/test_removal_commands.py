"""Commands that remove: when they act, when they ask, when they stop, and with which status."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import pexpect
import pytest
from commands import Run
from test_seed_guide import read_rows, settle, snapshot

from builders import CacheBuilder

COMMANDS = (
    ("clear",),
    ("remove-pattern", "rain"),
    ("duplicates", "--remove-duplicates"),
    ("clean", "--days", "0.5"),
)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Three takes of one prompt, quiet for two days."""
    builder = CacheBuilder(tmp_path, now=time.time())
    for age in (1, 2, 40):
        builder.add("rain", age=age)
    location = builder.write()
    settle(location.path)
    return location.path


@pytest.mark.parametrize("command", COMMANDS)
def test_without_confirm_and_without_a_terminal_nothing_goes(command: tuple[str, ...], cache: Path, run: Run) -> None:
    """It shows what it would remove, says how to go on, and ends with status 2."""
    before = snapshot(cache.parent)

    ran = run("--cache-dir", cache, *command)

    assert ran.status == 2
    assert "--confirm" in ran.err
    assert "rain" in ran.out
    assert snapshot(cache.parent) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_root_that_was_replaced_refuses_until_it_is_accepted(command: tuple[str, ...], cache: Path, run: Run) -> None:
    """As after it was brought back from a backup: what the refusal says must be there to be said."""
    assert run("--cache-dir", cache, "clean", "--days", "30").status == 0
    before = cache.parent.with_name("before")
    cache.parent.rename(before)
    shutil.copytree(before, cache.parent)

    refused = run("--cache-dir", cache, *command, "--confirm")

    assert refused.status == 3
    assert "go on with --accept-root" in refused.err
    assert len(read_rows(cache)) == 2
    assert run("--cache-dir", cache, *command, "--confirm", "--accept-root").status == 0
    assert len(read_rows(cache)) < 2


@pytest.mark.parametrize("command", COMMANDS)
def test_a_dry_run_shows_and_removes_nothing_even_when_confirmed(
    command: tuple[str, ...], cache: Path, run: Run
) -> None:
    """`--dry-run` wins over `--confirm`."""
    before = snapshot(cache.parent)

    ran = run("--cache-dir", cache, *command, "--dry-run", "--confirm", "--format", "json")

    assert ran.status == 0
    assert ran.json["caches"][0]["outcome"] is None
    assert ran.json["caches"][0]["plan"]["items"] > 0
    assert snapshot(cache.parent) == before


@pytest.mark.parametrize(("answer", "left"), [("y", 0), ("n", 3)])
def test_on_a_terminal_it_asks(answer: str, left: int, cache: Path) -> None:
    """What was answered counts."""
    child = pexpect.spawn(
        sys.executable,
        ["-m", "audio_cache_daemon", "--cache-dir", str(cache), "clear"],
        encoding="utf-8",
        env={**os.environ, "AUDIO_CACHE_DAEMON_CONFIG": ""},
        timeout=60,
    )
    child.expect("Remove them\\?")
    child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == (0 if left == 0 else 2)
    assert len(read_rows(cache)) == left


def test_clean_of_a_day_or_more_acts_in_a_script(cache: Path, run: Run) -> None:
    """As the seed does; nobody is there to be asked."""
    ran = run("--cache-dir", cache, "clean", "--days", "30", "--format", "json")
    assert ran.status == 0
    assert ran.json["caches"][0]["outcome"]["evicted"] == 1
    assert len(read_rows(cache)) == 2


def test_an_item_exactly_as_old_as_asked_for_stays(tmp_path: Path, run: Run) -> None:
    """Age is compared with `older than`; here the only item is younger by the time that the test takes not."""
    builder = CacheBuilder(tmp_path, now=time.time() + 60)
    builder.add("rain", age=30)
    settle(builder.write().path)
    assert run("--cache-dir", builder.location.path, "clean", "--days", "30").status == 0
    assert len(read_rows(builder.location.path)) == 1


@pytest.mark.parametrize("pattern", ["", ".*", "x?", "(a|)"])
def test_a_pattern_that_matches_everything_is_refused(pattern: str, cache: Path, run: Run) -> None:
    """Whoever wants to remove all says `clear`."""
    ran = run("--cache-dir", cache, "remove-pattern", pattern, "--confirm")
    assert ran.status == 2
    assert "clear" in ran.err
    assert len(read_rows(cache)) == 3


def test_a_pattern_that_is_none_is_a_message(cache: Path, run: Run) -> None:
    """No traceback for a slip of the pen."""
    ran = run("--cache-dir", cache, "remove-pattern", "(", "--confirm")
    assert ran.status == 2
    assert "not a regular expression" in ran.err


def test_a_running_generator_is_not_cleaned_under(tmp_path: Path, run: Run) -> None:
    """An index that changed today may be in use: items are retired, and it is said why and how to go on."""
    builder = CacheBuilder(tmp_path, now=time.time())
    path = builder.add("rain", age=40)
    cache = builder.write().path

    ran = run("--cache-dir", cache, "clean", "--days", "30")

    assert ran.status == 0
    assert "--writer-stopped" in ran.err + ran.out
    assert len(read_rows(cache)) == 1
    assert path.exists()
    assert run("--cache-dir", cache, "--writer-stopped", "clean", "--days", "30").status == 0
    assert read_rows(cache) == []
    assert not path.exists()


def test_a_row_outside_the_audio_roots_stays_and_the_root_that_would_allow_it_is_named(
    tmp_path: Path, run: Run
) -> None:
    """A file outside is never touched, nor is its row dropped."""
    outside = tmp_path / "elsewhere" / "rain_1700000000000.wav"
    outside.parent.mkdir()
    outside.write_bytes(b"precious")
    builder = CacheBuilder(tmp_path, now=time.time())
    builder.add("rain", age=40, path=str(outside))
    builder.add("wind", age=40)
    cache = builder.write().path
    settle(cache)

    assert run("--cache-dir", cache, "clear", "--confirm").status == 0

    assert outside.read_bytes() == b"precious"
    assert [row["prompt"] for row in read_rows(cache)] == ["rain"]
    assert f"--audio-root {outside.parent}" in run("--cache-dir", cache, "stats").out
    assert run("--cache-dir", cache, "--audio-root", outside.parent, "clear", "--confirm").status == 0
    assert not outside.exists()


def test_clear_means_one_cache_never_all(tmp_path: Path, run: Run) -> None:
    """With several configured caches it has to be said which."""
    config = tmp_path / "config.yaml"
    caches = {}
    for name in ("one", "two"):
        builder = CacheBuilder(tmp_path / name, now=time.time(), name=name)
        builder.add("rain")
        caches[name] = {"path": str(builder.write().path), "policy": "none", "writer": {"mode": "stopped"}}
    config.write_text(json.dumps({"version": 1, "caches": caches, "policies": {"none": {}}}))

    ran = run("--config", config, "clear", "--confirm")

    assert ran.status == 2
    assert "--cache" in ran.err


@pytest.mark.parametrize("command", ["stats", "list", "clear", "clean --days 30"])
def test_a_directory_that_is_no_cache_is_a_message(command: str, tmp_path: Path, run: Run) -> None:
    """What is missing is said; nothing is made."""
    ran = run("--cache-dir", tmp_path / "nowhere", *command.split())
    assert ran.status == 1
    assert "doesn't exist" in ran.err
    assert list(tmp_path.iterdir()) == []
