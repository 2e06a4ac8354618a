"""What is remembered of the audio in files: their contents, and how they decode."""

from __future__ import annotations

from dataclasses import dataclass, field

from audio_cache_daemon.decodings import Decodings, load_decodings
from audio_cache_daemon.digests import Digests, load_digests
from audio_cache_daemon.location import CacheLocation


@dataclass(frozen=True, slots=True)
class Readings:
    """Both; what a scan finds is added to them."""

    digests: Digests = field(default_factory=Digests)
    decodings: Decodings = field(default_factory=Decodings)


def load_readings(location: CacheLocation) -> Readings:
    """What is remembered of a cache."""
    return Readings(load_digests(location), load_decodings(location))
