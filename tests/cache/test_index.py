"""`meta.jsonl` as columns: one entry a line, whatever the line holds, and the scan goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from observing import bare_cache, problem_count, problems, scan

from audio_cache_daemon.formats import read_lines
from audio_cache_daemon.location import META_NAME
from audio_cache_daemon.model import Inventory, ItemState, ScanNeeds, Truth

GOOD = b'{"path": "/nowhere/a.wav", "prompt": "Rain", "prompt_norm": "rain", "timestamp": 5, "clap_similarity": 0.5}'
NO_ROWS = {
    "blank_line": [b"", b"   ", b"\t\r"],
    "unreadable_line": [b"{", b"null", b"[]", b'"x"', b"{} {}", b'{"path": "\xff"}', b"\x00", b"}\r{"],
}
FAULTY_ROWS = {"foreign_key": [b'{"volume": 3}'], "mistyped_value": [b'{"path": 3}', b'{"timestamp": "5"}']}


def _scan(tmp_path: Path, lines: list[bytes], end: bytes = b"\n") -> Inventory:
    return scan(bare_cache(tmp_path, b"\n".join(lines) + end))


def test_rows_of_both_generations_are_read(tmp_path: Path) -> None:
    """Also side by side in one file."""
    old = b'{"path": "/nowhere/a.wav", "prompt": "x", "prompt_norm": "x", "dur": 3.5, "ts": 7, "clap_similarity": 0.25}'
    rows = _scan(tmp_path, [GOOD, old]).rows
    assert rows.timestamp.tolist() == [5, 7]
    assert np.isnan(rows.duration[0])
    assert rows.duration[1] == 3.5
    assert rows.quality.tolist() == [0.5, 0.25]
    assert rows.prompt.tolist() == [0, 1] or rows.prompt.tolist() == [1, 0]
    assert rows.file.tolist() == [-1, -1]
    assert rows.readable.all()


@pytest.mark.parametrize(("kind", "line"), [(kind, line) for kind, lines in NO_ROWS.items() for line in lines])
def test_a_line_that_is_no_row_is_a_problem_with_its_number_and_no_item(tmp_path: Path, kind: str, line: bytes) -> None:
    """It keeps its place among the rows, since its vectors do; the rows around it are read."""
    inventory = _scan(tmp_path, [GOOD, line, GOOD])
    rows = inventory.rows
    assert problems(inventory, kind) == ["line 2"]
    assert rows.readable.tolist() == [True, False, True]
    assert rows.items().tolist() == [True, False, True]
    assert rows.state.tolist() == [ItemState.UNDECIDABLE] * 3
    assert rows.timestamp[[0, 2]].tolist() == [5, 5]
    assert np.isnan([rows.timestamp[1], rows.quality[1], rows.duration[1]]).all()
    assert rows.prompt[1] == rows.file[1] == rows.root[1] == -1


@pytest.mark.parametrize(("kind", "line"), [(kind, line) for kind, lines in FAULTY_ROWS.items() for line in lines])
def test_a_row_with_a_fault_is_an_item_with_a_problem(tmp_path: Path, kind: str, line: bytes) -> None:
    """What is known of it counts, the rest is absent."""
    inventory = _scan(tmp_path, [GOOD, line])
    assert problems(inventory, kind) == ["line 2"]
    assert inventory.rows.readable.all()


def test_a_torn_last_line_is_told_apart(tmp_path: Path) -> None:
    """Whether or not what is there is a row by itself: the next addition would be written onto it."""
    for tail, readable in ((GOOD, True), (GOOD[:20], False)):
        inventory = _scan(tmp_path, [GOOD, tail], end=b"")
        assert inventory.index.torn_tail
        assert problems(inventory, "torn_tail") == ["line 2"]
        assert inventory.rows.readable.tolist() == [True, readable]
        assert inventory.rows.offset.tolist() == [0, len(GOOD) + 1, len(GOOD) + 1 + len(tail)]


def test_lines_are_numbered_on_beyond_one_block_of_the_reader(tmp_path: Path) -> None:
    """With faults in several blocks, on both sides of their borders."""
    faulty = [1, 2, 1700, 1701, 4999, 5000]
    lines = [b"" if number in faulty else GOOD + b" " * (number % 200) for number in range(1, 5001)]
    inventory = _scan(tmp_path, lines)
    assert len(inventory.rows) == 5000
    assert (np.flatnonzero(~inventory.rows.readable) + 1).tolist() == faulty
    assert problems(inventory, "blank_line") == [f"line {number}" for number in faulty[:5]] + [""]
    assert problem_count(inventory, "blank_line") == 6


def test_a_line_of_20_megabytes_is_one_line(tmp_path: Path) -> None:
    """In the middle and at the end of a file; the offsets after it are true."""
    long = json.dumps({"prompt": "x" * 20_000_000}).encode()
    inventory = _scan(tmp_path, [GOOD, long, GOOD, long])
    assert problems(inventory, "unreadable_line") == ["line 2", "line 4"]
    assert inventory.rows.readable.tolist() == [True, False, True, False]
    assert np.diff(inventory.rows.offset).tolist() == [len(line) + 1 for line in (GOOD, long, GOOD, long)]


def test_a_row_of_10_megabytes_is_a_row(tmp_path: Path) -> None:
    """Its prompt is judged, grouped and let go."""
    long = json.dumps({"path": "/" + "x" * 5_000_000, "prompt": "x" * 5_000_000, "prompt_norm": "x"}).encode()
    inventory = scan(bare_cache(tmp_path, long + b"\n"), ScanNeeds(frozenset({"xy"})))
    assert inventory.rows.readable.all()
    assert inventory.rows.matches["xy"].tolist() == [Truth.FALSE]
    assert all(len(problem.message) < 500 for problem in inventory.problems)


@pytest.mark.slow
def test_counts_stay_true_with_a_million_blank_lines(tmp_path: Path) -> None:
    """Neither time nor memory runs away, and a few examples stand for all."""
    inventory = scan(bare_cache(tmp_path, b"\n" * 1_000_000 + GOOD + b"\n"))
    assert len(inventory.rows) == 1_000_001
    assert inventory.rows.items().sum() == 1
    assert problem_count(inventory, "blank_line") == 1_000_000
    assert len(inventory.problems) < 20


@settings(max_examples=30)
@given(
    lines=st.lists(
        st.sampled_from([GOOD, *[line for kind in (NO_ROWS | FAULTY_ROWS).values() for line in kind]])
        | st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")),
        max_size=30,
    ),
    ended=st.booleans(),
)
def test_offsets_give_back_the_bytes_of_each_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ended: bool
) -> None:
    """As a naive splitter at newlines finds them, for any mixture of lines."""
    content = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    expected = [line + b"\n" for line in content.split(b"\n")]
    expected[-1] = expected[-1][:-1]
    expected = expected if expected[-1] else expected[:-1]
    location = bare_cache(tmp_path_factory.mktemp("index"), content)
    inventory = scan(location)
    with (location.path / META_NAME).open("rb") as file:
        found = list(read_lines(file.fileno(), inventory.rows.offset, np.arange(len(inventory.rows))))
    assert found == expected
    assert inventory.index.torn_tail == bool(content and not content.endswith(b"\n"))


def test_prompts_are_grouped_by_their_normalised_text(tmp_path: Path) -> None:
    """A row without one is in no group, and neither is one whose text is empty."""
    texts = ["rain", "wind", "rain", None, "", "Rain"]
    prompt = _scan(tmp_path, [json.dumps({"prompt_norm": text, "prompt": "x"}).encode() for text in texts]).rows.prompt
    assert prompt[0] == prompt[2]
    assert len({prompt[0], prompt[1], prompt[5]}) == 3
    assert prompt[3] == prompt[4] == -1


def test_a_pattern_gives_a_truth_for_each_row(tmp_path: Path) -> None:
    """Searched in `prompt`, without case; undecidable where there is none, be it a line that is no row."""
    lines = [b'{"prompt": "A Test"}', b'{"prompt": "contest"}', b'{"prompt_norm": "test"}', b"", b'{"prompt": ""}']
    location = bare_cache(tmp_path, b"\n".join(lines) + b"\n")
    matches = scan(location, ScanNeeds(frozenset({r"\btest", "^$"}))).rows.matches
    assert matches[r"\btest"].tolist() == [Truth.TRUE, Truth.FALSE, Truth.UNDECIDABLE, Truth.UNDECIDABLE, Truth.FALSE]
    assert matches["^$"].tolist() == [Truth.FALSE, Truth.FALSE, Truth.UNDECIDABLE, Truth.UNDECIDABLE, Truth.TRUE]


def test_a_pattern_that_takes_too_long_is_undecidable_and_said_so(tmp_path: Path) -> None:
    """For that prompt alone."""
    location = bare_cache(tmp_path, b'{"prompt": "%s!"}\n{"prompt": "ab"}\n' % (b"a" * 60))
    inventory = scan(location, ScanNeeds(frozenset({"(a|aa)+b"})))
    assert inventory.rows.matches["(a|aa)+b"].tolist() == [Truth.UNDECIDABLE, Truth.TRUE]
    assert problems(inventory, "slow_pattern") == ["(a|aa)+b"]


def test_an_empty_index_has_no_rows(tmp_path: Path) -> None:
    """And is no fault."""
    inventory = scan(bare_cache(tmp_path), ScanNeeds(frozenset({"x"}), content=True))
    assert len(inventory.rows) == 0
    assert inventory.rows.offset.tolist() == [0]
    assert inventory.rows.matches["x"].tolist() == []
    assert inventory.problems == ()
