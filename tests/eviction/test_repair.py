"""A repair mends what is proven, byte for byte and at once, loses no whole item, and keeps what it takes out."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from cache_runs import snapshot, target_of
from hypothesis import given, settings
from hypothesis import strategies as st
from repair_runs import ROWS, TORN, examine, kill_repairs, locate, make_slots, repair

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.cache.vectors import check_alignment
from audio_cache_daemon.errors import InconsistentIndexError, MaintenanceError
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.lock import cache_lock
from audio_cache_daemon.eviction.recovery import interrupted_run, recover
from audio_cache_daemon.eviction.repair import repair_index
from audio_cache_daemon.findings import Examination, Finding, Mend, RepairChoice, Severity
from audio_cache_daemon.location import (
    ARRAY_NAMES,
    BGE_TEXT_NAME,
    CLAP_AUDIO_NAME,
    CLAP_TEXT_NAME,
    META_NAME,
    CacheLocation,
)
from audio_cache_daemon.model import ScanNeeds
from audio_cache_daemon.repairing import examine_cache
from builders import NOW, CacheBuilder
from slots import Slot, index_bytes, read_slots, write_flat, write_slots


@pytest.fixture
def slots(tmp_path: Path) -> list[Slot]:
    return make_slots(tmp_path)


@pytest.fixture
def location(slots: list[Slot], tmp_path: Path) -> CacheLocation:
    assert slots
    return locate(tmp_path)


def assert_mended(location: CacheLocation, expected: list[Slot]) -> None:
    """The index holds these slots, byte for byte, and nothing is wrong any more; nothing is left to be recovered."""
    assert read_slots(location) == expected
    assert examine(location).count(Severity.ERROR) == 0
    check_alignment(scan_cache(location, ScanNeeds()))
    assert interrupted_run(location) is None


def note_of(saved: Path) -> dict[str, object]:
    note = json.loads((saved / "repair.json").read_bytes())
    return {"lines": note["lines"], **note["rows"]}


def audio_files(location: CacheLocation) -> dict[str, tuple[object, ...]]:
    """Everything in the audio root but the index."""
    return {path: known for path, known in snapshot(location.path.parent).items() if "audio_cache" not in path}


@pytest.mark.parametrize("tail", [TORN, b"{", b"\0" * 100])
def test_a_torn_tail_is_cut_and_saved(slots: list[Slot], location: CacheLocation, tail: bytes) -> None:
    """The audio isn't touched."""
    files = audio_files(location)
    write_slots(location, [*slots, Slot(tail, [None] * 3)])
    saved = repair(location)
    assert_mended(location, slots)
    assert (saved / "lines.jsonl").read_bytes() == tail
    assert note_of(saved) == {"lines": [ROWS + 1]}
    assert audio_files(location) == files


def test_a_whole_last_line_gets_its_end(slots: list[Slot], location: CacheLocation) -> None:
    """The item is whole, so it stays."""
    assert slots[-1].line is not None
    write_slots(location, [*slots[:-1], Slot(slots[-1].line.removesuffix(b"\n"), slots[-1].vectors)])
    repair(location)
    assert_mended(location, slots)


def test_a_whole_last_line_without_vectors_and_end_goes(slots: list[Slot], location: CacheLocation) -> None:
    """The generator never acknowledged it."""
    assert slots[-1].line is not None
    write_slots(location, [*slots[:-1], Slot(slots[-1].line.removesuffix(b"\n"), [None] * 3)])
    saved = repair(location)
    assert_mended(location, slots[:-1])
    assert (saved / "lines.jsonl").read_bytes() + b"\n" == slots[-1].line


def test_blank_lines_are_dropped(slots: list[Slot], location: CacheLocation) -> None:
    """Wherever they are."""
    blank = Slot(b" \n", [None] * 3)
    write_slots(location, [blank, *slots[:3], blank, blank, *slots[3:], blank])
    saved = repair(location)
    assert_mended(location, slots)
    assert note_of(saved) == {"lines": [1, 5, 6, ROWS + 4]}


