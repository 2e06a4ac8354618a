"""Pins: items that a person protects by name, in a small file of ours beside the cache.

A pin is of the content of a row, so that it holds wherever the row moves to; rows that are alike to the letter are
pinned together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from audio_cache_daemon.errors import StateUnreadableError
from audio_cache_daemon.held import HeldRows, hold_rows
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.own_files import decode_own, encode_own

_NAME = "pins.json"

_ID = re.compile("[0-9a-f]{16}")


class Pin(msgspec.Struct, frozen=True):
    """Why an item is pinned, by whom, since when and until when (None: until it is unpinned), in seconds.

    `timestamp` is the row's (None: unknown); it tells which rows to look at.
    """

    reason: str
    by: str
    since: float
    until: float | None
    timestamp: float | None

    def holds(self, now: float) -> bool:
        return self.until is None or self.until > now


class _PinsFile(msgspec.Struct, frozen=True):
    version: Literal[1]
    pins: dict[str, Pin]


def pins_path(location: CacheLocation) -> Path:
    """Where the pins of a cache are kept."""
    return location.state_directory / _NAME


def load_pins(location: CacheLocation) -> dict[str, Pin]:
    """The pins of a cache by the id of their row; StateUnreadableError when the file is there and can't be read."""
    path = pins_path(location)
    try:
        return decode_own(path.read_bytes(), _PinsFile).pins
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise StateUnreadableError(
            f"{path} can't be read: {error}; which items are pinned isn't known, so nothing is evicted: mend it, or "
            "move it away and pin them again"
        ) from None


def encode_pins(pins: Mapping[str, Pin]) -> bytes:
    """The content of the file."""
    return encode_own(_PinsFile(1, dict(pins)))


def pinned_rows(pins: Mapping[str, Pin]) -> HeldRows:
    """The rows that are pinned, for the ids of whose content; an id that none can have is none's."""
    told = [
        (
            int(id_, 16),
            math.inf if pin.until is None else pin.until,
            math.nan if pin.timestamp is None else pin.timestamp,
        )
        for id_, pin in pins.items()
        if _ID.fullmatch(id_)
    ]
    ids, until, timestamps = zip(*told, strict=True) if told else ((), (), ())
    return hold_rows(ids, until, timestamps)
