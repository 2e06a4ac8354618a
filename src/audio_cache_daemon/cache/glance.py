"""The index of a cache read alone, and of its files only those looked at that are asked for."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.cache.files import FileFinder
from audio_cache_daemon.cache.names import FileNames
from audio_cache_daemon.cache.scan import Surroundings, open_index, scan_cache
from audio_cache_daemon.cache.walk import Walk
from audio_cache_daemon.formats import decode_row, read_lines
from audio_cache_daemon.held import HeldRows
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import Ints, Inventory, ItemState, ScanNeeds
from audio_cache_daemon.paths import Folders, PathResolver


def glance(location: CacheLocation, pins: HeldRows) -> Inventory:
    """What the index tells of a cache, with no file looked at; CacheUnreadableError when it can't be read."""
    return scan_cache(location, ScanNeeds(files=False), Surroundings(pins=pins))


def look_at_files(inventory: Inventory, numbers: Ints) -> Inventory:
    """What a glance saw, with the state and the size of the files of these ascending rows."""
    rows, location = inventory.rows, inventory.location
    names = FileNames(PathResolver(location))
    keys, folder = np.zeros(len(rows), np.int64), np.full(len(rows), -1, np.int32)
    with open_index(location) as meta, Folders(location) as folders:
        lines = read_lines(meta.fileno(), rows.offset, numbers)
        folder[numbers] = names.resolve([decode_row(line)[0] for line in lines])["folder"]
        found = FileFinder(names, Walk.nowhere(), folders, meta.fileno()).find(keys, folder, rows.offset)
    state = np.where(rows.state == ItemState.RETIRED, rows.state, found.state)
    return replace(inventory, rows=replace(rows, state=state, size=found.size))
