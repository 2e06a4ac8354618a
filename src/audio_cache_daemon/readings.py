"""What is remembered of the audio: the contents of files, how they decode, and which sounds are unlike each other."""

from __future__ import annotations

import msgspec

from audio_cache_daemon.decodings import Decodings, load_decodings
from audio_cache_daemon.digests import Digests, load_digests
from audio_cache_daemon.likenesses import Likenesses, load_likenesses
from audio_cache_daemon.location import CacheLocation


class Readings(msgspec.Struct, frozen=True):
    """All of it; what a scan finds is added to digests and decodings."""

    digests: Digests = msgspec.field(default_factory=Digests)
    decodings: Decodings = msgspec.field(default_factory=Decodings)
    likenesses: Likenesses | None = None


def load_readings(location: CacheLocation) -> Readings:
    """What is remembered of a cache."""
    return Readings(load_digests(location), load_decodings(location), load_likenesses(location))
