"""What an operator can ask for, as values. Durations are seconds, sizes bytes, percentages 0 to 100."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Preference: TypeAlias = Literal["quality", "newest", "oldest", "longest", "diverse"]
EvictionOrder: TypeAlias = Literal["oldest", "lowest_quality", "largest"]
SubjectState: TypeAlias = Literal["missing", "orphan", "leftover"]
Measure: TypeAlias = Literal["quality", "duration"]
Sign: TypeAlias = Literal["<", "<=", "==", ">=", ">"]


class MaxAge(msgspec.Struct, frozen=True):
    """Selects items older than `seconds`; one exactly that old is kept."""

    seconds: float


class Pattern(msgspec.Struct, frozen=True):
    """Selects items whose prompt contains a match of the regular expression, in either case."""

    expression: str


class Dedupe(msgspec.Struct, frozen=True):
    """Selects all but the `keep` best of each group of items with one prompt, or with the same bytes.

    By "sound" it selects what sounds at least so similar (a cosine) to a better item that stays, of the same prompt or
    in the whole cache. To prefer "diverse" takes weighs quality against likeness to those that are kept: `diversity`
    from 0 (quality alone) to 1 (likeness alone).
    """

    by: Literal["prompt", "content", "sound"]
    keep: int = 1
    prefer: tuple[Preference, ...] = ()
    diversity: float = 0.5
    similarity: float = 0.985
    within: Literal["prompt", "cache"] = "prompt"

    @property
    def is_by_ear(self) -> bool:
        """Whether it asks how items sound."""
        return self.by == "sound" or "diverse" in self.prefer


class InState(msgspec.Struct, frozen=True):
    """Selects rows without a file (`missing`), or files without a row (`orphan`, `leftover`)."""

    state: SubjectState


class Broken(msgspec.Struct, frozen=True):
    """Selects items whose audio is empty, can't be decoded, or is cut short, silent, or clipped through.

    Cut short: `shorter_than` this share of the duration that the row tells. Silent: no sample is louder than
    `quieter_than` (dBFS). Clipped through: of the samples more than the share `clipped_over` is at full scale. What is
    exactly at a limit is kept.
    """

    shorter_than: float = 0.9
    quieter_than: float = -60.0
    clipped_over: float = 0.5


class Compared(msgspec.Struct, frozen=True):
    """Selects items whose quality score, or duration in seconds, stands so to `limit`.

    With < and > an item exactly at the limit is kept; the other signs name the limit, and so select it.
    """

    measure: Measure
    sign: Sign
    limit: float


class Everything(msgspec.Struct, frozen=True):
    """Selects each item whose file is known. Only the `clear` command asks for it; no policy file can."""


Criterion: TypeAlias = MaxAge | Pattern | Dedupe | InState | Broken | Compared | Everything


class Rule(msgspec.Struct, frozen=True):
    """A named criterion, narrowed to subjects older than `min_age` and to prompts that match `pattern`."""

    name: str
    criterion: Criterion
    min_age: float | None = None
    pattern: str | None = None


class YoungerThan(msgspec.Struct, frozen=True):
    """Protects what is younger than `seconds`, or exactly that old."""

    seconds: float


class KeepBest(msgspec.Struct, frozen=True):
    """Protects the `count` items of highest quality of each prompt, among those whose file is there."""

    count: int


class KeepNewest(msgspec.Struct, frozen=True):
    """Protects the `count` newest items of each prompt, among those whose file is there."""

    count: int


ProtectionCriterion: TypeAlias = YoungerThan | Pattern | KeepBest | KeepNewest


class Protection(msgspec.Struct, frozen=True):
    """A named criterion; nothing selects what it holds for, nor what it can't be decided for."""

    name: str
    criterion: ProtectionCriterion


class Marks(msgspec.Struct, frozen=True):
    """Evict only above `high`, until at or below `low`."""

    high: int
    low: int


class Share(msgspec.Struct, frozen=True):
    """A part of a disk, in percent of its size."""

    percent: float

    def of(self, size: int) -> int:
        """Bytes of a disk of `size` bytes."""
        return int(size * self.percent / 100)


class DiskMarks(msgspec.Struct, frozen=True):
    """Evict only when less than `min_free` is free, until `resume_free` is; bytes or a share of the disk."""

    min_free: int | Share
    resume_free: int | Share


class Budget(msgspec.Struct, frozen=True):
    """What the cache may take up, and in which order items go when it takes more."""

    size: Marks | None = None
    items: Marks | None = None
    disk: DiskMarks | None = None
    evict: EvictionOrder = "oldest"


class Limits(msgspec.Struct, frozen=True):
    """How much one run may evict: items, and percent of the rows or of the audio bytes. None: no limit."""

    max_items: int | None = 5000
    max_percent: float | None = 50.0


class TrashLimits(msgspec.Struct, frozen=True):
    """How long an evicted file can be brought back (seconds; 0: not at all), and how many bytes are kept for it."""

    keep: float = 7 * 86400.0
    max_size: int | None = None


class Schedule(msgspec.Struct, frozen=True):
    """When a policy runs: at the times of a cron line, or every so many seconds."""

    cron: str | None = None
    every: float | None = None
    timezone: str = "UTC"
    jitter: float = 0.0
    catch_up: float | None = None


class Policy(msgspec.Struct, frozen=True):
    """What is protected, what goes, and how much of it at once."""

    name: str
    mode: Literal["enforce", "audit"] = "enforce"
    schedule: Schedule | None = None
    protect: tuple[Protection, ...] = ()
    rules: tuple[Rule, ...] = ()
    budget: Budget = msgspec.field(default_factory=Budget)
    limits: Limits = msgspec.field(default_factory=Limits)
    trash: TrashLimits = msgspec.field(default_factory=TrashLimits)
