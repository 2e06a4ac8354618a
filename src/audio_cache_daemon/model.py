"""The values that the stages hand on: where a cache is, what was found in it, what is to go, what happened.

A row's values are numpy columns, one entry a line of `meta.jsonl`; its texts stay in the file and are read
back by byte offset. A value that is missing or can't be true is NaN (numbers) or -1 (numbers of things).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.columns import parts
from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.location import CacheLocation, Root

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Truths: TypeAlias = NDArray[np.uint8]


class Truth(IntEnum):
    """Three-valued logic: `and` is the minimum, `or` the maximum."""

    FALSE = 0
    UNDECIDABLE = 1
    TRUE = 2


class ItemState(IntEnum):
    """What is known of a row's file."""

    OK = 0
    MISSING = 1
    UNDECIDABLE = 2
    RETIRED = 3


class StrayKind(IntEnum):
    """Files that no row names."""

    ORPHAN = 0
    LEFTOVER = 1


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


class KnownSounds(msgspec.Struct, frozen=True):
    """What an earlier comparison told of each vector: those `unlike` each other and the `protected`.

    They are less alike than `similarity`, a cosine. Of the protected among themselves it told nothing.
    """

    similarity: float
    unlike: Bools
    protected: Bools


class Sounds(msgspec.Struct, frozen=True):
    """Audio vectors of length 1: that of row i is `vectors[place[i]]`; where `place` is -1 there is none to go by.

    `fault` says why there are none at all: lines and vectors don't match.
    """

    place: NDArray[np.int32]
    vectors: NDArray[np.float32]
    fault: str | None = None
    known: KnownSounds | None = None

    @classmethod
    def none(cls, rows: int) -> Sounds:
        """Of no row."""
        return cls(np.full(rows, -1, np.int32), np.empty((0, 0), np.float32))


class DecodingState(IntEnum):
    """Whether an audio file could be decoded; UNKNOWN: it wasn't tried, or that tells nothing about it."""

    UNKNOWN = 0
    DECODED = 1
    UNDECODABLE = 2


BROKEN = "state:broken"
"""What a plan calls the criterion of rules that select broken audio; what they measure is a Flaw."""


class Flaw(IntEnum):
    """By which sign audio is broken."""

    EMPTY = 1
    UNDECODABLE = 2
    CUT_SHORT = 3
    SILENT = 4
    CLIPPED = 5


class Decoded(msgspec.Struct, frozen=True):
    """What decoding told of the audio of each row: its state, and, where that is DECODED, the measures.

    `seconds` of sound, `peak` of the samples (full scale is 1), the share that is `clipped` (0 to 1); else NaN.
    `fault` says why some weren't decoded.
    """

    state: NDArray[np.uint8]
    seconds: Floats
    peak: Floats
    clipped: Floats
    fault: str | None = None

    @classmethod
    def none(cls, rows: int) -> Decoded:
        """Of no row."""
        seconds, peak, clipped = (np.full(rows, np.nan) for _ in range(3))
        return cls(np.full(rows, DecodingState.UNKNOWN, np.uint8), seconds, peak, clipped)

    def select(self, rows: NDArray[np.signedinteger]) -> Decoded:
        """Of these rows, in this order."""
        return Decoded(self.state[rows], self.seconds[rows], self.peak[rows], self.clipped[rows], self.fault)


