"""From what was found of a cache to the text of a careful configuration for it, which says why it says what."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Mapping

import numpy as np

from audio_cache_daemon.config.settings import WriterSettings
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import Inventory, StrayKind
from audio_cache_daemon.units import format_duration, format_size, format_time

_WIDTH = 118
_DAY = 86400.0

_OLD_DAYS = 90
"""How old an item is that the proposed rule at rest would take: beyond any exhibition's ordinary repertoire."""

_TAKES_KEPT = 5
"""How many takes of a prompt stay at least: the generator makes no more than this by itself."""

_GROWTH = 1.25
"""How far above its present size the cache may grow before the proposed budget evicts."""

_LOW_SHARE = 0.8

_HEADER = """\
# A proposal by `audio-cache-daemon init`, made at {time}. It removes nothing: its policy only reports.
#
#   1. read it, and put right what init could not know
#   2. audio-cache-daemon check-config FILE
#   3. audio-cache-daemon --config FILE run-once --dry-run        shows each item that would go, and why
#   4. say `mode: enforce` below when you trust it
#
# A line that begins with a # and no blank is a key at rest: take the # away to use it. For completion in an editor:
# `audio-cache-daemon schema > schema.json`, and "# yaml-language-server: $schema=schema.json" as the first line here.
version: 1
"""

_POLICY = """\
policies:
  careful:
    # audit only reports; enforce removes.
    mode: audit
    schedule: {{cron: "15 3 * * *", jitter: 10m, catch_up: 24h}}

    # Nothing selects these, whatever the pressure.
    protect:
      - {{name: too-young, age: "< 1d"}}
      # As many takes of a prompt as the generator wants: with fewer it would make them again.
      - {{name: best-takes, keep_best: {target}}}

    # The first rule that selects an item owns it.
    rules:
{rules}
    # Judged on what the rules leave: above high the oldest go, until low is reached.
    budget:
{budget}
    # A run whose rules ask for more is refused: then something is wrong with the cache, or with these rules.
    limits: {{max_items: 5000, max_percent: 25}}

    # For so long `audio-cache-daemon trash restore` can bring back what went.
    trash: {{keep: 7d}}
"""


def propose_config(
    inventory: Inventory,
    writer: WriterSettings,
    remarks: Mapping[tuple[str, str], str],
    index_changed: float | None,
    now: float,
) -> str:
    """The text of a configuration for the cache of an inventory, with this writer; it loads as these values.

    `remarks` are about directories, by key and directory: those of the location, and roots that it could have.
    The index last changed at `index_changed`, and it is `now`: both in seconds since the epoch.
    """
    target = writer.target_per_prompt
    cache = [
        *_directories(inventory, remarks),
        "policy: careful",
        "",
        *_writer(writer, index_changed, now),
    ]
    policy = _POLICY.format(
        target=target,
        rules=_lines(_rules(inventory, max(_TAKES_KEPT, target), now), 6),
        budget=_lines(_budget(inventory), 6),
    )
    caches = f"caches:\n  {inventory.location.name}:\n{_lines(cache, 4)}"
    return "\n".join((_HEADER.format(time=format_time(now)), caches, policy))


def _quote(text: str) -> str:
    """A text as YAML and JSON both read it, on one line and visible: a double-quoted string."""
    return _visible(json.dumps(text, ensure_ascii=False))


def _quote_value(text: str) -> str:
    """A text as a value, where `${` would be a reference to the environment; keys are taken as they are."""
    return _quote(text.replace("${", "$${"))


def _directories(inventory: Inventory, remarks: Mapping[tuple[str, str], str]) -> Iterator[str]:
    location = inventory.location
    yield f"path: {_quote_value(str(location.path))}"
    yield ""
    yield "# The trees in which a file may be removed. A file elsewhere is never touched, whatever a row says."
    yield "audio_roots:"
    for number, root in enumerate(location.audio_roots):
        remark = remarks.get(("audio_roots", str(root)))
        yield from _comment(_count_in_root(inventory, number) + (f" Beware: {remark}." if remark else ""), "  ")
        yield f"  - {_quote_value(str(root))}"
    for (key, directory), remark in remarks.items():
        if key == "audio_roots" and directory not in map(str, location.audio_roots):
            yield from _comment(f"At rest: {remark}.", "  ")
            yield f"  #- {_quote_value(directory)}"
    yield ""
    if location.path_base is not None:
        yield from _comment(f"Where relative paths begin, {remarks['path_base', str(location.path_base)]}.")
        yield from (f"path_base: {_quote_value(str(location.path_base))}", "")
    if location.path_map:
        yield from _path_map(location, remarks)


def _path_map(location: CacheLocation, remarks: Mapping[tuple[str, str], str]) -> Iterator[str]:
    yield "# Directories as the generator sees them, which aren't there from here, and what they are called here."
    yield "path_map:"
    for theirs, ours in location.path_map:
        yield from _comment(f"This one {remarks['path_map', theirs]}.", "  ")
        yield f"  {_quote(theirs)}: {_quote_value(ours)}"
    yield ""


