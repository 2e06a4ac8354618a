"""Keeps the pins of a cache."""

from __future__ import annotations

from collections.abc import Mapping

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.directories import make_state_directory, write_durably
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.pins import Pin, encode_pins, pins_path


def save_pins(location: CacheLocation, pins: Mapping[str, Pin]) -> None:
    """Replace the pins of a cache at once; MaintenanceError when they can't be written: then they are as before."""
    make_state_directory(location.path)
    path = pins_path(location)
    try:
        write_durably(path, encode_pins(pins))
    except OSError as error:
        raise MaintenanceError(f"{path} can't be written: {error.strerror}; the pins are as they were") from None
