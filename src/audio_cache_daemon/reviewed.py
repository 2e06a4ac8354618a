"""A plan as a file: what a person looks at, and what is then carried out as it was looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.columns import distinct
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.heap import give_back_memory
from audio_cache_daemon.own_files import Number, decode_own, encode_own

_BEGIN, _END = b'{"version":1,"plans":[', b"]}"

_KEY_BYTES = 8

_Source: TypeAlias = Callable[[], BinaryIO]
"""Opens a file of plans, from its beginning each time."""


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

    def key(self) -> int:
        """What is the same, but for one chance in 2^64, of an item that goes by the same rule with the same file."""
        content = encode_own((self.id, self.rule, self.file))
        return int.from_bytes(hashlib.blake2b(content, digest_size=_KEY_BYTES).digest())


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


class Reviewed(msgspec.Struct, frozen=True):
    """What was reviewed of a cache: its plan, the ordered `keys` of its items, and how these can be read `again`."""

    plan: ReviewedPlan
    keys: NDArray[np.uint64]
    again: Callable[[], Iterable[ReviewedItem]]


def write_plans(path: Path, plans: Iterable[tuple[ReviewedPlan, Iterable[ReviewedItem]]]) -> int:
    """Write plans and their items, one a line, to a file; the number of items. ConfigError when that can't be done."""
    count = 0
    try:
        with path.open("wb") as file:
            file.write(_BEGIN)
            for place, (plan, items) in enumerate(plans):
                file.write((b",\n" if place else b"\n") + encode_own(plan).removesuffix(_END))
                for number, item in enumerate(items):
                    file.write((b",\n" if number else b"\n") + encode_own(item))
                    count += 1
                file.write(b"\n" + _END)
            file.write(b"\n" + _END + b"\n")
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from None
    return count


def read_plans(path: Path) -> tuple[Reviewed, ...]:
    """The plans in a file; ConfigError when it holds none."""
    try:
        # What comes through a pipe is there once.
        source: _Source = (lambda: path.open("rb")) if path.is_file() else partial(BytesIO, path.read_bytes())
        try:
            return tuple(
                Reviewed(plan, _ordered_keys(items), partial(_read_again, path, source, number))
                for number, (plan, items) in enumerate(_iter_plans(source))
            )
        except ValueError:
            # Another program wrote it anew, with other lines.
            with source() as file:
                plans = decode_own(file.read(), PlanFile).plans
            return tuple(Reviewed(plan, _ordered_keys(plan.items), partial(iter, plan.items)) for plan in plans)
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path} is no plan that `plan -o` wrote: {error}") from None


def _ordered_keys(items: Iterable[ReviewedItem]) -> NDArray[np.uint64]:
    keys = distinct(np.fromiter((item.key() for item in items), np.uint64))
    # What it grew through lies in the heap: of a million items 30 MB.
    give_back_memory()
    return keys


def _iter_plans(source: _Source) -> Iterator[tuple[ReviewedPlan, Iterator[ReviewedItem]]]:
    """The plans as they were written, line by line, each with its items, which are to be read before the next one.

    ValueError when the lines are others.
    """
    with source() as file:
        line = file.readline()
        if line != _BEGIN + b"\n":
            raise ValueError("it doesn't begin like a plan")
        while (line := file.readline()).endswith(b"[\n"):
            yield decode_own(line[:-1] + _END, ReviewedPlan), _iter_items(file)
        if line != _END + b"\n":
            raise ValueError("it doesn't end like a plan")


def _iter_items(file: BinaryIO) -> Iterator[ReviewedItem]:
    while (line := file.readline().rstrip(b",\n")) != _END:
        yield decode_own(line, ReviewedItem)


def _read_again(path: Path, source: _Source, number: int) -> Iterator[ReviewedItem]:
    """The items of one of the plans in a file; ConfigError when it isn't what it was."""
    try:
        for place, (_, items) in enumerate(_iter_plans(source)):
            for item in items:
                if place == number:
                    yield item
    except ValueError:
        raise ConfigError(f"{path} was changed while it was applied; nothing was removed: apply it again") from None