def _count_in_root(inventory: Inventory, number: int) -> str:
    rows = inventory.rows
    here = rows.root == number
    if not here.any():
        return "No row names a file here yet; is this where the generator writes its audio?"
    missing = int((rows.missing() & here).sum())
    gone = f"; {missing} should have it here, but it is missing" if missing else ""
    return f"Of {int(rows.items().sum())} items, {int((rows.present() & here).sum())} have their file here{gone}."


def _writer(writer: WriterSettings, index_changed: float | None, now: float) -> Iterator[str]:
    yield "writer:"
    if index_changed is not None:
        ago = format_duration(max(0.0, now - index_changed))
        yield from _comment(f"The index last changed {ago} ago, at {format_time(index_changed)}.", "  ")
    if writer.mode == "stopped":
        yield from _comment(
            "stopped: the generator never runs while the cache is maintained, so rows and files go at once. If it may "
            "run, say live, and how its start is known (`unit` or `started_file`): dropping rows under a running "
            "generator makes it serve wrong sounds.",
            "  ",
        )
        yield "  mode: stopped"
    else:
        yield from _comment(
            "live: the generator may be running. An item is first made unservable; its file goes after the next start "
            "of the generator, which is known from this file. Let each start touch it (in its unit: "
            "ExecStartPre=/usr/bin/touch FILE), or name the systemd unit instead. Until then no file goes.",
            "  ",
        )
        yield "  mode: live"
        yield f"  started_file: {_quote_value(str(writer.started_file))}"
        yield "  #unit: image-server.service"
    yield from _comment("How many takes of a prompt the generator wants; its own setting of this name.", "  ")
    yield f"  target_per_prompt: {writer.target_per_prompt}"


def _rules(inventory: Inventory, keep: int, now: float) -> Iterator[str]:
    rows, strays = inventory.rows, inventory.strays
    ages = now - rows.timestamp[rows.items()]
    old = int((ages > _OLD_DAYS * _DAY).sum())
    yield from _comment(f"Older than {_OLD_DAYS} days: {old} of {len(ages)} items. At rest, because old isn't bad.")
    yield f"#- {{name: stale, max_age: {_OLD_DAYS}d}}"
    takes = np.bincount(rows.prompt[rows.decided() & (rows.prompt >= 0)])
    beyond = int((takes - keep).clip(0).sum())
    yield from _comment(
        f"Prompts: {int((takes > 0).sum())}, with at most {takes.max(initial=0)} takes. "
        f"Beyond the best {keep} of their prompt: {beyond} items."
    )
    yield f"- {{name: takes, dedupe: {{by: prompt, keep: {keep}, prefer: [quality, newest]}}}}"
    yield from _comment(
        f"Items whose file is missing: {int(rows.missing().sum())}. They go when it has been missing for a day."
    )
    yield "- {name: gone, state: missing, min_age: 24h}"
    orphans = int((strays.kind == StrayKind.ORPHAN).sum())
    why = f" They stay for now: {inventory.orphans_undecidable}." if orphans and inventory.orphans_undecidable else ""
    yield from _comment(f"Audio files that no row names: {orphans}.{why}")
    yield "- {name: orphans, state: orphan, min_age: 48h}"
    yield from _comment(f"Temporary files that the generator left: {len(strays) - orphans}.")
    yield "- {name: leftovers, state: leftover, min_age: 6h}"


def _budget(inventory: Inventory) -> Iterator[str]:
    size = _present_size(inventory)
    high, unit = _round_up(size * _GROWTH)
    empty = len(inventory.rows) == 0
    yield from _comment(
        f"The cache takes up {format_size(size)} now." + (" At rest while it is empty." if empty else "")
    )
    yield f"{'#' if empty else ''}size: {{high: {high:g}{unit}, low: {high * _LOW_SHARE:g}{unit}}}"
    yield "evict: oldest"
    free = min((root.disk_free / root.disk_size for root in inventory.roots if root.disk_size), default=math.nan)
    if not math.isnan(free):
        yield from _comment(
            f"Free on the disk now: {free:.0%}. This would keep some of it free, and count other programs' files too."
        )
        yield "#disk: {min_free: 10%, resume_free: 15%}"


def _present_size(inventory: Inventory) -> int:
    """Bytes that the budget counts: audio, files without a row, index and vectors."""
    rows = inventory.rows
    vectors = len(rows) * inventory.index.vector_bytes
    return rows.audio_bytes(rows.items()) + int(inventory.strays.size.sum()) + int(rows.offset[-1]) + vectors


def _round_up(size: float) -> tuple[float, str]:
    """A size of two digits, not below this one and not below 1 MiB, and its unit."""
    count, unit = (size / 2**30, "GiB") if size >= 10 * 2**30 else (max(1.0, size / 2**20), "MiB")
    step = 10.0 ** (math.floor(math.log10(count)) - 1)
    return math.ceil(count / step) * step, unit


def _comment(sentence: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        _visible(sentence),
        _WIDTH - 6,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _lines(lines: Iterator[str] | list[str], indent: int) -> str:
    return textwrap.indent("\n".join(lines) + "\n", " " * indent)


def _visible(text: str) -> str:
    """A text with what can't be seen, or would end a line of YAML, as an escape."""
    return "".join(character if character.isprintable() else _escape(ord(character)) for character in text)


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