def test_lines_that_were_emptied_go_with_their_vectors(slots: list[Slot], location: CacheLocation) -> None:
    """An editor's slip; the vectors are kept aside."""
    gone = [2, 5]
    write_slots(location, [Slot(b"\n", slot.vectors) if n in gone else slot for n, slot in enumerate(slots)])
    saved = repair(location)
    assert_mended(location, [slot for n, slot in enumerate(slots) if n not in gone])
    for number, name in enumerate(ARRAY_NAMES):
        assert [row.tobytes() for row in np.load(saved / name)] == [slots[n].vectors[number] for n in gone]


def test_repeated_rows_go_with_their_vectors(slots: list[Slot], location: CacheLocation) -> None:
    """All but the first."""
    write_slots(location, [*slots[:4], slots[1], *slots[4:], slots[1], slots[6]])
    saved = repair(location)
    assert_mended(location, slots)
    assert note_of(saved) == {
        "lines": [5, ROWS + 2, ROWS + 3],
        **{name: [4, ROWS + 1, ROWS + 2] for name in ARRAY_NAMES},
    }


@pytest.mark.parametrize("place", range(ROWS))
@pytest.mark.parametrize("present", [0, 1, 2])
def test_what_a_crash_left_of_an_item_is_taken_out(
    slots: list[Slot], location: CacheLocation, place: int, present: int
) -> None:
    """A line with none of its vectors, with the first, or with both that prove it."""
    vectors = [vector if number < present else None for number, vector in enumerate(slots[place].vectors)]
    write_slots(location, [Slot(s.line, vectors) if n == place else s for n, s in enumerate(slots)])
    if present == 2:
        # Line and scores are whole; only which rows the BGE array describes can't be told.
        repair(location)
        zeros = bytes(len(slots[0].vectors[2] or b""))
        assert_mended(location, [Slot(slot.line, [*slot.vectors[:2], zeros]) for slot in slots])
        return
    saved = repair(location)
    assert_mended(location, [*slots[:place], *slots[place + 1 :]])
    assert (saved / "lines.jsonl").read_bytes() == slots[place].line


@pytest.mark.parametrize("place", range(ROWS))
def test_vectors_without_a_line_are_taken_out(slots: list[Slot], location: CacheLocation, place: int) -> None:
    """And kept."""
    write_slots(location, [Slot(None, s.vectors) if n == place else s for n, s in enumerate(slots)])
    saved = repair(location)
    assert_mended(location, [*slots[:place], *slots[place + 1 :]])
    assert [np.load(saved / name).tobytes() for name in ARRAY_NAMES] == slots[place].vectors


@pytest.mark.parametrize("rows", [0, 1, ROWS - 1, ROWS + 1])
def test_a_bge_array_of_another_length_becomes_zeros_and_is_kept(
    slots: list[Slot], location: CacheLocation, rows: int
) -> None:
    """Another row's vector would mislead."""
    old = np.resize(np.load(location.path / BGE_TEXT_NAME), (rows, 6))
    np.save(location.path / BGE_TEXT_NAME, old)
    saved = repair(location)
    zeros = bytes(len(slots[0].vectors[2] or b""))
    assert_mended(location, [Slot(slot.line, [*slot.vectors[:2], zeros]) for slot in slots])
    if rows:
        assert np.array_equal(np.load(saved / BGE_TEXT_NAME), old)


@pytest.mark.parametrize("name", ARRAY_NAMES)
def test_an_array_without_a_second_dimension_is_taken_away(tmp_path: Path, name: str) -> None:
    """Of an empty cache, or of one whose first item was being made."""
    location = CacheBuilder(tmp_path).write()
    write_flat(location.path / name)
    old = (location.path / name).read_bytes()
    saved = repair(location)
    assert (saved / name).read_bytes() == old
    assert not (location.path / name).exists()
    assert examine(location).findings == ()


def test_a_first_item_that_was_never_finished_is_taken_out(slots: list[Slot], location: CacheLocation) -> None:
    """Its line was written; the arrays of shape (0,) then made the generator fail."""
    assert slots[0].line is not None
    (location.path / META_NAME).write_bytes(slots[0].line)
    for name in ARRAY_NAMES:
        write_flat(location.path / name)
    repair(location)
    assert index_bytes(location) == {META_NAME: b""}
    assert [finding.kind for finding in examine(location).findings] == ["orphan"]


