"""Every fault of a cache is named, with its place, its severity and who can mend it; nothing is written."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from observing import scan

from audio_cache_daemon.cache.verify import examine_index
from audio_cache_daemon.errors import ConfigError, InconsistentIndexError
from audio_cache_daemon.findings import MOST_FINDINGS, Examination, Finding, Mend, RepairChoice, Severity
from audio_cache_daemon.location import (
    ARRAY_NAMES,
    BGE_TEXT_NAME,
    CLAP_AUDIO_NAME,
    CLAP_TEXT_NAME,
    META_NAME,
    CacheLocation,
)
from builders import CacheBuilder
from slots import Slot, index_bytes, read_slots, write_flat, write_slots

ROWS = 9
CLAP = (CLAP_TEXT_NAME, CLAP_AUDIO_NAME)


@pytest.fixture
def cache(tmp_path: Path) -> CacheBuilder:
    """A cache whose rows have a score each its own."""
    cache = CacheBuilder(tmp_path)
    for row in range(ROWS):
        cache.add(f"prompt {row}", quality=0.2 + row / 50)
    return cache


def examine(location: CacheLocation, *lines: int, unmatched: bool = False) -> Examination:
    return examine_index(scan(location), RepairChoice(frozenset(lines), unmatched))


def find(location: CacheLocation, kind: str) -> list[Finding]:
    """The findings of a kind; looking changes nothing."""
    before = index_bytes(location)
    found = [finding for finding in examine(location).findings if finding.kind == kind]
    assert index_bytes(location) == before
    assert not (location.state_directory).exists()
    return found


def find_one(location: CacheLocation, kind: str) -> Finding:
    (finding,) = find(location, kind)
    return finding


def edit_line(location: CacheLocation, number: int, line: bytes) -> None:
    """Put something else in place of a line, from 1."""
    slots = read_slots(location)
    slots[number - 1].line = line
    write_slots(location, slots)


def change_rows(location: CacheLocation, name: str, rows: list[int]) -> None:
    """Let an array consist of these of its rows."""
    np.save(location.path / name, np.load(location.path / name)[rows])


def test_a_sound_cache_has_no_fault(cache: CacheBuilder) -> None:
    """And there is nothing to repair."""
    examination = examine(cache.write())
    assert examination.findings == ()
    assert examination.plan.repairs == ()
    assert examination.plan.obstacle is None


def test_an_empty_cache_has_no_fault(tmp_path: Path) -> None:
    """With arrays of no rows, or without arrays."""
    location = CacheBuilder(tmp_path).write()
    assert examine(location).findings == ()
    for name in ARRAY_NAMES:
        (location.path / name).unlink()
    assert examine(location).findings == ()


@pytest.mark.parametrize("tail", [b"{", b'{"path": "/x", "prompt": "r', b"\0\0\0", b" "])
def test_a_torn_last_line_is_an_error(cache: CacheBuilder, tail: bytes) -> None:
    """The generator won't start on it."""
    location = cache.write()
    cache.append_to_meta(tail)
    finding = find_one(location, "torn_tail")
    assert (finding.severity, finding.file, finding.line) == (Severity.ERROR, META_NAME, ROWS + 1)
    assert finding.mend == Mend.REPAIR


def test_a_whole_last_line_without_an_end_is_an_error(cache: CacheBuilder) -> None:
    """The next one would be written onto it."""
    location = cache.write()
    meta = location.path / META_NAME
    meta.write_bytes(meta.read_bytes().removesuffix(b"\n"))
    finding = find_one(location, "torn_tail")
    assert (finding.line, finding.mend) == (ROWS, Mend.REPAIR)
    assert "no end" in finding.message
    assert [repair.kind for repair in examine(location).plan.repairs] == ["torn_tail"]


@pytest.mark.parametrize("blank", [b"\n", b"   \n", b"\r\n", b"\t\n"])
def test_blank_lines_are_errors_each_with_its_number(cache: CacheBuilder, blank: bytes) -> None:
    """Wherever they are."""
    location = cache.write()
    lines = (location.path / META_NAME).read_bytes().splitlines(keepends=True)
    (location.path / META_NAME).write_bytes(b"".join([blank, *lines[:4], blank, *lines[4:], blank]))
    found = find(location, "blank_line")
    assert [finding.line for finding in found] == [1, 6, ROWS + 3]
    assert {(finding.severity, finding.mend) for finding in found} == {(Severity.ERROR, Mend.REPAIR)}


