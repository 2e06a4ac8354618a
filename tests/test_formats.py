"""The writer's files: framing of rows, what counts as a row and what is known of it."""

from __future__ import annotations

import io
import json
import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_cache_daemon.formats import (
    MAX_ROW_BYTES,
    Row,
    creation_times,
    decode_row,
    decode_rows,
    durations,
    iter_blocks,
    line_ends,
    qualities,
    read_lines,
)
from audio_cache_daemon.ids import row_id

LINES = st.sampled_from(
    [
        b'{"path": "a.wav", "timestamp": 1.5}',
        b'{"path": "b.wav", "ts": 2, "dur": 3}',
        b"{}",
        b"",
        b"  ",
        b"{} {}",
        b'{"path":',
        b'"x"}',
        b"\xff\xfe",
        b"[]",
        b'{"clap_similarity": NaN}',
        b'{"timestamp": "5"}',
        b'{"prompt": "a\\nb\xe2\x80\xa8c"}\r',
    ]
)


@given(st.lists(LINES), st.booleans(), st.integers(1, 40))
def test_blocks_are_the_lines_of_the_file_whatever_they_hold(lines: list[bytes], ended: bool, size: int) -> None:
    """Blocks lie end to end, split only after a newline, and the position afterwards is the end of the file."""
    content = b"\n".join(lines) + (b"\n" if ended else b"")
    file = io.BytesIO(content)
    position = 0
    for start, block in iter_blocks(file, size):
        assert start == position
        assert content[start : start + len(block)] == block
        position += len(block)
        assert block.endswith(b"\n") or position == len(content)
    assert position == file.tell() == len(content)


def _texts_and_times(row: Row | None) -> tuple[object, ...] | None:
    # Without the score: NaN reads as None in a block.
    return None if row is None else (row.path, row.prompt, row.timestamp, row.ts, row.dur)


@given(st.lists(LINES, min_size=1))
def test_a_block_is_decoded_whole_only_when_each_line_is_a_row_by_itself(lines: list[bytes]) -> None:
    """Two rows on a line and a blank line after them must not pass for two lines with a row each."""
    block = b"".join(line + b"\n" for line in lines)
    rows = decode_rows(block, line_ends(block))
    alone = [decode_row(line) for line in lines]
    if rows is not None:
        assert [_texts_and_times(row) for row in rows] == [_texts_and_times(row) for row, _ in alone]


def test_two_rows_on_one_line_are_no_row() -> None:
    """The writer can't start on such a line; taking it for two would shift all rows after it."""
    block = b"{} {}\n\n"
    assert decode_rows(block, line_ends(block)) is None
    assert decode_row(b"{} {}\n")[0] is None


@pytest.mark.parametrize("tail", [b"", b"\n", b"\n{}\n"])
@pytest.mark.parametrize("head", [b'{"path": "a.wav"}' + b" " * 100, b" " * 100])
def test_a_line_beyond_all_measure_is_passed_over_as_one_line_that_is_no_row(head: bytes, tail: bytes) -> None:
    """Its beginning may look like a row: what counts is that the lines after it keep their number and place."""
    overlong = head + b"x" * (MAX_ROW_BYTES + 2**18)
    file = io.BytesIO(b"{}\n" + overlong + tail)
    blocks = list(iter_blocks(file))
    assert [start for start, _ in blocks] == [0, 3, 3 + len(overlong) + 1][: 3 if tail == b"\n{}\n" else 2]
    line = blocks[1][1]
    assert (line.count(b"\n"), line.endswith(b"\n")) == (len(tail[:1]), bool(tail))
    assert len(line) < 100
    row, problems = decode_row(line)
    assert row is None
    assert [problem.kind for problem in problems] == ["unreadable_line"]
    assert str(MAX_ROW_BYTES) in problems[0].message
    assert file.tell() == 3 + len(overlong) + len(tail)


def test_a_long_line_below_the_limit_is_a_row() -> None:
    """Rows of ten megabytes are odd, and rows."""
    content = json.dumps({"prompt": "x" * 10_000_000}).encode() + b"\n"
    ((start, block),) = iter_blocks(io.BytesIO(content))
    rows = decode_rows(block, line_ends(block))
    assert start == 0
    assert rows is not None
    assert len(rows[0].prompt or "") == 10_000_000


def test_rows_of_both_generations_give_time_and_duration() -> None:
    """`ts` and `dur` stand in where the newer keys are absent or null."""
    block = b'{"timestamp":5,"duration_s":1}\n{"ts":6,"dur":2}\n{"timestamp":null,"ts":7,"dur":3}\n'
    rows = decode_rows(block, line_ends(block))
    assert rows is not None
    assert creation_times(rows).tolist() == [5, 6, 7]
    assert durations(rows).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "value", ["NaN", "null", "0", "0.0", "-1", "Infinity", "-Infinity", "1e999", '"5"', "true", "[]"]
)
def test_a_time_that_can_not_be_is_unknown(value: str) -> None:
    """Zero and below, not finite, and anything that is no number."""
    row, _ = decode_row(b'{"timestamp": %s}' % value.encode())
    assert row is not None
    assert np.isnan(creation_times([row])).all()


@pytest.mark.parametrize("value", ["NaN", "null", "-0.1", "Infinity", "1e308", "1" + "0" * 400, '"5"', "false"])
def test_a_duration_that_can_not_be_is_unknown(value: str) -> None:
    """Negative, longer than a life, or no number; it must also fit the column without a warning."""
    row, _ = decode_row(b'{"duration_s": %s}' % value.encode())
    assert row is not None
    assert np.isnan(durations([row]).astype(np.float32)).all()


