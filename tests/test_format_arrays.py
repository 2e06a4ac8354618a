"""Headers of the embedding arrays: what the writer makes is read, anything else is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_cache_daemon.formats import array_header, read_array_info
from audio_cache_daemon.model import ArrayInfo


def _array_file(path: Path, header: bytes, data: int) -> int:
    path.write_bytes(header + bytes(data))
    return os.open(path, os.O_RDONLY)


def _info(path: Path, header: bytes, data: int) -> ArrayInfo:
    descriptor = _array_file(path, header, data)
    try:
        return read_array_info("a.npy", descriptor)
    finally:
        os.close(descriptor)


def _header(descr: str, shape: str, fortran: str = "False", version: bytes = b"\x01\x00") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    size = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + size + text


def test_an_array_of_the_writer_is_read_from_its_header(tmp_path: Path) -> None:
    """Rows, width, type and where the data begin; also of one without rows."""
    for rows in (0, 3):
        np.save(tmp_path / "a.npy", np.zeros((rows, 5), np.float32))
        with (tmp_path / "a.npy").open("rb") as file:
            info = read_array_info("a.npy", file.fileno())
        assert (info.rows, info.width, info.dtype, info.row_bytes) == (rows, 5, "<f4", 20)
        assert info.data_offset + rows * 20 == info.identity.size
        assert array_header(info, rows) == (tmp_path / "a.npy").read_bytes()[: info.data_offset]


@pytest.mark.parametrize(
    ("header", "data"),
    [
        (_header("'|O'", "(2, 3)"), 48),
        (_header("[('a', '<f4')]", "(2, 3)"), 24),
        (_header("'<i4'", "(2, 3)"), 24),
        (_header("'<f4'", "(2, 3)", fortran="True"), 24),
        (_header("'<f4'", "(0,)"), 0),
        (_header("'<f4'", "(6,)"), 24),
        (_header("'<f4'", "(1, 2, 3)"), 24),
        (_header("'<f4'", "()"), 4),
        (_header("'<f4'", f"({10**30}, {10**30})"), 24),
        (_header("'<f4'", "(4611686018427387904, 4)"), 0),
        (_header("'<f4'", "(-2, -3)"), 24),
        (_header("'<f4'", "(5, 0)"), 0),
        (_header("'<f4'", "(2, 3)"), 23),
        (_header("'<f4'", "(2, 3)"), 25),
        (_header("'<f4'", "(2, 3)", version=b"\x07\x07"), 24),
        (_header("'<f4'", "(2, 'a')"), 24),
        (_header("'<f4'", "(" * 300), 24),
        (_header("__import__('os')", "(2, 3)"), 24),
        (b"", 0),
        (b"\x93NUMPY\x01\x00\xff\xff", 24),
        (bytes(4096), 0),
    ],
)
def test_a_forged_header_is_refused(tmp_path: Path, header: bytes, data: int) -> None:
    """With ValueError, and without allocating what it claims."""
    with pytest.raises(ValueError, match=r"header|not what the generator writes"):
        _info(tmp_path / "a.npy", header, data)


@given(st.binary(max_size=200))
def test_no_header_text_raises_anything_but_a_value_error(text: bytes) -> None:
    """The parser of the header is not ours, and is written for well-meant files."""
    descriptor = os.memfd_create("array")
    try:
        os.write(descriptor, b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
        with pytest.raises(ValueError, match=r"header|generator"):
            read_array_info("a.npy", descriptor)
    finally:
        os.close(descriptor)
