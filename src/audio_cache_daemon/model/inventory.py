"""What was found in a cache, and what is remembered of it.

A row's values are numpy columns, one entry a line of `meta.jsonl`; its texts stay in the file and are read back by byte
offset.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.columns import parts
from audio_cache_daemon.location import CacheLocation, Root
from audio_cache_daemon.model.kinds import Bools, Floats, Ints, ItemState, Truths
from audio_cache_daemon.model.sound import Decoded, Sounds


class ScanNeeds(msgspec.Struct, frozen=True):
    """What a scan has to find out beyond the plain columns, because a rule or the budget asks for it.

    With `sounds_over` the audio vectors of the items of each prompt that has more items than that; 0: of all items.
    Without `files` none is looked for: those of all rows are undecidable, and there are no strays. Without `identities`
    inodes and times of the rows' files are 0: for who removes nothing and reads no audio. Of a million files they take
    16 MB.
    """

    patterns: frozenset[str] = frozenset()
    content: bool = False
    coming: bool = False
    sounds_over: int | None = None
    decoded: bool = False
    files: bool = True
    identities: bool = True


class FileIdentity(msgspec.Struct, frozen=True):
    """What tells that a file is still the one that was looked at."""

    device: int
    inode: int
    size: int
    mtime_ns: int


class Problem(msgspec.Struct, frozen=True):
    """A fault that a scan met and went on from. `where` is a file, a line or a key."""

    kind: str
    where: str
    message: str
    count: int = 1


class ArrayInfo(msgspec.Struct, frozen=True):
    """An embedding array as its header tells it: `rows` x `width` of `dtype`, data from byte `data_offset`."""

    name: str
    identity: FileIdentity
    rows: int
    width: int
    dtype: str
    data_offset: int

    @property
    def row_bytes(self) -> int:
        return self.width * np.dtype(self.dtype).itemsize


class IndexInfo(msgspec.Struct, frozen=True):
    """The four index files as they were when they were read. `arrays` holds those that are there and sound.

    `sample` is of the lines (formats.sample_lines): by it they are known when more were appended since. `aligned` lines
    from the front have their row in each array, also in one that lacks some; of the others that isn't known.
    """

    identity: FileIdentity
    arrays: Mapping[str, ArrayInfo]
    torn_tail: bool = False
    sample: tuple[bytes, bytes] | None = None
    aligned: int = 0

    @property
    def vector_bytes(self) -> int:
        """Bytes of vectors that dropping one row frees."""
        return sum(array.row_bytes for array in self.arrays.values())


class Rows(msgspec.Struct, frozen=True):
    """One entry a line of `meta.jsonl`, in its order.

    `offset` has one entry more: row i is the bytes from offset[i] to offset[i + 1]. `prompt` numbers the
    distinct values of `prompt_norm`, `file` the distinct audio files (several rows may name one), `content` the
    distinct contents among files of equal size (only when asked for). `readable` is false for a line that is
    no row: it is counted as no item and never selected. Until `held_until` nothing takes a row that was restored.
    Nor until `pinned_until` (inf: for good) one that a person pinned.
    `matches` holds a Truths column for each pattern; `sounds` and `decoded` are there only when asked for, and
    `missing_keys`, the ids (ids.row_key) of the rows whose file is missing, only where something is remembered of
    the cache.
    """

    offset: Ints
    readable: Bools
    timestamp: Floats
    duration: Floats
    quality: Floats
    prompt: NDArray[np.int32]
    state: NDArray[np.uint8]
    file: NDArray[np.int32]
    size: Ints
    inode: Ints
    mtime_ns: Ints
    root: NDArray[np.int8]
    missing_since: Floats
    held_until: Floats
    pinned_until: Floats
    used_elsewhere: Bools
    content: NDArray[np.int32]
    matches: Mapping[str, Truths] = msgspec.field(default_factory=dict)
    sounds: Sounds | None = None
    decoded: Decoded | None = None
    missing_keys: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.timestamp)

    def items(self) -> Bools:
        """The rows that are items: lines that could be read, and that aren't retired."""
        items: Bools = self.readable & (self.state != ItemState.RETIRED)
        return items

    def items_among(self, numbers: Ints) -> Ints:
        """Those of these rows that are items: of few rows it takes no column as a whole."""
        items: Ints = numbers[self.readable[numbers] & (self.state[numbers] != ItemState.RETIRED)]
        return items

    def decided(self) -> Bools:
        """The items of whose file it is known whether it is there; nothing else is ever selected."""
        return self._in_state(ItemState.OK, ItemState.MISSING)

    def present(self) -> Bools:
        """The items whose file is there."""
        return self._in_state(ItemState.OK)

    def missing(self) -> Bools:
        """The items whose file is missing."""
        return self._in_state(ItemState.MISSING)

    def audio_bytes(self, of: Bools) -> int:
        """Bytes of the distinct audio files that some of the rows name."""
        named = of & self.present()
        sizes = np.zeros(self.file_count(), np.int64)
        for some in parts(len(self)):
            sizes[self.file[some][named[some]]] = self.size[some][named[some]]
        return int(sizes.sum())

    def file_count(self) -> int:
        """How many distinct files, there or missing, the rows name."""
        return int(self.file.max(initial=-1)) + 1

    def _in_state(self, *states: ItemState) -> Bools:
        found = np.zeros(len(self), np.bool_)
        for state in states:
            found |= self.state == state
        return self.readable & found