@pytest.mark.parametrize("value", ["NaN", "null", "1.1", "-1e300", "-Infinity", "1" + "0" * 400, '"0.5"', "true"])
def test_a_score_that_can_not_be_is_unknown(value: str) -> None:
    """A score is the product of two vectors of length 1; a higher one must not rank above all true ones."""
    row, _ = decode_row(b'{"clap_similarity": %s}' % value.encode())
    assert row is not None
    assert np.isnan(qualities([row])).all()


@pytest.mark.parametrize("value", ["0", "1", "-1", "0.35", "1.0005"])
def test_scores_from_minus_one_to_one_are_known(value: str) -> None:
    """With a margin for rounding; a score of 0 is a score."""
    row, _ = decode_row(b'{"clap_similarity": %s}' % value.encode())
    assert row is not None
    assert qualities([row]).tolist() == [float(value)]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"", "blank_line"),
        (b" \t\r\n", "blank_line"),
        (b'{"path": "a', "unreadable_line"),
        (b"null", "unreadable_line"),
        (b'"text"', "unreadable_line"),
        (b"[{}]", "unreadable_line"),
        (b'{"path": "a\xff"}', "unreadable_line"),
        (b'{"path": "a\xed\xb3\xbf"}', "unreadable_line"),
        (b"\xef\xbb\xbf{}", "unreadable_line"),
        ("{}".encode("utf-16-le"), "unreadable_line"),
        (b"{}" + b"\0" * 2, "unreadable_line"),
        (b"[" * 100_000, "unreadable_line"),
        (b'{"timestamp": ' + b"9" * 5000 + b"}", "unreadable_line"),
    ],
)
def test_a_line_that_the_writer_can_not_read_is_no_row(line: bytes, kind: str) -> None:
    """It is told apart whether it is blank; no encoding but UTF-8 is guessed at."""
    row, problems = decode_row(line)
    assert row is None
    assert [problem.kind for problem in problems] == [kind]
    assert len(problems[0].message) < 200


def test_a_foreign_key_is_a_problem_of_a_row_that_counts() -> None:
    """The values that are known stay known."""
    row, problems = decode_row(json.dumps({"path": "a.wav", "x" * 10**6: 1}).encode())
    assert row is not None
    assert row.path == "a.wav"
    assert [problem.kind for problem in problems] == ["foreign_key"]
    assert len(problems[0].message) < 200


def test_a_value_of_the_wrong_type_is_absent() -> None:
    """A number in quotes is no number, and a number is no text; the rest of the row counts."""
    row, problems = decode_row(b'{"path": 5, "prompt": ["a"], "timestamp": "7", "duration_s": true, "dur": 2}')
    assert row is not None
    assert (row.path, row.prompt, row.timestamp, row.duration_s) == (None,) * 4
    assert row.dur == 2
    assert {problem.kind for problem in problems} == {"mistyped_value"}
    assert len(problems) == 4


def test_a_name_that_is_not_utf8_arrives_as_the_file_system_spells_it() -> None:
    """The writer escapes such bytes as lone surrogates, and so does Python in the names of files."""
    row, problems = decode_row(b'{"path": "/a/b\\udcff.wav"}')
    assert not problems
    assert row is not None
    assert os.fsencode(row.path or "") == b"/a/b\xff.wav"


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=30), st.data())
def test_lines_are_read_back_by_their_offsets(lines: list[bytes], data: st.DataObject) -> None:
    """Any rows, however far they are apart."""
    content = b"".join(line + b"\n" for line in lines)
    offset = np.cumsum([0, *[len(line) + 1 for line in lines]])
    rows = np.array(sorted(data.draw(st.sets(st.sampled_from(range(len(lines))))) if lines else []), np.int64)
    gap = data.draw(st.integers(0, 40))
    descriptor = os.memfd_create("lines")
    try:
        os.write(descriptor, content)
        assert list(read_lines(descriptor, offset, rows, gap)) == [lines[row] + b"\n" for row in rows.tolist()]
    finally:
        os.close(descriptor)


def test_an_id_is_of_the_bytes_and_not_of_the_end_of_the_line() -> None:
    """So it survives that a torn last line gets its end."""
    assert row_id(b'{"a": 1}', 0) == row_id(b'{"a": 1}\n', 0) == row_id(b'{"a": 1}\r\n', 0)
    assert len({row_id(b'{"a": 1}', 0), row_id(b'{"a":1}', 0), row_id(b'{"a": 1}', 1)}) == 3


@given(st.floats(allow_nan=True) | st.none(), st.floats() | st.none(), st.floats() | st.none())
def test_what_is_known_of_a_row_is_within_bounds(
    created: float | None, length: float | None, score: float | None
) -> None:
    """Whatever floats stand in the file, a column holds plausible values and NaN."""
    rows = [Row(timestamp=created, duration_s=length, clap_similarity=score)]
    time, duration, quality = creation_times(rows)[0], durations(rows)[0], qualities(rows)[0]
    assert math.isnan(time) or (math.isfinite(time) and time > 0)
    assert math.isnan(duration) or 0 <= duration < np.finfo(np.float32).max
    assert math.isnan(quality) or abs(quality) < 1.01
