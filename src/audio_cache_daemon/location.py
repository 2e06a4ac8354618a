"""Where a cache is, and what its files are called. Imports nothing heavy: it is known before anything is read."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

META_NAME = "meta.jsonl"
CLAP_TEXT_NAME = "clap_text.npy"
CLAP_AUDIO_NAME = "clap_audio.npy"
BGE_TEXT_NAME = "bge_text.npy"
CLAP_NAMES = (CLAP_TEXT_NAME, CLAP_AUDIO_NAME)
ARRAY_NAMES = (CLAP_TEXT_NAME, CLAP_AUDIO_NAME, BGE_TEXT_NAME)
"""The arrays in the order in which the writer saves them."""

AUDIO_SUFFIXES = (".mp3", ".wav")

STATE_DIRECTORY = ".audio-cache-daemon"
"""Our own directory: in a cache for state and journal, in an audio root for its trash."""


# A slug may be empty, of a prompt without a letter. Milliseconds since the epoch have 13 digits from 2001 to 2286:
# 12 or 14 digits are the date and time that people put into names.
_WRITTEN_NAME = re.compile(r".{0,40}_[0-9]{13}\.(mp3|wav)", re.DOTALL)
_LEFTOVER_NAME = re.compile(r"temp_.*_[0-9]{13}\.(mp3|wav)|.*_normalized\.mp3", re.DOTALL)


class CacheLocation(msgspec.Struct, frozen=True):
    """Where a cache is, and how the paths in its rows are to be read.

    `audio_roots` are the trees in which a file may be removed; `path_base` resolves relative paths (None:
    they are undecidable); `path_map` turns a prefix of the writer's view of a path into ours.
    """

    name: str
    path: Path
    audio_roots: tuple[Path, ...]
    path_base: Path | None = None
    path_map: tuple[tuple[str, str], ...] = ()

    @property
    def state_directory(self) -> Path:
        return self.path / STATE_DIRECTORY


class Root(msgspec.Struct, frozen=True):
    """An audio root as it was found. `device` and `inode` are None when it isn't there.

    `coming` are bytes on it that are as good as gone: in the trash, or of retired items' files.
    """

    path: Path
    device: int | None
    inode: int | None
    disk_free: int = 0
    disk_size: int = 0
    coming: int = 0


def is_audio_name(name: str) -> bool:
    """Whether the name ends like an audio file of the writer's."""
    return name[-4:].lower() in AUDIO_SUFFIXES


def is_written_name(name: str) -> bool:
    """Whether the writer gives files names like this one: `{slug≤40}_{epoch_ms}` with a suffix of its own."""
    return _WRITTEN_NAME.fullmatch(name) is not None


def is_leftover_name(name: str) -> bool:
    """Whether this is one of the writer's names for files that live only while a sound is being made."""
    return _LEFTOVER_NAME.fullmatch(name) is not None
