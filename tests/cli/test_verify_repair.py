"""`verify` names faults and their places; `repair` mends what is proven, asks before, and shows what is left."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import pexpect
import pytest
from commands import Run

from audio_cache_daemon.demo.generate import Demo, make_demo_cache
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME
from builders import DAY, CacheBuilder
from slots import index_bytes, read_slots


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    return make_demo_cache(tmp_path / "demo", time.time())


@pytest.fixture
def cache(tmp_path: Path) -> CacheBuilder:
    """Nine sound items, written, with a torn last line."""
    cache = CacheBuilder(tmp_path, now=time.time())
    for row in range(9):
        cache.add(f"prompt {row}", age=row, quality=0.2 + row / 50)
    cache.write()
    cache.append_to_meta(b'{"path": "/x.wav", "prompt": "secret')
    return cache


def test_verify_names_the_faults_of_each_cache(demo: Demo, run: Run) -> None:
    """With the kind, the place and who can mend it; status 6 for one that the generator can't start on."""
    ran = run("--config", demo.config, "verify", "--format", "json")
    assert ran.status == 6
    exhibit, damaged = ran.json["caches"]
    assert (exhibit["cache"], exhibit["result"], exhibit["errors"]) == ("exhibit", "warnings", 0)
    assert (damaged["cache"], damaged["result"], damaged["errors"]) == ("damaged", "errors", 4)
    places = {(each["kind"], each["file"], each["line"]): each["mend"] for each in damaged["findings"]}
    assert places == {
        ("foreign_key", META_NAME, 3): "option",
        ("mistyped_value", META_NAME, 5): "option",
        ("blank_line", META_NAME, 13): "repair",
        ("torn_tail", META_NAME, 14): "repair",
        ("short_array", "clap_audio.npy", None): "repair",
        ("bge_length", "bge_text.npy", None): "repair",
    }
    assert set(damaged["findings"][0]) == {
        "kind", "severity", "file", "line", "row", "message", "count", "mend", "remedy",
    }  # fmt: skip


def test_verify_of_a_sound_cache_is_done(demo: Demo, run: Run) -> None:
    """Warnings and remarks are no errors."""
    ran = run("--config", demo.config, "verify", "--cache", "exhibit")
    assert ran.status == 0
    assert "the index is sound" in ran.out
    assert "error" not in ran.out.replace("0 errors", "")


def test_verify_writes_nothing(cache: CacheBuilder, run: Run) -> None:
    """Not even a directory of ours."""
    before = sorted(path for path in cache.output.rglob("*"))
    assert run("--cache-dir", cache.location.path, "--writer-stopped", "verify").status == 6
    assert sorted(path for path in cache.output.rglob("*")) == before


def test_verify_without_an_index_fails(tmp_path: Path, run: Run) -> None:
    """There is no cache."""
    ran = run("--cache-dir", tmp_path, "verify")
    assert ran.status == 1
    assert META_NAME in ran.err


def test_repair_shows_and_does_nothing_without_confirm(cache: CacheBuilder, run: Run) -> None:
    """Status 2 where nobody can be asked; a dry run is done."""
    before = index_bytes(cache.location)
    arguments = ("--cache-dir", cache.location.path, "--writer-stopped", "repair")
    ran = run(*arguments)
    assert ran.status == 2
    assert "cut the torn line 10" in ran.out
    assert "--confirm" in ran.err
    assert run(*arguments, "--dry-run").status == 0
    shown = run(*arguments, "--format", "json").json
    assert (shown["applied"], shown["after"], len(shown["repairs"])) == (False, None, 1)
    assert index_bytes(cache.location) == before
    assert not cache.location.state_directory.exists()


def test_repair_mends_and_verifies_and_keeps_what_it_took_out(cache: CacheBuilder, run: Run) -> None:
    """The rest is what it was, byte for byte; there is nothing left for a second one."""
    location = cache.location
    sound = b"".join((location.path / META_NAME).read_bytes().splitlines(keepends=True)[:9])
    before = index_bytes(location)
    ran = run("--cache-dir", location.path, "--writer-stopped", "repair", "--confirm", "--format", "json")
    assert ran.status == 0
    assert ran.json["after"]["result"] == "clean"
    assert index_bytes(location) == {**before, META_NAME: sound}
    saved = Path(ran.json["saved"])
    assert saved.parent == location.state_directory / "repairs"
    assert (saved / "lines.jsonl").read_bytes() == before[META_NAME].removeprefix(sound)
    again = run("--cache-dir", location.path, "--writer-stopped", "repair", "--confirm")
    assert again.status == 0
    assert "nothing that repair can mend" in again.out


def test_repair_is_audited_before_it_is_done(cache: CacheBuilder, run: Run) -> None:
    """What is done, and which items lose their rows; the chain is whole."""
    cache.drop_array_rows("clap_audio.npy")
    arguments = ("--cache-dir", cache.location.path, "--writer-stopped")
    assert run(*arguments, "repair", "--confirm").status == 0
    records = run(*arguments, "audit", "--event", "repaired", "--format", "json").json["records"]
    assert {record["detail"]["kind"] for record in records if "detail" in record} >= {
        "torn_tail",
        "line_without_vectors",
    }
    assert [record["item"]["prompt"] for record in records if "item" in record] == ["prompt 8"]
    assert run(*arguments, "audit", "verify").status == 0


