"""What a plan leaves, and why: as a table and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

import msgspec

from audio_cache_daemon.ids import stray_id
from audio_cache_daemon.model import ItemState, Kept, KeptReason, Plan
from audio_cache_daemon.readback import RowReader
from audio_cache_daemon.reporting.spool import Spool
from audio_cache_daemon.reporting.terminal import Column, Screen, Symbol
from audio_cache_daemon.units import format_size, format_time


class KeptBecause(msgspec.Struct, frozen=True, gc=False):
    """Why something stays. `by` names the protection that holds it, or the rule that can't be decided."""

    kind: str
    by: str | None = None


class _Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry of `plan.keep`. `bytes` is None where no file is."""

    id: str
    row: int | None
    path: str
    prompt: str | None
    timestamp: str | None
    bytes: int | None
    reason: KeptBecause


def spool_kept(plan: Plan, kept: tuple[Kept, Kept]) -> Spool:
    """All that stays, for `run_as_json`; to be called while the index is as it was planned."""
    return Spool(_entries(plan, kept))


def print_kept(screen: Screen, plan: Plan, kept: tuple[Kept, Kept], limit: int) -> None:
    """What stays: how much of it for which reason, and the first `limit`."""
    counts = Counter(chain.from_iterable(_reasons(plan, part) for part in kept))
    total = sum(counts.values())
    screen.line()
    screen.heading(f"{total:,} would stay", Symbol.SUCCESS)
    screen.table(
        (Column("because", style="cyan"), Column("items", "right")),
        [(_describe(reason), f"{count:,}") for reason, count in counts.most_common()],
    )
    if limit and total:
        screen.line()
        columns = (
            Column("created", style="cyan"),
            Column("size", "right"),
            Column("stays, because"),
            Column("item", overflow="ellipsis"),
        )
        screen.table(columns, (_cells(entry) for entry in islice(_entries(plan, kept), limit)))
    if total > limit:
        screen.line(f"and {total - limit:,} more; --format json prints all")


def _reasons(plan: Plan, kept: Kept) -> Iterator[KeptBecause]:
    for code, which in zip(kept.reason.tolist(), kept.which.tolist(), strict=True):
        reason = KeptReason(code)
        names = plan.protections if reason is KeptReason.PROTECTED else [rule.name for rule in plan.rules]
        yield KeptBecause(reason.name.lower(), names[which] if which >= 0 else None)


def _entries(plan: Plan, kept: tuple[Kept, Kept]) -> Iterator[_Entry]:
    rows, strays = kept
    yield from _row_entries(plan, rows)
    yield from _stray_entries(plan, strays)


def _row_entries(plan: Plan, kept: Kept) -> Iterator[_Entry]:
    rows = plan.inventory.rows
    if not len(kept.subject):
        return
    with RowReader(plan.inventory) as reader:
        for read, reason in zip(reader.read(kept.subject), _reasons(plan, kept), strict=True):
            timestamp, is_there = float(rows.timestamp[read.number]), rows.state[read.number] == ItemState.OK
            yield _Entry(
                read.id,
                read.number,
                read.path,
                read.prompt,
                format_time(timestamp) if timestamp == timestamp else None,  # noqa: PLR0124 -- NaN
                int(rows.size[read.number]) if is_there else None,
                reason,
            )


def _stray_entries(plan: Plan, kept: Kept) -> Iterator[_Entry]:
    strays = plan.inventory.strays
    for number, reason in zip(kept.subject.tolist(), _reasons(plan, kept), strict=True):
        path = str(plan.inventory.roots[int(strays.root[number])].path / strays.path[number])
        yield _Entry(stray_id(path), None, path, None, None, int(strays.size[number]), reason)


def _describe(reason: KeptBecause) -> str:
    texts = {
        "protected": f"protected by {reason.by}",
        "file_unknown": "it can't be told whether its file is there",
        "undecidable": f"a value that {reason.by} asks for is missing",
        "unselected": "nothing selects it",
    }
    return texts[reason.kind]


def _cells(entry: _Entry) -> tuple[str, ...]:
    size = "-" if entry.bytes is None else format_size(entry.bytes)
    name = entry.prompt or entry.path.rpartition("/")[2]
    return entry.timestamp or "unknown", size, _describe(entry.reason), name
