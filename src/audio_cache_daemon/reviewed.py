"""A plan as a file: what a person looks at, and what is then carried out as it was looked at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.own_files import Number, decode_own, encode_own


class ReviewedItem(msgspec.Struct, frozen=True):
    """One eviction: the item, the rule that takes it and why, and its file (inode, size, mtime; None if none)."""

    id: str
    path: str
    prompt: str | None
    bytes: int
    rule: str
    criterion: str
    value: float | str | None
    threshold: float | str | None
    file: tuple[Number, Number, Number] | None


class ReviewedPlan(msgspec.Struct, frozen=True):
    """What a policy takes from a cache: at which moment (seconds since the epoch), and by which policy (its hash).

    `only_rule` names the rule that was applied alone; None: all of them, and the budget.
    """

    cache: str
    directory: str
    policy: str
    made: float
    only_rule: str | None
    items: tuple[ReviewedItem, ...] = ()


class PlanFile(msgspec.Struct, frozen=True):
    """Plans of several caches."""

    version: Literal[1]
    plans: tuple[ReviewedPlan, ...]


def write_plans(path: Path, plans: Iterable[tuple[ReviewedPlan, Iterable[ReviewedItem]]]) -> int:
    """Write plans and their items, one a line, to a file; the number of items. ConfigError when that can't be done."""
    start, end = encode_own(PlanFile(1, ())).split(b"[]")
    count = 0
    try:
        with path.open("wb") as file:
            file.write(start + b"[")
            for place, (plan, items) in enumerate(plans):
                head, tail = encode_own(plan).rsplit(b"[]", 1)
                file.write((b",\n" if place else b"\n") + head + b"[")
                for number, item in enumerate(items):
                    file.write((b",\n" if number else b"\n") + encode_own(item))
                    count += 1
                file.write(b"]" + tail)
            file.write(b"]" + end + b"\n")
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from None
    return count


def read_plans(path: Path) -> tuple[ReviewedPlan, ...]:
    """The plans in a file; ConfigError when it holds none."""
    try:
        return decode_own(path.read_bytes(), PlanFile).plans
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path} is no plan that `plan -o` wrote: {error}") from None
