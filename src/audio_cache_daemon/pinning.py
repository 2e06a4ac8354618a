"""Items pinned and unpinned by a person: under the lock, and audited before it is so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.eviction.pins_file import save_pins
from audio_cache_daemon.ids import row_id
from audio_cache_daemon.model import Inventory, ItemState
from audio_cache_daemon.pins import Pin, load_pins
from audio_cache_daemon.planning import observe
from audio_cache_daemon.readback import ReadRow, RowReader, find_rows
from audio_cache_daemon.reporting.audit_record import AuditItem
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.state import load_memory
from audio_cache_daemon.undo import locked_log


class PinnedItem(msgspec.Struct, frozen=True):
    """A pin, the id that it goes by, and the row that it holds; None: no row of the index."""

    id: str
    pin: Pin
    row: ReadRow | None


def pin_items(
    target: Target, request: RunRequest, name: str, wish: tuple[str, float | None], clock: Callable[[], float]
) -> list[PinnedItem]:
    """Pin all items of a row number, id, path, file name or prompt; `wish` is the reason, and until when."""
    reason, until = wish
    location = target.settings.location
    with locked_log(target, request, clock) as log:
        inventory = _observe(target)
        pins = {id_: pin for id_, pin in load_pins(location).items() if pin.holds(request.now)}
        pinned = []
        for read in _find(inventory, name):
            if inventory.rows.state[read.number] == ItemState.RETIRED:
                raise ConfigError(f"{read.path} is evicted already; bring it back first: `trash list` names its run")
            timestamp = float(inventory.rows.timestamp[read.number])
            pin = Pin(reason, request.actor, request.now, until, None if np.isnan(timestamp) else timestamp)
            pinned.append(PinnedItem(_id(read), pin, read))
        if not pinned:
            raise ConfigError(f"no item has the row number, id, path, file name or prompt {name!r}")
        for item in pinned:
            log.append("pinned", item=_audit_item(item), detail={"reason": reason, "until": until})
        log.flush()
        save_pins(location, {**pins, **{item.id: item.pin for item in pinned}})
    return pinned


def unpin_items(target: Target, request: RunRequest, name: str, clock: Callable[[], float]) -> list[PinnedItem]:
    """Unpin all items of that name; also by the id of a row that is gone. ConfigError if none of them is pinned."""
    location = target.settings.location
    with locked_log(target, request, clock) as log:
        inventory = _observe(target)
        pins = load_pins(location)
        named = {_id(read): read for read in _find(inventory, name)}
        chosen = [PinnedItem(id_, pin, named.get(id_)) for id_, pin in pins.items() if id_ == name or id_ in named]
        if not chosen:
            raise ConfigError(f"nothing of the name {name!r} is pinned; `pins` lists what is")
        for item in chosen:
            log.append("unpinned", item=_audit_item(item), detail={"reason": item.pin.reason})
        log.flush()
        left = {item.id for item in chosen}
        save_pins(location, {id_: pin for id_, pin in pins.items() if id_ not in left})
    return chosen


def list_pins(target: Target, now: float) -> list[PinnedItem]:
    """What is pinned now, the rows in their order, then pins whose row is gone."""
    pins = {id_: pin for id_, pin in load_pins(target.settings.location).items() if pin.holds(now)}
    inventory = _observe(target)
    found: dict[str, ReadRow] = {}
    with RowReader(inventory) as reader:
        for read in reader.read(np.flatnonzero(inventory.rows.pinned_until > now)):
            found.setdefault(_id(read), read)
    there = [PinnedItem(id_, pins[id_], read) for id_, read in found.items()]
    return [*there, *(PinnedItem(id_, pin, None) for id_, pin in pins.items() if id_ not in found)]


def _observe(target: Target) -> Inventory:
    return observe(target, load_memory(target.settings.location))


def _find(inventory: Inventory, name: str) -> Iterator[ReadRow]:
    with RowReader(inventory) as reader:
        yield from reader.read(np.array(find_rows(inventory, name), np.int64))


def _id(read: ReadRow) -> str:
    """Of the content alone: rows that are alike to the letter have one file, and are pinned together."""
    return row_id(read.line, 0)


def _audit_item(item: PinnedItem) -> AuditItem:
    read = item.row
    if read is None:
        return AuditItem(id=item.id)
    return AuditItem(id=item.id, row=read.number, path=read.path, prompt=read.prompt, timestamp=item.pin.timestamp)
