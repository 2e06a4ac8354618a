"""`list` and `grouped`, and what `stats` shows: what is in a cache. They read, and never write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import click
import numpy as np

from audio_cache_daemon.cache.glance import glance, look_at_files
from audio_cache_daemon.cache.listing import Listing
from audio_cache_daemon.cache.scan import Surroundings, scan_cache
from audio_cache_daemon.cli.options import Choice, cache_options
from audio_cache_daemon.cli.screens import output, print_json, wants_json
from audio_cache_daemon.cli.target import choose_targets
from audio_cache_daemon.columns import parts
from audio_cache_daemon.model import Ints, Inventory, ScanNeeds
from audio_cache_daemon.pins import load_pins, pinned_rows
from audio_cache_daemon.reporting.items import (
    Groups,
    ItemView,
    SortKey,
    group_by_prompt,
    groups_as_json,
    print_groups,
    print_items,
    sort_items,
    view_items,
)
from audio_cache_daemon.reporting.spool import Spool
from audio_cache_daemon.reporting.statistics import print_statistics, statistics_as_json, take_statistics
from audio_cache_daemon.reporting.terminal import Symbol
from audio_cache_daemon.request import Target

_ROWS_AT_ONCE = 2**14


@click.command(name="list")
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="How many items.")
@click.option(
    "--sort",
    type=click.Choice(["timestamp", "clap_similarity", "duration", "prompt"]),
    default="timestamp",
    show_default=True,
    help="By what; the highest first.",
)
@click.option("--oldest-first", is_flag=True, help="The lowest first: by timestamp, the oldest.")
@cache_options
def list_items(choice: Choice, limit: int, sort: SortKey, oldest_first: bool) -> None:
    """List items, the newest first."""
    shown = []
    for name, inventory in _glance(choice):
        numbers = sort_items(inventory, sort, ascending=oldest_first)
        shown.append((name, len(numbers), view_rows(inventory, numbers[:limit])))
    if wants_json(choice):
        print_json({"caches": [{"cache": name, "items": Spool(items)} for name, _, items in shown]})
        return
    for name, total, items in shown:
        output().heading(f"{name}: {min(limit, total)} of {total} items", Symbol.AUDIO)
        print_items(output(), items)


@click.command()
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="How many prompts.")
@cache_options
def grouped(choice: Choice, limit: int) -> None:
    """List items by prompt, the prompt with the most takes first."""
    result = []
    for name, inventory in _glance(choice):
        groups = group_by_prompt(inventory, at_least=1)
        result.append((name, len(groups), view_groups(inventory, groups, limit)))
    if wants_json(choice):
        shown = [{"cache": name, "prompts": Spool(groups_as_json(items))} for name, _, items in result]
        print_json({"caches": shown})
        return
    for name, total, items in result:
        output().heading(f"{name}: {min(limit, total)} of {total} prompts", Symbol.AUDIO)
        print_groups(output(), items)


def _glance(choice: Choice) -> Iterator[tuple[str, Inventory]]:
    for target in choose_targets(choice):
        yield target.settings.location.name, glance_at(target)


def glance_at(target: Target) -> Inventory:
    """What the index of a cache tells, and which of its items are pinned now."""
    location = target.settings.location
    pins = {id_: pin for id_, pin in load_pins(location).items() if pin.holds(time.time())}
    return glance(location, pinned_rows(pins))


def view_rows(inventory: Inventory, numbers: Ints) -> Iterator[ItemView]:
    """The items of these rows, after a look at their files alone; of many only a part is in memory at once."""
    for part in parts(len(numbers), _ROWS_AT_ONCE):
        some = numbers[part]
        yield from view_items(look_at_files(inventory, np.sort(some)), some)


def view_groups(inventory: Inventory, groups: Groups, limit: int | None = None) -> Iterator[list[ItemView]]:
    """The items of the first groups of rows, or of all of them."""
    first = groups.first(limit)
    views = view_rows(inventory, first.rows)
    for size in first.size.tolist():
        yield list(islice(views, size))


def show_statistics(targets: Sequence[Target], choice: Choice, listing: Callable[[], Listing]) -> None:
    """Show the figures of each cache; `listing` is that of the first one's files, begun ahead."""
    now = time.time()
    figures = []
    for number, target in enumerate(targets):
        around = Surroundings(target.neighbours, listing=None if number else listing)
        inventory = scan_cache(target.settings.location, ScanNeeds(), around)
        figures.append((inventory, take_statistics(inventory, now)))
    if wants_json(choice):
        print_json({"caches": [statistics_as_json(inventory, statistics) for inventory, statistics in figures]})
        return
    for inventory, statistics in figures:
        print_statistics(output(), inventory, statistics, now)
