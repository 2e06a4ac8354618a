"""What the status page shows, as values: words, numbers and moments, already chosen. The page only draws them."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Level: TypeAlias = Literal["good", "warn", "bad"]
"""How a cache is: as it should be, in want of attention, or in want of help."""


class Trouble(msgspec.Struct, frozen=True):
    """A problem in plain words, and what to do about it. `commands` are to be typed."""

    what: str
    advice: str = ""
    commands: tuple[str, ...] = ()


class Meter(msgspec.Struct, frozen=True):
    """A measure against its marks, all in one unit; `text` says it in words.

    Of space that is free the marks are lower limits, and `whole` is all there is; else it is what fits the picture.
    """

    title: str
    text: str
    value: float
    high: float
    low: float
    high_text: str
    low_text: str
    whole: float
    is_crossed: bool
    is_free_space: bool = False


class AgeBar(msgspec.Struct, frozen=True):
    """Items of like age: how many stay in the next run, and how many each rule takes."""

    label: str
    words: str
    stay: int
    go: tuple[tuple[str, int], ...]


class Share(msgspec.Struct, frozen=True):
    """What one rule takes in the next run."""

    rule: str
    what: str
    items: int
    bytes: int


class RunRow(msgspec.Struct, frozen=True):
    """A run that ended. `evicted` and `freed` are what went; `words` is all of it, reasons included."""

    time: float
    cause: str
    result: str
    level: Level
    evicted: int
    freed: int
    words: str


class TrashRow(msgspec.Struct, frozen=True):
    """A run that can be brought back, and until when."""

    run: str
    time: float
    until: float
    items: int
    bytes: int


class SizePoint(msgspec.Struct, frozen=True):
    """The size of a cache at a moment."""

    time: float
    bytes: int


class Coming(msgspec.Struct, frozen=True):
    """What comes: the size on each of the next days, with the policy and without, and what there is to say of it."""

    sizes: tuple[SizePoint, ...]
    without: tuple[SizePoint, ...]
    words: tuple[str, ...]


class CachePage(msgspec.Struct, frozen=True):
    """One cache. `sentence` is its state; `seen` is when it was looked at (None: never), `due` when it runs next.

    `due_words` say what the shares are of; `marks` are the high and the low mark of its size, if it has any. `coming`
    is None as long as nothing is foreseen; a text says why that will stay so.
    """

    name: str
    path: str
    level: Level
    sentence: str
    seen: float | None
    due: float | None
    due_words: str
    troubles: tuple[Trouble, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    meters: tuple[Meter, ...] = ()
    ages: tuple[AgeBar, ...] = ()
    shares: tuple[Share, ...] = ()
    sizes: tuple[SizePoint, ...] = ()
    marks: tuple[int, int] | None = None
    runs: tuple[RunRow, ...] = ()
    trash: tuple[TrashRow, ...] = ()
    coming: Coming | str | None = None


class StatusPage(msgspec.Struct, frozen=True):
    """All caches, and the state of the whole in one sentence."""

    level: Level
    sentence: str
    version: str
    caches: tuple[CachePage, ...]
