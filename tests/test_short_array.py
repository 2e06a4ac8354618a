"""A generator that dies before it saved the last vector: what is known of the array that lacks one is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from msgspec.structs import replace

from audio_cache_daemon.cache.scan import Surroundings, scan_cache
from audio_cache_daemon.compaction import compact_cache
from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.eviction.memory import find_aligned, save_memory
from audio_cache_daemon.findings import RepairChoice
from audio_cache_daemon.location import ARRAY_NAMES, BGE_TEXT_NAME, META_NAME, CacheLocation
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.model import Memory, RunReport, ScanNeeds
from audio_cache_daemon.repairing import examine_cache, repair_cache
from audio_cache_daemon.reporting.audit_reader import read_records
from audio_cache_daemon.reporting.audit_record import Record
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.policy import Limits, Pattern, Policy, Rule
from audio_cache_daemon.state import load_memory
from audio_cache_daemon.undo import locked_log, restore_from_trash
from live_generator import Generator, embed, fill_cache

NOW = 2_000_000_000.0
DROP = Policy("drop", rules=(Rule("drop", Pattern("^drop")),), limits=Limits(max_items=None, max_percent=None))
KEPT = [f"keep {number}" for number in range(4)]
PROMPTS = [KEPT[0], "drop this", *KEPT[1:]]
LATE = "late"
"""The prompt of the item in whose addition the generator dies."""


@pytest.fixture
def location(tmp_path: Path) -> CacheLocation:
    """A cache with an item that a policy drops."""
    output = tmp_path / "audio"
    location = CacheLocation("test", output / "audio_cache", (output,))
    location.path.mkdir(parents=True)
    fill_cache(location.path, output, PROMPTS)
    return location


def target_of(location: CacheLocation, mode: Literal["live", "stopped"]) -> Target:
    settings = CacheSettings(location, DROP, WriterSettings(mode=mode))
    return Target(settings, location.state_directory / "audit.jsonl")


def run(location: CacheLocation, name: str, mode: Literal["live", "stopped"] = "live") -> RunReport:
    return run_maintenance(target_of(location, mode), RunRequest(NOW, name), lambda: NOW)


def compact(location: CacheLocation, name: str) -> int:
    """Drop what is retired, the generator being stopped; how many items got zeros."""
    target = target_of(location, "stopped")
    with locked_log(target, RunRequest(NOW, name), lambda: NOW) as log:
        return compact_cache(target, RunRequest(NOW, name), log).dropped.zeroed


def die_adding(location: CacheLocation, prompt: str = LATE) -> None:
    """Leave a line with both CLAP vectors, and without the one that is saved last."""
    generator = Generator(location.path, location.audio_roots[0])
    generator.start()
    for step in generator.add_steps(prompt):
        if step == f"load {BGE_TEXT_NAME}":
            break


def check_vectors(location: CacheLocation, prompts: list[str], *, lacking: tuple[str, ...] = ()) -> None:
    """Each row has its own vectors, but for zeros in the last array where one is `lacking`."""
    for name in ARRAY_NAMES:
        own = [embed(prompt)[name] for prompt in prompts]
        if name == BGE_TEXT_NAME:
            own = [
                np.zeros_like(vector) if prompt in lacking else vector
                for prompt, vector in zip(prompts, own, strict=True)
            ]
        np.testing.assert_array_equal(np.load(location.path / name), own)


def test_a_compaction_keeps_what_no_row_was_lacking_before(location: CacheLocation) -> None:
    """Only the item that lacks its vector gets zeros; it is said, and the old file is kept."""
    run(location, "one")
    die_adding(location)
    old = (location.path / BGE_TEXT_NAME).read_bytes()
    assert compact(location, "two") == 1
    check_vectors(location, [*KEPT, LATE], lacking=(LATE,))
    assert (location.state_directory / "bge_text-two.npy").read_bytes() == old
    records = list(read_records([location.state_directory / "audit.jsonl"]))
    details = [record.detail for record in records if isinstance(record, Record) and record.event == "compacted"]
    assert details == [{"rows": 1, "zeroed": 1}]


def test_after_a_compaction_that_is_known_anew(location: CacheLocation) -> None:
    """No run need come between it and the next death."""
    run(location, "one")
    die_adding(location)
    compact(location, "two")
    target = target_of(location, "live")
    policy = replace(DROP, rules=(Rule("first", Pattern("^keep 0")),))
    die_adding(location, "later")
    run_maintenance(
        replace(target, settings=replace(target.settings, policy=policy)), RunRequest(NOW, "three"), lambda: NOW
    )
    assert compact(location, "four") == 1
    check_vectors(location, [*KEPT[1:], LATE, "later"], lacking=(LATE, "later"))


def test_what_came_after_the_last_look_gets_zeros(location: CacheLocation) -> None:
    """Of rows behind what is known it can't be told which of them lacks its vector."""
    run(location, "one")
    die_adding(location, "lacking")
    generator = Generator(location.path, location.audio_roots[0])
    generator.start()
    generator.add("shifted")
    assert compact(location, "two") == 2
    check_vectors(location, [*KEPT, "lacking", "shifted"], lacking=("lacking", "shifted"))


