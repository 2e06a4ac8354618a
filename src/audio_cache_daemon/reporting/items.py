"""Items as lists show them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec
import numpy as np

from audio_cache_daemon.model import Floats, Ints, Inventory, ItemState
from audio_cache_daemon.readback import ReadRow, RowReader
from audio_cache_daemon.reporting.terminal import Column, Screen
from audio_cache_daemon.units import format_size, format_time

SortKey: TypeAlias = Literal["timestamp", "clap_similarity", "duration", "prompt"]


class ItemView(msgspec.Struct, frozen=True):
    """One item, for people and scripts. `bytes` is None where no file is; a value that isn't known is None."""

    id: str
    row: int
    path: str
    prompt: str | None
    timestamp: str | None
    duration_seconds: float | None
    quality: float | None
    bytes: int | None
    state: str
    pinned: bool = False


def view_items(inventory: Inventory, numbers: Ints) -> list[ItemView]:
    """The items of these row numbers, in this order."""
    with RowReader(inventory) as reader:
        views = {read.number: _view(inventory, read) for read in reader.read(np.sort(numbers))}
    return [views[number] for number in numbers.tolist()]


def _view(inventory: Inventory, read: ReadRow) -> ItemView:
    rows, number = inventory.rows, read.number
    timestamp = float(rows.timestamp[number])
    return ItemView(
        id=read.id,
        row=number,
        path=read.path,
        prompt=read.prompt,
        timestamp=None if np.isnan(timestamp) else format_time(timestamp),
        duration_seconds=_known(float(rows.duration[number])),
        quality=_known(float(rows.quality[number])),
        bytes=int(rows.size[number]) if rows.state[number] == ItemState.OK else None,
        state=ItemState(rows.state[number]).name.lower(),
        pinned=not np.isnan(rows.pinned_until[number]),
    )


def sort_items(inventory: Inventory, key: SortKey, *, ascending: bool) -> Ints:
    """The row numbers of all items by a key, the highest first unless `ascending`; unknown values last.

    What is equal stays in the order of the index.
    """
    rows = inventory.rows
    numbers = np.flatnonzero(rows.items())
    columns: dict[SortKey, Floats] = {
        "timestamp": rows.timestamp,
        "clap_similarity": rows.quality,
        "duration": rows.duration.astype(np.float64),
    }
    values = columns[key][numbers] if key in columns else _prompt_places(inventory, numbers)
    return numbers[np.argsort(values if ascending else -values, kind="stable")]


class Groups(msgspec.Struct, frozen=True):
    """Rows in groups: the numbers of those of group i are `rows[start[i] : start[i] + size[i]]`."""

    rows: Ints
    start: Ints
    size: Ints

    def __len__(self) -> int:
        return len(self.start)

    def __iter__(self) -> Iterator[Ints]:
        return (self.rows[start : start + size] for start, size in zip(self.start, self.size, strict=True))

    def first(self, count: int | None) -> Groups:
        """The first groups, or all of them, their rows one behind the other."""
        start, size = self.start[:count], self.size[:count]
        ends = np.cumsum(size)
        places = np.arange(size.sum()) + np.repeat(start - (ends - size), size)
        return Groups(self.rows[places], ends - size, size)


def group_by_prompt(inventory: Inventory, at_least: int) -> Groups:
    """Row numbers of the items of each prompt with so many, the most takes first; in each the newest first."""
    rows = inventory.rows
    newest_first = sort_items(inventory, "timestamp", ascending=False)
    newest_first = newest_first[rows.prompt[newest_first] >= 0]
    order = newest_first[np.argsort(rows.prompt[newest_first], kind="stable")]
    start = np.flatnonzero(np.diff(rows.prompt[order], prepend=-1))
    size = np.diff(start, append=len(order))
    first = np.minimum.reduceat(order, start) if len(start) else start
    chosen = np.lexsort((first, -size))
    chosen = chosen[size[chosen] >= at_least]
    return Groups(order, start[chosen], size[chosen])


def groups_as_json(groups: Iterable[Sequence[ItemView]]) -> Iterator[dict[str, object]]:
    """Groups of items of one prompt."""
    return ({"prompt": items[0].prompt, "count": len(items), "items": items} for items in groups)


def print_groups(screen: Screen, groups: Iterable[Sequence[ItemView]]) -> None:
    """Groups of items of one prompt, each under its prompt."""
    for items in groups:
        screen.line()
        screen.heading(f"{items[0].prompt}: {len(items)} items")
        print_items(screen, items)


def print_items(screen: Screen, items: Iterable[ItemView]) -> None:
    """Items as a table."""
    screen.table(
        (
            Column("row", "right"),
            Column("created", style="cyan"),
            Column("quality", "right"),
            Column("length", "right"),
            Column("size", "right"),
            Column("state"),
            Column("prompt", overflow="ellipsis"),
            Column("file", overflow="ellipsis", style="dim"),
        ),
        (
            (
                str(item.row),
                item.timestamp or "unknown",
                "-" if item.quality is None else f"{item.quality:.3f}",
                "-" if item.duration_seconds is None else f"{item.duration_seconds:.1f}s",
                "-" if item.bytes is None else format_size(item.bytes),
                f"{item.state}, pinned" if item.pinned else item.state,
                item.prompt or "",
                item.path.rpartition("/")[2],
            )
            for item in items
        ),
    )


def _prompt_places(inventory: Inventory, numbers: Ints) -> Floats:
    """The alphabetical place of each item's prompt among the distinct ones; NaN without a prompt."""
    groups = inventory.rows.prompt[numbers]
    distinct, first = np.unique(groups, return_index=True)
    with RowReader(inventory) as reader:
        samples = np.sort(numbers[first])
        prompts = {
            int(inventory.rows.prompt[read.number]): (read.row.prompt_norm or "") if read.row else ""
            for read in reader.read(samples)
        }
    alphabetical = sorted(distinct[distinct >= 0].tolist(), key=prompts.__getitem__)
    places = np.full(int(groups.max(initial=-1)) + 2, np.nan)
    places[alphabetical] = np.arange(len(alphabetical))
    return places[groups]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)
