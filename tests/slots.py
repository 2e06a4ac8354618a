"""An index in pieces, to plant faults in: each slot is a line with its vectors, or what a crash left of them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, CacheLocation
from builders import WIDTHS

Vector = bytes


@dataclass
class Slot:
    """What belongs together: a line, and its row of each array; None where it isn't there."""

    line: bytes | None
    vectors: list[Vector | None]

    @property
    def is_whole(self) -> bool:
        """Whether it has a line that ends, and both CLAP vectors."""
        return self.line is not None and self.line.endswith(b"}\n") and None not in self.vectors[:2]

    @property
    def core(self) -> tuple[bytes | None, Vector | None, Vector | None]:
        """Line and CLAP vectors."""
        return self.line, self.vectors[0], self.vectors[1]


def read_slots(location: CacheLocation) -> list[Slot]:
    """The slots of an index; it fails when lines and arrays aren't equally long."""
    lines = (location.path / META_NAME).read_bytes().splitlines(keepends=True)
    arrays = [np.load(location.path / name) for name in ARRAY_NAMES if (location.path / name).exists()]
    assert {len(array) for array in arrays} <= {len(lines)}
    return [Slot(line, [array[number].tobytes() for array in arrays]) for number, line in enumerate(lines)]


def write_slots(location: CacheLocation, slots: list[Slot]) -> None:
    """Make the index consist of these slots."""
    (location.path / META_NAME).write_bytes(b"".join(slot.line or b"" for slot in slots))
    for number, (name, width) in enumerate(zip(ARRAY_NAMES, WIDTHS, strict=True)):
        rows = [vector for slot in slots if (vector := slot.vectors[number]) is not None]
        np.save(location.path / name, np.frombuffer(b"".join(rows), np.float32).reshape(len(rows), width))


def write_flat(path: Path) -> None:
    """Write an array of shape (0,)."""
    stream = io.BytesIO()
    np.save(stream, np.array([]))
    path.write_bytes(stream.getvalue())


def index_bytes(location: CacheLocation) -> dict[str, bytes]:
    """The bytes of the files of an index that are there."""
    return {
        name: (location.path / name).read_bytes()
        for name in (META_NAME, *ARRAY_NAMES)
        if (location.path / name).is_file()
    }