def test_a_stopped_run_keeps_it_too_and_says_what_it_did(location: CacheLocation) -> None:
    save_aligned(location)
    die_adding(location)
    report = run(location, "one", "stopped")
    check_vectors(location, [*KEPT, LATE], lacking=(LATE,))
    assert [message for message in report.messages if "lacked rows" in message and "1 item got zeros" in message]


def test_where_nothing_is_rewritten_nothing_is_said_to_get_zeros(location: CacheLocation) -> None:
    """A short array alone is no reason for a rewrite, and stays as it is."""
    run(location, "one", "stopped")
    die_adding(location)
    old = (location.path / BGE_TEXT_NAME).read_bytes()
    assert compact(location, "two") == 0
    assert not [message for message in run(location, "three", "stopped").messages if "lacked rows" in message]
    assert (location.path / BGE_TEXT_NAME).read_bytes() == old


def test_what_comes_back_beside_a_short_array_has_its_own_vectors(location: CacheLocation) -> None:
    run(location, "one", "stopped")
    run(location, "two", "stopped")
    die_adding(location)
    restore_from_trash(target_of(location, "stopped"), RunRequest(NOW, "three"), "one", (), lambda: NOW)
    check_vectors(location, [*KEPT, LATE, "drop this"], lacking=(LATE,))


def test_a_repair_keeps_it_too(location: CacheLocation) -> None:
    """And says from where on it can't be told."""
    run(location, "one")
    compact(location, "two")
    run(location, "three")
    die_adding(location)
    target = target_of(location, "stopped")
    (finding,) = [found for found in examine_cache(target).findings if found.kind == "bge_length"]
    assert "from row 4 on" in finding.remedy
    repair_cache(target, RunRequest(NOW, "four"), RepairChoice(), lambda: NOW)
    check_vectors(location, [*KEPT, LATE], lacking=(LATE,))


def test_of_another_index_nothing_is_known(location: CacheLocation) -> None:
    """A line was taken out by hand, and its vectors from two arrays: the third is short, but not at its end."""
    save_aligned(location)
    meta = location.path / META_NAME
    lines = meta.read_bytes().splitlines(keepends=True)
    meta.write_bytes(b"".join(lines[1:]))
    for name in ARRAY_NAMES:
        array = np.load(location.path / name)
        np.save(location.path / name, array[1:] if name != BGE_TEXT_NAME else array[2:])
    inventory = scan_cache(location, ScanNeeds(), Surroundings(memory=load_memory(location)))
    assert inventory.index.aligned == 0


def test_an_array_that_is_shorter_than_it_was_says_nothing(location: CacheLocation) -> None:
    """Nothing tells which of its rows went."""
    save_aligned(location)
    np.save(location.path / BGE_TEXT_NAME, np.load(location.path / BGE_TEXT_NAME)[1:])
    inventory = scan_cache(location, ScanNeeds(), Surroundings(memory=load_memory(location)))
    assert inventory.index.aligned == 0


def test_an_array_begun_anew_says_nothing(location: CacheLocation) -> None:
    """Somebody moved it away, and the generator made another, whose first row is of the line that it added then."""
    save_aligned(location)
    (location.path / BGE_TEXT_NAME).rename(location.path / "away.npy")
    generator = Generator(location.path, location.audio_roots[0])
    generator.start()
    for number in range(len(PROMPTS)):
        generator.add(f"anew {number}")
    assert len(np.load(location.path / BGE_TEXT_NAME)) == len(PROMPTS)
    assert scan_cache(location, ScanNeeds(), Surroundings(memory=load_memory(location))).index.aligned == 0


def test_equal_counts_say_nothing_when_lines_came_meanwhile(location: CacheLocation) -> None:
    """An addition between the reading of lines and of arrays hides that one lacks a row."""
    die_adding(location)
    before = scan_cache(location, ScanNeeds())
    generator = Generator(location.path, location.audio_roots[0])
    generator.start()
    generator.add("hides it")
    after = scan_cache(location, ScanNeeds())
    bge = after.index.arrays[BGE_TEXT_NAME]
    mixed = replace(before, index=replace(before.index, arrays={**before.index.arrays, BGE_TEXT_NAME: bge}))
    assert {info.rows for info in mixed.index.arrays.values()} == {len(mixed.rows)}
    assert find_aligned(mixed) is None
    assert find_aligned(before) is None


def save_aligned(location: CacheLocation) -> None:
    """What a run remembers of the index as it is, and nothing else."""
    memory = Memory(NOW - 1, len(PROMPTS), {}, {}, aligned=find_aligned(scan_cache(location, ScanNeeds())))
    assert memory.aligned is not None
    save_memory(location, memory)