@pytest.mark.parametrize("line", [b"not json\n", b"[1]\n", b"{}{}\n", b'{"path": "\xff"}\n', b'{"path": "x"\n'])
def test_a_line_that_is_no_row_is_an_error(cache: CacheBuilder, line: bytes) -> None:
    """Which a person must decide on when it has vectors."""
    location = cache.write()
    edit_line(location, 4, line)
    finding = find_one(location, "unreadable_line")
    assert (finding.severity, finding.line, finding.mend) == (Severity.ERROR, 4, Mend.OPTION)
    assert "--drop-line 4" in finding.remedy


def test_a_line_that_is_no_row_and_has_no_vectors_goes(cache: CacheBuilder) -> None:
    """A torn line to which somebody added an end."""
    location = cache.write()
    lines = (location.path / META_NAME).read_bytes().splitlines(keepends=True)
    (location.path / META_NAME).write_bytes(b"".join([*lines[:5], b'{"path": "/a\n', *lines[5:]]))
    assert find_one(location, "unreadable_line").mend == Mend.REPAIR
    assert [repair.kind for repair in examine(location).plan.repairs] == ["unreadable_line"]


def test_foreign_keys_are_errors_and_mistyped_values_warnings(tmp_path: Path) -> None:
    """Both name the line and the key."""
    cache = CacheBuilder(tmp_path)
    cache.add("one", quality=0.3, note="mine")
    cache.add("two", quality=0.4, duration_s="long")
    location = cache.write()
    foreign, mistyped = find_one(location, "foreign_key"), find_one(location, "mistyped_value")
    assert (foreign.severity, foreign.line, foreign.mend) == (Severity.ERROR, 1, Mend.OPTION)
    assert "'note'" in foreign.message
    assert (mistyped.severity, mistyped.line, mistyped.mend) == (Severity.WARNING, 2, Mend.OPTION)
    assert "duration_s" in mistyped.message


def test_repeated_rows_are_warnings_and_go_only_with_equal_vectors(cache: CacheBuilder) -> None:
    """The later one; with other vectors it says so and stays."""
    slots = read_slots(cache.write())
    write_slots(cache.location, [*slots[:5], slots[2], *slots[5:]])
    finding = find_one(cache.location, "repeated_row")
    assert (finding.severity, finding.line, finding.row, finding.mend) == (Severity.WARNING, 6, 5, Mend.REPAIR)
    assert "line 3" in finding.message

    bge = np.load(cache.location.path / BGE_TEXT_NAME)
    bge[5] *= 0.5
    np.save(cache.location.path / BGE_TEXT_NAME, bge)
    assert find_one(cache.location, "repeated_row").mend == Mend.PERSON
    assert examine(cache.location).plan.repairs == ()


@pytest.mark.parametrize("name", CLAP)
def test_a_missing_array_is_an_error_that_no_repair_mends(cache: CacheBuilder, name: str) -> None:
    """Its vectors are nowhere else."""
    location = cache.write()
    (location.path / name).unlink()
    finding = find_one(location, "missing_array")
    assert (finding.severity, finding.file, finding.mend) == (Severity.ERROR, name, Mend.PERSON)
    assert examine(location).plan.obstacle is not None


def test_the_optional_array_may_be_missing(cache: CacheBuilder) -> None:
    """BGE was never on."""
    location = cache.write()
    (location.path / BGE_TEXT_NAME).unlink()
    assert examine(location).findings == ()


@pytest.mark.parametrize("kind", ["object", "fortran", "flat", "short", "long", "text", "forged", "fifo"])
@pytest.mark.parametrize("name", ARRAY_NAMES)
def test_what_is_no_array_is_an_error_that_no_repair_mends(cache: CacheBuilder, name: str, kind: str) -> None:
    """With the reason, and without unpickling, allocating or waiting."""
    location = cache.write()
    path = location.path / name
    array, content = np.load(path), path.read_bytes()
    path.unlink()
    if kind == "object":
        np.save(path, np.array([[{}] * 8] * ROWS, dtype=object), allow_pickle=True)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind in ("fortran", "flat"):
        np.save(path, np.asfortranarray(array) if kind == "fortran" else array.ravel())
    else:
        forged = content.replace(b"(9, ", b"(8, ")
        path.write_bytes({"short": content[:-1], "long": content + b"\0", "text": b"no array", "forged": forged}[kind])
    findings = [finding for finding in examine(location).findings if finding.severity == Severity.ERROR]
    assert {(finding.kind, finding.mend) for finding in findings} == {
        ("unreadable_array", Mend.PERSON),
        ("unmatched", Mend.PERSON),
    }
    assert findings[0].file == name
    assert examine(location).plan.repairs == ()