def test_a_faulty_line_goes_with_its_vectors_only_when_told(slots: list[Slot], location: CacheLocation) -> None:
    """What else can be mended is mended first; all of it is kept."""
    broken = Slot(b'{"path": "/x.wav", "note": 1}\n', slots[3].vectors)
    write_slots(location, [*slots[:3], broken, *slots[4:], Slot(TORN, [None] * 3)])
    repair(location)
    assert read_slots(location) == [*slots[:3], broken, *slots[4:]]
    assert {finding.mend for finding in examine(location).findings if finding.severity == Severity.ERROR} == {
        Mend.OPTION
    }
    saved = repair(location, RepairChoice(frozenset({4})), run="run-2")
    assert_mended(location, [*slots[:3], *slots[4:]])
    assert (saved / "lines.jsonl").read_bytes() == broken.line
    assert [np.load(saved / name).tobytes() for name in ARRAY_NAMES] == slots[3].vectors


def test_an_index_that_changed_since_is_left_alone(slots: list[Slot], location: CacheLocation) -> None:
    """Also when it is a file that the repair wouldn't touch."""
    write_slots(location, [*slots, Slot(TORN, [None] * 3)])
    for name in (META_NAME, CLAP_AUDIO_NAME):
        plan = examine(location).plan
        path = location.path / name
        path.write_bytes(path.read_bytes())
        before = index_bytes(location)
        with cache_lock(location), pytest.raises(InconsistentIndexError, match="changed"):
            repair_index(plan, Execution("run-1", to_trash=False), NOW)
        assert index_bytes(location) == before
        assert interrupted_run(location) is None
        assert list(location.state_directory.glob("repairs/*")) == []


def test_a_repair_that_can_not_be_written_changes_nothing(slots: list[Slot], location: CacheLocation) -> None:
    """And says what is in the way."""
    write_slots(location, [*slots, Slot(TORN, [None] * 3)])
    before = index_bytes(location)
    location.state_directory.mkdir()
    (location.state_directory / "repairs").write_text("in the way")
    with pytest.raises(MaintenanceError, match="in the way"):
        repair(location)
    assert index_bytes(location) == before


@pytest.mark.slow
def test_a_repair_that_was_killed_is_completed_or_undone(tmp_path: Path) -> None:
    """Wherever it was killed; if it was undone, the next one does it. What it takes out is saved before it is gone."""
    locations = kill_repairs(tmp_path)
    assert len(locations) > 20
    undone = 0
    for location in locations:
        found = {finding.kind for finding in examine_cache(target_of(location)).findings}
        assert ("interrupted_run" in found) == (interrupted_run(location) is not None)
        with cache_lock(location):
            recover(location, lambda: None)
        before = examine(location)
        if before.plan.repairs:
            undone += 1
            repair(location, run="run-2")
        slots = read_slots(location)
        assert len(slots) == ROWS - 1
        assert_mended(location, slots)
        (saved, *_) = [path for path in location.state_directory.glob("repairs/*") if (path / "lines.jsonl").exists()]
        assert (saved / "lines.jsonl").read_bytes().endswith(b"}\n" + TORN)
    assert 0 < undone < len(locations) - 1


def test_large_arrays_are_mended_block_by_block(tmp_path: Path) -> None:
    """The row in question lies in a later block."""
    cache = CacheBuilder(tmp_path)
    for row in range(3000):
        cache.add(f"prompt {row % 40}", quality=0.1 + row % 40 / 50, audio=None)
    location = cache.write()
    for name in ARRAY_NAMES:
        wide = np.zeros((3000, 800), np.float32)
        rows = np.load(location.path / name)
        wide[:, : rows.shape[1]] = rows
        np.save(location.path / name, np.delete(wide, 2345, axis=0))
    lines = (location.path / META_NAME).read_bytes().splitlines(keepends=True)
    kept = index_bytes(location)
    saved = repair(location)
    assert (saved / "lines.jsonl").read_bytes() == lines[2345]
    assert index_bytes(location) == {**kept, META_NAME: b"".join([*lines[:2345], *lines[2346:]])}