class Strays(msgspec.Struct, frozen=True):
    """Audio files under the roots that no row names. `changed` is the later of mtime and ctime, in seconds."""

    path: tuple[str, ...]
    kind: NDArray[np.uint8]
    size: Ints
    changed: Floats
    inode: Ints
    mtime_ns: Ints
    root: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.path)


class Retired(msgspec.Struct, frozen=True):
    """The retired items, parallel columns: by which of the `runs`, which line is theirs now (-1: none any more).

    `pending` says whether the file that goes with the item still lies in its place, `size` its bytes; `undone`
    whether the item's vectors are no longer zero: the generator wrote them back.
    """

    runs: tuple[str, ...] = ()
    run: NDArray[np.int32] = msgspec.field(default_factory=lambda: np.empty(0, np.int32))
    row: Ints = msgspec.field(default_factory=lambda: np.empty(0, np.int64))
    pending: Bools = msgspec.field(default_factory=lambda: np.empty(0, np.bool_))
    size: Ints = msgspec.field(default_factory=lambda: np.empty(0, np.int64))
    undone: Bools = msgspec.field(default_factory=lambda: np.empty(0, np.bool_))

    def __len__(self) -> int:
        return len(self.row)

    def pending_bytes(self) -> int:
        """Bytes of the files that are still to go."""
        return int(self.size[self.pending].sum())


class Inventory(msgspec.Struct, frozen=True):
    """A cache as it was observed. `orphans_undecidable` says why no file can be called an orphan, or is None."""

    location: CacheLocation
    index: IndexInfo
    rows: Rows
    strays: Strays
    roots: tuple[Root, ...]
    problems: tuple[Problem, ...] = ()
    orphans_undecidable: str | None = None
    retired: Retired = msgspec.field(default_factory=Retired)

    def whole_arrays(self) -> dict[str, ArrayInfo]:
        """The arrays that have a row for each line; of others it can't be told which lines their rows describe."""
        return {name: info for name, info in self.index.arrays.items() if info.rows == len(self.rows)}


class AlignedRows(msgspec.Struct, frozen=True):
    """So many lines, from the front, had a row in each array: lines and rows are only ever appended, so they have.

    As long as the line at that place is the `last` of them, by its id, and `bge_text.npy`, which alone may lack rows
    for long, is the file of this inode: the generator saves it in place.
    """

    rows: int
    last: str
    inode: int


class Memory(msgspec.Struct, frozen=True):
    """What is remembered of a cache between runs: when the last good one was, what it left, where the roots were.

    `missing_since` says for the ids of rows whose file is missing since when that is known. `held` are the rows that
    were brought back, which nothing takes for a while, as bytes (held.unpack_held). `aligned` is of the last time at
    which no array lacked rows.
    """

    last_run: float
    rows: int
    roots: Mapping[str, tuple[int, int]]
    missing_since: Mapping[str, float]
    held: bytes = b""
    aligned: AlignedRows | None = None