@pytest.mark.parametrize("name", ARRAY_NAMES)
def test_an_array_without_a_second_dimension_goes_when_there_are_no_rows(tmp_path: Path, name: str) -> None:
    """The generator's next addition would fail on it."""
    location = CacheBuilder(tmp_path).write()
    write_flat(location.path / name)
    finding = find_one(location, "empty_array")
    assert (finding.severity, finding.file, finding.mend) == (Severity.ERROR, name, Mend.REPAIR)
    assert examine(location).plan.removed == (name,)


def test_vectors_that_are_lost_to_an_empty_array_are_not_mended(cache: CacheBuilder) -> None:
    """All lines would have to go; a person may have a backup."""
    location = cache.write()
    write_flat(location.path / CLAP_AUDIO_NAME)
    examination = examine(location)
    assert examination.plan.repairs == ()
    assert "--drop-unmatched" in (examination.plan.obstacle or "")


@pytest.mark.parametrize("place", range(ROWS))
def test_a_line_without_vectors_is_found_wherever_it_is(cache: CacheBuilder, place: int) -> None:
    """By the scores of the others."""
    slots = read_slots(cache.write())
    slots[place].vectors = [None] * 3
    write_slots(cache.location, slots)
    found = find(cache.location, "short_array")
    assert {(finding.file, finding.mend) for finding in found} == {(name, Mend.REPAIR) for name in ARRAY_NAMES}
    assert f"line {place + 1} of meta.jsonl" in found[0].remedy
    kept = examine(cache.location).plan.kept
    assert np.flatnonzero(~kept[META_NAME]).tolist() == [place]
    assert all(kept[name].all() for name in ARRAY_NAMES)


@pytest.mark.parametrize("place", range(ROWS))
def test_vectors_without_a_line_are_found_wherever_they_are(cache: CacheBuilder, place: int) -> None:
    """As well."""
    slots = read_slots(cache.write())
    slots[place].line = None
    write_slots(cache.location, slots)
    found = find(cache.location, "long_array")
    assert {(finding.file, finding.mend) for finding in found} == {(name, Mend.REPAIR) for name in ARRAY_NAMES}
    kept = examine(cache.location).plan.kept
    assert kept[META_NAME].all()
    assert [np.flatnonzero(~kept[name]).tolist() for name in ARRAY_NAMES] == [[place]] * 3


@pytest.mark.parametrize("place", [0, 4, ROWS - 1])
def test_a_crash_between_the_arrays_is_found(cache: CacheBuilder, place: int) -> None:
    """The line and its first vector are there, the others aren't."""
    slots = read_slots(cache.write())
    slots[place].vectors[1:] = [None, None]
    write_slots(cache.location, slots)
    kept = examine(cache.location).plan.kept
    gone = {name: np.flatnonzero(~mask).tolist() for name, mask in kept.items()}
    assert gone == {META_NAME: [place], CLAP_TEXT_NAME: [place], CLAP_AUDIO_NAME: [], BGE_TEXT_NAME: []}


def test_a_row_too_many_among_rows_without_scores_is_not_guessed(tmp_path: Path) -> None:
    """It could be any of them; they are named."""
    cache = CacheBuilder(tmp_path)
    for row in range(ROWS):
        cache.add(f"prompt {row}", quality=None if row in (3, 4) else 0.2 + row / 50)
    slots = read_slots(cache.write())
    slots[4].vectors = [None] * 3
    write_slots(cache.location, slots)
    finding = find_one(cache.location, "unmatched")
    assert (finding.severity, finding.mend) == (Severity.ERROR, Mend.OPTION)
    assert "lines 3 to 6" in finding.message
    assert examine(cache.location).plan.repairs == ()
    # Told which, it can be done.
    told = examine(cache.location, 5).plan
    assert np.flatnonzero(~told.kept[META_NAME]).tolist() == [4]
    assert all(told.kept[name].all() for name in ARRAY_NAMES)


