"""A plan as a file: what a person looks at, and what is then carried out as it was looked at."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

import msgspec
import numpy as np

from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.model import Bools, Ints
from audio_cache_daemon.own_files import Number, decode_own, encode_own

_BEGIN, _END = b'{"version":1,"plans":[', b"]}"

_ID_BYTES = 8

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


class ItemColumns:
    """What items are compared by, as columns in ascending order of their ids.

    `id` holds those as numbers, `place` which of the items each is, `rule` which of the `rules` takes it, `file`
    inode, size and mtime of its file, where it `has_file`. Of a million items that is 50 MB, and the items themselves
    600. ValueError for an id that can't be.
    """

    def __init__(self, items: Iterable[ReviewedItem]) -> None:
        names: dict[str, int] = {}
        ids, rule, has_file, file = array("Q"), array("i"), array("b"), array("q")
        for item in items:
            ids.append(_number_of(item.id))
            rule.append(names.setdefault(item.rule, len(names)))
            has_file.append(item.file is not None)
            file.extend(item.file or (0, 0, 0))
        # Of an item that stands there twice the last one counts.
        self.id, from_end = np.unique(np.frombuffer(ids, np.uint64)[::-1], return_index=True)
        self.place = (len(ids) - 1 - from_end).astype(np.int32)
        self.rules = tuple(names)
        self.rule = np.frombuffer(rule, np.int32)[self.place]
        self.has_file = np.frombuffer(has_file, np.bool_)[self.place]
        self.file = np.frombuffer(file, np.int64).reshape(-1, 3)[self.place]

    def __len__(self) -> int:
        return len(self.id)

    def find(self, others: ItemColumns) -> Ints:
        """Where these items have each of the others, by its id; -1: nowhere."""
        if not len(self):
            return np.full(len(others), -1)
        places = np.minimum(np.searchsorted(self.id, others.id), len(self) - 1)
        return np.where(self.id[places] == others.id, places, -1)

    def are_like(self, places: Ints, others: ItemColumns) -> Bools:
        """Which of those at these places (-1: none) go by the same rule as the other, and have the same file."""
        if not len(self):
            return np.zeros(len(others), np.bool_)
        numbers = np.array([self.rules.index(name) if name in self.rules else -1 for name in (*others.rules, "")])
        same_rule = (places >= 0) & (self.rule[places] == numbers[others.rule])
        same_file = (self.file[places] == others.file).all(axis=1) & (self.has_file[places] == others.has_file)
        like: Bools = same_rule & same_file
        return like


def _number_of(id_: str) -> int:
    number = bytes.fromhex(id_)
    if len(number) != _ID_BYTES:
        raise ValueError(f"{id_!r} is no id")
    return int.from_bytes(number)


class Reviewed(msgspec.Struct, frozen=True):
    """What was reviewed of a cache: its plan, the columns of its items, and how these can be read `again`."""

    plan: ReviewedPlan
    items: ItemColumns
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
                Reviewed(plan, ItemColumns(items), partial(_read_again, path, source, number))
                for number, (plan, items) in enumerate(_iter_plans(source))
            )
        except ValueError:
            # Another program wrote it anew, with other lines.
            with source() as file:
                plans = decode_own(file.read(), PlanFile).plans
            return tuple(Reviewed(plan, ItemColumns(plan.items), partial(iter, plan.items)) for plan in plans)
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path} is no plan that `plan -o` wrote: {error}") from None


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