@st.composite
def damages(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Some faults, each with the place at which it is planted."""
    kinds = ["torn", "blank", "emptied", "unreadable", "foreign", "repeated", "line", "text", "both", "vectors", "bge"]
    return draw(st.lists(st.tuples(st.sampled_from(kinds), st.integers(0, ROWS - 1)), min_size=1, max_size=4))


def plant(slots: list[Slot], faults: list[tuple[str, int]]) -> list[Slot]:
    """The slots with faults; some faults of one place hide others."""
    planted = [Slot(slot.line, list(slot.vectors)) for slot in slots]
    for kind, place in faults:
        spoil(planted[place], kind)
        if kind == "repeated":
            planted.insert(place + 1, Slot(planted[place].line, list(planted[place].vectors)))
        elif kind in ("blank", "unreadable"):
            planted.insert(place, Slot(b"\n" if kind == "blank" else b"junk\n", [None] * 3))
        elif kind == "bge":
            for each in planted:
                each.vectors[2] = None
    if any(kind == "torn" for kind, _ in faults):
        planted.append(Slot(TORN, [None] * 3))
    return planted


def spoil(slot: Slot, kind: str) -> None:
    """Plant a fault that one slot has by itself."""
    if kind in ("line", "text", "both"):
        first = ("line", "text", "both").index(kind)
        slot.vectors[first:] = [None] * (3 - first)
    elif kind in ("vectors", "emptied", "foreign"):
        slot.line = {"vectors": None, "emptied": b"\n", "foreign": b'{"path": "/x.wav", "note": 1}\n'}[kind]


@settings(max_examples=100)
@given(faults=damages(), unmatched=st.booleans())
def test_no_repair_ever_loses_a_whole_item(faults: list[tuple[str, int]], unmatched: bool) -> None:
    """Whatever is wrong: line and vectors of each whole item are there afterwards, together, in their order.

    What isn't repaired isn't changed; and after a repair nothing is left for another one.
    """
    with tempfile.TemporaryDirectory() as name:
        location = locate(Path(name))
        planted = plant(make_slots(Path(name)), faults)
        write_slots(location, planted)
        files, before = audio_files(location), index_bytes(location)
        choice = RepairChoice(drop_unmatched=unmatched)
        examination = examine(location, choice)
        if not examination.plan.repairs:
            assert examination.plan.obstacle or not mendable(examination)
            return
        saved = repair(location, choice)
        cores = [slot.core for slot in read_slots(location)]
        whole = list(dict.fromkeys(slot.core for slot in planted if slot.is_whole))
        # Of rows repeated to the letter one is enough.
        assert [core for core in cores if core in whole] == whole
        assert examine(location, choice).plan.repairs == ()
        assert not mendable(examine(location, choice))
        assert audio_files(location) == files
        assert_nothing_is_lost(before, location, saved)


def mendable(examination: Examination) -> list[Finding]:
    """The faults that a repair is said to mend."""
    return [finding for finding in examination.findings if finding.mend == Mend.REPAIR]


def assert_nothing_is_lost(before: dict[str, bytes], location: CacheLocation, saved: Path) -> None:
    """Each line and each vector is in the index, or in what was taken out."""
    lines = Counter(before[META_NAME].splitlines(keepends=True))
    kept = (location.path / META_NAME).read_bytes().splitlines(keepends=True)
    aside = (saved / "lines.jsonl").read_bytes().splitlines(keepends=True) if (saved / "lines.jsonl").exists() else []
    assert lines == Counter([*kept, *aside])
    for name in (CLAP_TEXT_NAME, CLAP_AUDIO_NAME):
        row = np.load(location.path / name).shape[1] * 4
        after = before[name][128:]
        old = Counter(after[start : start + row] for start in range(0, len(after), row))
        new = np.load(location.path / name).tobytes()
        new += np.load(saved / name).tobytes() if (saved / name).exists() else b""
        assert old == Counter(new[start : start + row] for start in range(0, len(new), row))