def test_a_line_that_is_no_row_beside_one_without_a_score_is_not_guessed(tmp_path: Path) -> None:
    """The vectors there could be those of either."""
    cache = CacheBuilder(tmp_path)
    for row in range(ROWS):
        cache.add(f"prompt {row}", quality=None if row == 3 else 0.2 + row / 50)
    slots = read_slots(cache.write())
    write_slots(
        cache.location, [*slots[:3], Slot(b"junk\n", slots[3].vectors), Slot(slots[3].line, [None] * 3), *slots[4:]]
    )
    assert "without a score" in find_one(cache.location, "unmatched").message
    assert examine(cache.location).plan.repairs == ()


def test_rows_too_many_in_two_places_are_not_guessed(cache: CacheBuilder) -> None:
    """No single place explains them."""
    slots = read_slots(cache.write())
    slots[2].vectors, slots[6].vectors = [None] * 3, [None] * 3
    write_slots(cache.location, slots)
    assert "no single place" in find_one(cache.location, "unmatched").message
    assert examine(cache.location, unmatched=True).plan.repairs == ()
    # Unless both are named.
    assert np.flatnonzero(~examine(cache.location, 3, 7).plan.kept[META_NAME]).tolist() == [2, 6]


def test_more_than_one_row_in_one_place_wants_to_be_told(cache: CacheBuilder) -> None:
    """A crash leaves one; more are more likely an old array, of which there may be a newer one."""
    slots = read_slots(cache.write())
    for slot in slots[-3:]:
        slot.vectors = [None] * 3
    write_slots(cache.location, slots)
    finding = find_one(cache.location, "unmatched")
    assert finding.mend == Mend.OPTION
    assert "--drop-unmatched" in finding.remedy
    plan = examine(cache.location, unmatched=True).plan
    assert np.flatnonzero(~plan.kept[META_NAME]).tolist() == [ROWS - 3, ROWS - 2, ROWS - 1]


def test_rows_with_the_vectors_of_others_are_named_one_by_one(cache: CacheBuilder) -> None:
    """Which is all that can be done without being told."""
    location = cache.write()
    for name in CLAP:
        change_rows(location, name, [0, 1, 3, 2, *range(4, ROWS)])
    found = find(location, "wrong_vectors")
    assert [(finding.line, finding.row) for finding in found] == [(3, 2), (4, 3)]
    assert {(finding.severity, finding.mend) for finding in found} == {(Severity.ERROR, Mend.OPTION)}
    assert examine(location).plan.repairs == ()
    both = examine(location, 3, 4).plan
    assert [np.flatnonzero(~both.kept[name]).tolist() for name in (META_NAME, *ARRAY_NAMES)] == [[2, 3]] * 4
    # Without the one, the other's vectors are found where they are.
    one = examine(location, 3).plan
    assert [np.flatnonzero(~one.kept[name]).tolist() for name in (META_NAME, *ARRAY_NAMES)] == [[2], [3], [3], [3]]


@pytest.mark.parametrize("value", [math.nan, math.inf, 3e38])
def test_vectors_that_are_no_numbers_are_wrong(cache: CacheBuilder, value: float) -> None:
    """They belong to no row."""
    location = cache.write()
    array = np.load(location.path / CLAP_TEXT_NAME)
    array[3] = value
    np.save(location.path / CLAP_TEXT_NAME, array)
    assert [finding.row for finding in find(location, "wrong_vectors")] == [3]


def test_arrays_that_do_not_fit_each_other_are_an_error(cache: CacheBuilder) -> None:
    """Of two models, say."""
    location = cache.write()
    np.save(location.path / CLAP_AUDIO_NAME, np.load(location.path / CLAP_AUDIO_NAME)[:, :5])
    assert "different widths" in find_one(location, "unmatched").message


@pytest.mark.parametrize(("rows", "severity"), [([0, 1, 2], Severity.WARNING), ([*range(ROWS), 0], Severity.ERROR)])
def test_a_bge_array_of_another_length_can_only_be_blanked(
    cache: CacheBuilder, rows: list[int], severity: Severity
) -> None:
    """Which rows it describes can't be told."""
    location = cache.write()
    change_rows(location, BGE_TEXT_NAME, rows)
    finding = find_one(location, "bge_length")
    assert (finding.severity, finding.file, finding.mend) == (severity, BGE_TEXT_NAME, Mend.REPAIR)
    assert examine(location).plan.blanked == {BGE_TEXT_NAME}


