"""What outlives the daemon, in small files in each cache's state directory: its own memory, and what it is told.

The daemon alone writes `daemon.json`; `pause` and `resume` write `pause.json`, `accept-policy` writes `accepted.json`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from audio_cache_daemon.daemon.history import History
from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.directories import make_state_directory, write_durably
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.own_files import decode_own, encode_own

PAUSE_NAME = "pause.json"
ACCEPTED_NAME = "accepted.json"
_STANDING_NAME = "daemon.json"
_HISTORY_NAME = "history.json"

_MOST_ACCEPTED = 20
"""Policies that are remembered as accepted: more than anybody goes back and forth between."""

Note = TypeVar("Note", bound=msgspec.Struct)


class Pause(msgspec.Struct, frozen=True):
    """Whether the daemon leaves a cache alone: until a moment, or for good (None). `by` is who said so."""

    version: Literal[1] = 1
    paused: bool = False
    until: float | None = None
    by: str = ""

    def holds(self, now: float) -> bool:
        """Whether it holds at that moment."""
        return self.paused and (self.until is None or now < self.until)


class Accepted(msgspec.Struct, frozen=True):
    """The policies, by hash, that may evict more of the cache in their first run than goes without saying."""

    version: Literal[1] = 1
    hashes: tuple[str, ...] = ()


class LastRun(msgspec.Struct, frozen=True):
    """How a run of the daemon ended: its id, what caused it, when it ended, its result, and all of it in words."""

    run: str
    trigger: str
    time: float
    result: str
    words: str


class Awaiting(msgspec.Struct, frozen=True):
    """A policy that waits to be accepted: its hash, and what its first run would evict, in words."""

    hash: str
    words: str


class Loaded(msgspec.Struct, frozen=True):
    """A policy that is in force, by a hash of all of it, and since when it is."""

    hash: str
    time: float


class Standing(msgspec.Struct, frozen=True):
    """What the daemon remembers of a cache: since when it looks after it, and what came of that.

    `policy` is the hash of the policy that ran last. `vanished` counts files that went without us, `vanishings` the
    looks that found some gone.
    """

    since: float
    version: Literal[1] = 1
    policy: str | None = None
    last_success: float | None = None
    last_run: LastRun | None = None
    awaiting: Awaiting | None = None
    vanished: int = 0
    vanishings: int = 0
    loaded: Loaded | None = None


def load_pause(location: CacheLocation) -> Pause:
    """Whether the cache is to be left alone; MaintenanceError when the file can't be read."""
    return _load(location.state_directory / PAUSE_NAME, Pause) or Pause()


def load_accepted(location: CacheLocation) -> frozenset[str]:
    """The hashes of the policies that were accepted; MaintenanceError when the file can't be read."""
    return frozenset((_load(location.state_directory / ACCEPTED_NAME, Accepted) or Accepted()).hashes)


def load_standing(location: CacheLocation) -> Standing | None:
    """What the daemon remembers; None when it never was here. MaintenanceError when the file can't be read."""
    return _load(location.state_directory / _STANDING_NAME, Standing)


def save_pause(location: CacheLocation, pause: Pause) -> None:
    _save(location, PAUSE_NAME, pause)


def accept_policy(location: CacheLocation, policy: str) -> None:
    """Remember a policy, by its hash, as accepted."""
    before = _load(location.state_directory / ACCEPTED_NAME, Accepted) or Accepted()
    others = [known for known in before.hashes if known != policy]
    _save(location, ACCEPTED_NAME, Accepted(hashes=(*others, policy)[-_MOST_ACCEPTED:]))


def save_standing(location: CacheLocation, standing: Standing) -> None:
    _save(location, _STANDING_NAME, standing)


def load_history(location: CacheLocation) -> History:
    """How the cache fared; MaintenanceError when the file can't be read."""
    return _load(location.state_directory / _HISTORY_NAME, History) or History()


def save_history(location: CacheLocation, history: History) -> None:
    _save(location, _HISTORY_NAME, history)


def _load(path: Path, kind: type[Note]) -> Note | None:
    try:
        return decode_own(path.read_bytes(), kind)
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise MaintenanceError(f"{path} can't be read: {error}; mend it, or move it away to begin anew") from None


def _save(location: CacheLocation, name: str, note: msgspec.Struct) -> None:
    """MaintenanceError when it can't be written."""
    directory = make_state_directory(location.path)
    try:
        write_durably(directory / name, encode_own(note))
    except OSError as error:
        raise MaintenanceError(f"{directory / name} can't be written: {error.strerror}") from None
