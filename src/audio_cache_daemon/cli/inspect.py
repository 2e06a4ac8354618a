"""`stats`, `list`, `grouped`: what is in a cache. They read, and never write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

import click

from audio_cache_daemon.cache.scan import Surroundings, scan_cache
from audio_cache_daemon.cli.options import Choice, cache_options
from audio_cache_daemon.cli.screens import output, print_json, wants_json
from audio_cache_daemon.cli.target import choose_targets
from audio_cache_daemon.model import Inventory, ScanNeeds
from audio_cache_daemon.pins import load_pins, pinned_until
from audio_cache_daemon.reporting.items import (
    SortKey,
    group_by_prompt,
    groups_as_json,
    print_groups,
    print_items,
    sort_items,
    view_items,
)
from audio_cache_daemon.reporting.statistics import print_statistics, statistics_as_json, take_statistics
from audio_cache_daemon.reporting.terminal import Symbol
from audio_cache_daemon.request import Target


@click.command()
@cache_options
def stats(choice: Choice) -> None:
    """Show what is in a cache: items, sizes, quality, ages, and what is wrong with it."""
    now = time.time()
    figures = [(target, inventory, take_statistics(inventory, now)) for target, inventory in _scan(choice)]
    if wants_json(choice):
        print_json({"caches": [statistics_as_json(inventory, statistics) for _, inventory, statistics in figures]})
        return
    for _, inventory, statistics in figures:
        print_statistics(output(), inventory, statistics, now)


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
    for target, inventory in _scan(choice):
        numbers = sort_items(inventory, sort, ascending=oldest_first)[:limit]
        shown.append((target.settings.location.name, inventory, view_items(inventory, numbers)))
    if wants_json(choice):
        print_json({"caches": [{"cache": name, "items": items} for name, _, items in shown]})
        return
    for name, inventory, items in shown:
        total = int(inventory.rows.items().sum())
        output().heading(f"{name}: {len(items)} of {total} items", Symbol.AUDIO)
        print_items(output(), items)


@click.command()
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="How many prompts.")
@cache_options
def grouped(choice: Choice, limit: int) -> None:
    """List items by prompt, the prompt with the most takes first."""
    result = []
    for target, inventory in _scan(choice):
        numbers = group_by_prompt(inventory, at_least=1)
        groups = [view_items(inventory, group) for group in islice(numbers, limit)]
        result.append((target.settings.location.name, len(numbers), groups))
    if wants_json(choice):
        print_json({"caches": [{"cache": name, "prompts": groups_as_json(groups)} for name, _, groups in result]})
        return
    for name, total, groups in result:
        output().heading(f"{name}: {len(groups)} of {total} prompts", Symbol.AUDIO)
        print_groups(output(), groups)


def _scan(choice: Choice) -> Iterator[tuple[Target, Inventory]]:
    for target in choose_targets(choice):
        yield target, scan_for_lists(target)


def scan_for_lists(target: Target) -> Inventory:
    """What is in a cache, and which of it is pinned now."""
    location = target.settings.location
    pins = {id_: pin for id_, pin in load_pins(location).items() if pin.holds(time.time())}
    return scan_cache(location, ScanNeeds(), Surroundings(target.neighbours, pins=pinned_until(pins)))