def test_zero_vectors_are_only_told(cache: CacheBuilder) -> None:
    """They are the generator's mark for audio that it couldn't read."""
    location = cache.write()
    array = np.load(location.path / CLAP_AUDIO_NAME)
    array[[2, 5]] = 0
    np.save(location.path / CLAP_AUDIO_NAME, array)
    finding = find_one(location, "zero_vector")
    assert (finding.severity, finding.count, finding.mend) == (Severity.INFO, 2, Mend.NOTHING)


def test_without_any_score_nothing_is_proven_and_only_lines_that_are_none_go(tmp_path: Path) -> None:
    """No vector is touched."""
    cache = CacheBuilder(tmp_path)
    for row in range(4):
        cache.add(f"prompt {row}", quality=None)
    cache.repeat(1)
    location = cache.write()
    assert find_one(location, "unproven").severity == Severity.WARNING
    assert examine(location).plan.repairs == ()
    cache.append_to_meta(b"{")
    assert [repair.kind for repair in examine(location).plan.repairs] == ["torn_tail"]


def test_files_are_told_by_what_is_known_of_them(tmp_path: Path) -> None:
    """Missing, undecidable, shared; orphans and leftovers are counted."""
    cache = CacheBuilder(tmp_path)
    shared = cache.add("one", quality=0.3)
    cache.add("two", quality=0.4, path=str(shared))
    missing = cache.add("three", quality=0.5, audio=None)
    cache.add("four", quality=0.6, path="relative.wav")
    for row in range(9):
        cache.add(f"more {row}", quality=0.2 + row / 50)
    cache.add_stray("stray_1700000000000.wav")
    cache.add_stray("temp_stray_1700000000000.wav")
    location = cache.write()
    found = find_one(location, "missing_file")
    assert (found.severity, found.file, found.line) == (Severity.WARNING, META_NAME, 3)
    assert str(missing) in found.message
    assert "path_base" in find_one(location, "undecidable_path").message
    kinds = {finding.kind: (finding.severity, finding.count) for finding in examine(location).findings}
    assert kinds["shared_file"] == kinds["orphan"] == kinds["leftover"] == (Severity.INFO, 1)
    assert examine(location).count(Severity.ERROR) == 0


def test_a_root_that_is_gone_is_told(cache: CacheBuilder) -> None:
    """A volume that isn't mounted makes every file missing."""
    location = cache.write()
    gone = CacheLocation("test", location.path, (location.path.parent / "nowhere",))
    assert find_one(gone, "missing_root").severity == Severity.WARNING


def test_the_worst_is_told_first_and_much_of_one_kind_is_counted(tmp_path: Path) -> None:
    """A million faults are not a million messages."""
    cache = CacheBuilder(tmp_path)
    cache.add("one", quality=0.5, audio=None)
    location = cache.write()
    cache.append_to_meta(b"\n" * (MOST_FINDINGS + 500))
    findings = examine(location).findings
    assert len(findings) == MOST_FINDINGS + 2
    assert sum(finding.count for finding in findings if finding.kind == "blank_line") == MOST_FINDINGS + 500
    assert findings[-1].severity == Severity.WARNING


def test_a_line_with_which_nothing_is_wrong_is_not_dropped(cache: CacheBuilder) -> None:
    """Nor one that isn't there: the number may be that of another look."""
    location = cache.write()
    cache.append_to_meta(b"\n")
    with pytest.raises(ConfigError, match="nothing is wrong with line 3"):
        examine(location, 3)
    with pytest.raises(ConfigError, match=f"no line {ROWS + 2}"):
        examine(location, ROWS + 2)


@pytest.mark.parametrize("name", [META_NAME, CLAP_AUDIO_NAME])
def test_an_index_that_changed_since_its_scan_is_not_examined(cache: CacheBuilder, name: str) -> None:
    """Lines and vectors have to be of one moment."""
    location = cache.write()
    inventory = scan(location)
    with (location.path / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(InconsistentIndexError, match="try again"):
        examine_index(inventory)
