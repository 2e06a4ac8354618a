"""Broken sounds go with their reason, are looked at again before they go, and can be brought back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cache_runs import NO_LIMITS, audio_files, open_trash, run_policy

from audio_cache_daemon.decodings import Decoding, FileKey
from audio_cache_daemon.eviction.memory import save_readings
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import DecodingState, RunReport, RunResult
from audio_cache_daemon.paths import inode_of
from audio_cache_daemon.readings import Readings
from audio_cache_daemon.retention.policy import Broken, Policy, Rule
from builders import CacheBuilder

POLICY = Policy("test", rules=(Rule("unlistenable", Broken()),), limits=NO_LIMITS)


def sound(directory: Path, level: float) -> bytes:
    """Two seconds of noise; of level 0 it is silence."""
    path = directory / "sound.wav"
    soundfile.write(path, np.random.default_rng(1).normal(size=88_200) * level, 44_100)
    content = path.read_bytes()
    path.unlink()
    return content


@pytest.fixture
def location(tmp_path: Path) -> CacheLocation:
    """One sound that is whole, one that is silent, one that is none."""
    cache = CacheBuilder(tmp_path)
    for prompt, content in (("whole", sound(tmp_path, 0.1)), ("silent", sound(tmp_path, 0)), ("none", b"502")):
        cache.add(prompt, audio=content)
    return cache.write()


def reasons(location: CacheLocation) -> dict[str, object]:
    """By prompt, the rule and the reason that the audit log gives for each item that goes."""
    records = map(json.loads, (location.state_directory / "audit.jsonl").read_bytes().splitlines())
    return {
        record["item"]["prompt"]: (record["rule"], record["reason"])
        for record in records
        if record["event"] == "removed"
    }


def evicted(report: RunReport) -> int:
    assert report.outcome is not None
    return report.outcome.evicted


def test_what_is_broken_goes_to_the_trash_and_its_flaw_is_in_the_audit_log(location: CacheLocation) -> None:
    before = {path.name: path.read_bytes() for path in audio_files(location)}
    assert evicted(run_policy(location, POLICY)) == 2
    assert [path.name.partition("_")[0] for path in audio_files(location)] == ["whole"]
    trash = open_trash(location)
    assert {trash.file(entry).read_bytes() for entry in trash.entries} == {
        content for name, content in before.items() if "whole" not in name
    }
    assert reasons(location) == {
        "silent": ("unlistenable", {"criterion": "state:broken", "value": "silent"}),
        "none": ("unlistenable", {"criterion": "state:broken", "value": "undecodable"}),
    }


def test_what_is_remembered_wrongly_costs_nobody_a_file(location: CacheLocation) -> None:
    """As of a file that was mended in place, with its old time: it is decoded again before it goes, and stays."""
    [whole] = [path for path in audio_files(location) if "whole" in path.name]
    status = whole.stat()
    readings = Readings()
    key = FileKey(inode_of(status), status.st_size, status.st_mtime_ns)
    readings.decodings.note(key, Decoding(DecodingState.DECODED, seconds=2.0))
    save_readings(location, readings)
    report = run_policy(location, POLICY)
    assert report.outcome is not None
    assert (report.outcome.evicted, report.outcome.changed, report.result) == (2, 1, RunResult.PARTIAL)
    assert whole.exists()
    assert run_policy(location, POLICY, "run-2").result == RunResult.NOOP, "it is known better now"


def test_a_run_remembers_what_it_decoded_also_if_it_removes_nothing(location: CacheLocation) -> None:
    audit = Policy("test", mode="audit", rules=POLICY.rules, limits=NO_LIMITS)
    assert run_policy(location, audit).result == RunResult.SUCCESS
    assert len(json.loads((location.state_directory / "decodings.json").read_bytes())["decodings"]) == 3


def test_a_young_or_protected_one_stays(location: CacheLocation) -> None:
    """Whatever narrows a rule narrows this one."""
    young = Policy("test", rules=(Rule("unlistenable", Broken(), min_age=2 * 86400.0, pattern="silent"),))
    assert run_policy(location, young).result == RunResult.NOOP
    assert len(list(audio_files(location))) == 3