def test_repair_is_refused_under_a_running_generator(cache: CacheBuilder, run: Run) -> None:
    """It would go on with what it has in memory."""
    cache.write()
    cache.append_to_meta(b"\n")
    before = index_bytes(cache.location)
    ran = run("--cache-dir", cache.location.path, "--live", "repair", "--confirm")
    assert ran.status == 2
    assert "--writer-stopped" in ran.err
    assert index_bytes(cache.location) == before


def test_retired_items_are_told_and_stay_retired(cache: CacheBuilder, run: Run) -> None:
    """Their vectors are zero by our doing, which is no fault; a repair that moves their rows doesn't lose them."""
    cache.write()
    assert run("--cache-dir", cache.location.path, "--live", "remove-pattern", "prompt [36]", "--confirm").status == 0
    lines = (cache.location.path / META_NAME).read_bytes()
    arguments = ("--cache-dir", cache.location.path, "--writer-stopped")
    found = run(*arguments, "verify", "--format", "json").json["caches"][0]["findings"]
    assert {each["kind"]: each["count"] for each in found} == {"retired": 2}
    (cache.location.path / META_NAME).write_bytes(b"\n" + lines)
    ran = run(*arguments, "repair", "--confirm", "--format", "json")
    assert ran.status == 0
    assert {each["kind"]: each["count"] for each in ran.json["after"]["findings"]} == {"retired": 2}
    assert (cache.location.path / META_NAME).read_bytes() == lines


def test_what_can_not_be_proven_is_said_and_left(cache: CacheBuilder, run: Run) -> None:
    """Status 6, and nothing is changed, confirmed or not."""
    (cache.location.path / "clap_text.npy").unlink()
    before = index_bytes(cache.location)
    ran = run("--cache-dir", cache.location.path, "--writer-stopped", "repair", "--confirm")
    assert ran.status == 6
    assert "clap_text.npy" in ran.out
    assert "left to you" in ran.out
    assert index_bytes(cache.location) == before


def test_the_damaged_demo_is_mended_but_for_what_a_person_must_say(demo: Demo, run: Run) -> None:
    """First by itself, then with the line named; afterwards its items can be evicted."""
    location = demo.damaged
    lines = (location.path / META_NAME).read_bytes().splitlines(keepends=True)
    arguments = ("--config", demo.config, "repair", "--cache", "damaged", "--confirm")
    ran = run(*arguments)
    assert ran.status == 6
    assert "--drop-line 3" in ran.out
    assert [slot.line for slot in read_slots(location)] == lines[:11]

    assert run(*arguments, "--drop-line", 3).status == 0
    assert [slot.line for slot in read_slots(location)] == [*lines[:2], *lines[3:11]]
    assert run("--config", demo.config, "verify", "--cache", "damaged").status == 0
    assert run("--config", demo.config, "run-once", "--cache", "damaged").status == 0


def test_the_next_run_does_not_take_a_repair_for_a_loss(cache: CacheBuilder, tmp_path: Path, run: Run) -> None:
    """Its sentinel for an index that shrank by half knows of the repair."""
    location = cache.location
    for _ in range(12):
        cache.repeat(0)
    cache.write()
    config = tmp_path / "config.yaml"
    settings = {"path": str(location.path), "audio_roots": [str(cache.output)], "policy": "p"}
    policy = {"rules": [{"name": "old", "max_age": "900d"}]}
    caches = {"c": {**settings, "writer": {"mode": "stopped"}}}
    config.write_text(json.dumps({"version": 1, "caches": caches, "policies": {"p": policy}}))
    assert run("--config", config, "run-once").status == 0
    same = {name: np.load(location.path / name) for name in ARRAY_NAMES}
    for name, array in same.items():
        array[9:] = array[0]
        np.save(location.path / name, array)
    assert run("--config", config, "repair", "--confirm").status == 0
    assert len(read_slots(location)) == 9
    assert run("--config", config, "run-once").status == 0


def test_a_line_that_is_not_faulty_is_not_dropped(cache: CacheBuilder, run: Run) -> None:
    """A number from before the last repair, say."""
    ran = run("--cache-dir", cache.location.path, "--writer-stopped", "repair", "--confirm", "--drop-line", 2)
    assert ran.status == 2
    assert "nothing is wrong with line 2" in ran.err


def test_on_a_terminal_repair_asks(cache: CacheBuilder) -> None:
    """And does nothing when the answer is no."""
    before = index_bytes(cache.location)
    arguments = ["-m", "audio_cache_daemon", "--cache-dir", str(cache.location.path), "--writer-stopped", "repair"]
    for answer, status in (("n", 2), ("y", 0)):
        child = pexpect.spawn(sys.executable, arguments, encoding="utf-8", dimensions=(40, 120), timeout=60)
        child.expect_exact("Repair it?")
        child.sendline(answer)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == status
        assert (index_bytes(cache.location) == before) == (answer == "n")


def test_many_faults_are_cut_short_for_people(tmp_path: Path, run: Run) -> None:
    """JSON has more of them; prompts can't steer a terminal."""
    cache = CacheBuilder(tmp_path, now=time.time() - 3 * DAY)
    for row in range(30):
        cache.add_line(b'{"path": "/x.wav", "clap_similarity": 0.5, "\\u001b[%dm": 1}\n' % row)
    arguments = ("--cache-dir", cache.write().path, "--writer-stopped", "verify")
    ran = run(*arguments)
    assert ran.status == 6
    assert len(re.findall("is unknown to the generator", ran.out)) == 10
    assert "and 20 more of this kind" in ran.out
    assert "\x1b" not in ran.out
    found = run(*arguments, "--format", "json").json["caches"][0]["findings"]
    assert [each["line"] for each in found if each["kind"] == "foreign_key"] == [*range(1, 31)]