class Rows(msgspec.Struct, frozen=True):
    """One entry a line of `meta.jsonl`, in its order.

    `offset` has one entry more: row i is the bytes from offset[i] to offset[i + 1]. `prompt` numbers the
    distinct values of `prompt_norm`, `file` the distinct audio files (several rows may name one), `content` the
    distinct contents among files of equal size (only when asked for). `readable` is false for a line that is
    no row: it is counted as no item and never selected. Until `held_until` nothing takes a row that was restored.
    Nor until `pinned_until` (inf: for good) one that a person pinned.
    `matches` holds a Truths column for each pattern; `sounds` and `decoded` are there only when asked for, and
    `missing_keys`, the ids (formats.row_key) of the rows whose file is missing, only where something is remembered of
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


class Evictions(msgspec.Struct, frozen=True):
    """What one kind of subject (rows or strays) loses: parallel columns, in ascending order of `subject`.

    `rule` indexes `Plan.rules`; `value` and `threshold` are the measured number and the limit it crossed (NaN
    where the reason is no number); `keeper` is the row whose copy stays, or -1; `bytes` are those of its file, if
    that goes with this eviction: a file that several rows name goes with the last of them.
    """

    subject: Ints
    rule: NDArray[np.int16]
    value: Floats
    threshold: Floats
    keeper: NDArray[np.int32]
    bytes: Ints

    def __len__(self) -> int:
        return len(self.subject)

    def only(self, chosen: Bools) -> Evictions:
        """Those that are chosen."""
        return Evictions(
            self.subject[chosen],
            self.rule[chosen],
            self.value[chosen],
            self.threshold[chosen],
            self.keeper[chosen],
            self.bytes[chosen],
        )

    def none(self) -> Evictions:
        """The same columns without an eviction."""
        return Evictions(
            self.subject[:0], self.rule[:0], self.value[:0], self.threshold[:0], self.keeper[:0], self.bytes[:0]
        )


class PlanRule(msgspec.Struct, frozen=True):
    """A rule as the plan and its reports know it: its name, its criterion, and the text it compares with, if any."""

    name: str
    criterion: str
    text: str | None = None


class Plan(msgspec.Struct, frozen=True):
    """What goes and why; the executor's only input.

    `protected` says for each row which protection holds it (index into `protections`, -1: none).
    `undecidable` counts the items for which a condition that the policy asks for could not be decided.
    `capped` names the limits that cut the budget short, by `cut` evictions; `held` counts what rules select and a
    protection keeps. `refusals` says in words why the plan must not be executed (empty: it may).
    """

    inventory: Inventory
    now: float
    rules: tuple[PlanRule, ...]
    protections: tuple[str, ...]
    rows: Evictions
    strays: Evictions
    protected: NDArray[np.int16]
    undecidable: int = 0
    capped: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    held: int = 0
    cut: int = 0


class ForecastDay(msgspec.Struct, frozen=True):
    """A day to come: at which moment a run begins, how many items were added since the one before, what the run takes.

    `taken` has items and bytes by rule; `refused` names the limits that refuse the run. `items` and `bytes` are what
    the cache holds after it, and what it would hold if no run had taken anything.
    """

    time: float
    added: int
    taken: Mapping[str, tuple[int, int]]
    items: int
    bytes: int
    items_without: int
    bytes_without: int
    refused: tuple[str, ...] = ()


class Forecast(msgspec.Struct, frozen=True):
    """What comes, from the growth of the last `window` seconds; the first of the `days` is now."""

    window: float
    items_per_day: float
    bytes_per_day: float
    days: tuple[ForecastDay, ...]

    def reached(self) -> dict[str, float]:
        """When each mark of the budget first takes something, and when each limit first refuses a run."""
        first: dict[str, float] = {}
        for day in self.days:
            for name in [*(name for name in day.taken if name.startswith("budget:")), *day.refused]:
                first.setdefault(name, day.time)
        return first


class Settled(msgspec.Struct, frozen=True):
    """Rows that a rule compared with all others and left: none is so similar to another, but for protected ones."""

    similarity: float
    unlike: Ints
    protected: Ints


class KeptReason(IntEnum):
    """Why an item stays."""

    UNSELECTED = 0
    PROTECTED = 1
    FILE_UNKNOWN = 2
    UNDECIDABLE = 3


class Kept(msgspec.Struct, frozen=True):
    """What a plan leaves of one kind of subject (rows or strays): parallel columns, in ascending order of `subject`.

    `which` indexes the plan's protections (of what is protected) or its rules (of what is undecidable); else -1.
    """

    subject: Ints
    reason: NDArray[np.uint8]
    which: Ints


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


class Refusal(msgspec.Struct, frozen=True):
    """A limit or sentinel that stops a plan: its name (a bounded set), what it saw, how to go on."""

    limit: str
    message: str


class OutcomeKind(StrEnum):
    """What became of a planned eviction."""

    EVICTED = "evicted"
    GONE = "gone"
    CHANGED = "changed"
    FAILED = "failed"


class Outcome(msgspec.Struct, frozen=True):
    """What became of one planned eviction: of row `row`, or of the stray `stray` (the other is None).

    `bytes_freed` left the cache: for good, or into the trash. `pending_bytes` are those of a file that goes later,
    None when there is none. Of a failed one `denied` says whether a permission is missing.
    """

    kind: OutcomeKind
    id: str
    row: int | None
    stray: int | None
    bytes_freed: int = 0
    error: str | None = None
    pending_bytes: int | None = None
    denied: bool = False


class RunResult(StrEnum):
    """How a run ended."""

    SUCCESS = "success"
    NOOP = "noop"
    PARTIAL = "partial"
    REFUSED = "refused"
    DEFERRED = "deferred"
    LOCKED = "locked"
    FAILED = "failed"


class OutcomeCounts(msgspec.Struct, frozen=True):
    """What became of a plan, in numbers."""

    evicted: int = 0
    gone: int = 0
    changed: int = 0
    failed: int = 0
    bytes_freed: int = 0
    pending_items: int = 0
    pending_bytes: int = 0


class RuleCount(msgspec.Struct, frozen=True):
    """What one rule evicted; the bytes are those of the files, also where these are still to go."""

    items: int = 0
    bytes: int = 0


class RunReport(msgspec.Struct, frozen=True):
    """What a run over one cache did, or, of a preview (`outcome` is None), would do.

    `evicted` says how much each rule evicted, `denied` how many evictions failed for a missing permission.
    `refusals` are the limits and sentinels that refused it, or would. `error` is what ended it early, `messages`
    is what else a person should know.
    """

    cache: str
    mode: str
    run: str
    result: RunResult
    plan: Plan | None = None
    outcome: OutcomeCounts | None = None
    evicted: Mapping[str, RuleCount] = msgspec.field(default_factory=dict)
    denied: int = 0
    refusals: tuple[Refusal, ...] = ()
    error: MaintenanceError | None = None
    messages: tuple[str, ...] = ()
    duration_seconds: float = 0.0
