"""The audio files that a listing found, as columns in which one can be looked up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.cache.listing import Listing
from audio_cache_daemon.model import Bools, Ints
from audio_cache_daemon.paths import Folder

FILE = np.dtype([(name, np.int64) for name in ("key", "size", "inode", "mtime_ns", "folder")])
"""What is known of a file, as in Listing: `key` names it, `folder` is the number of its directory in the walk."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The audio files below the roots in ascending order of their keys, and the folders that were listed."""

    files: NDArray[np.void]
    folders: tuple[Folder, ...]

    @classmethod
    def of(cls, listing: Listing) -> Self:
        """The files of a listing."""
        files = np.frombuffer(listing.files, FILE)
        return cls(files[np.argsort(files["key"], kind="stable")], listing.folders)

    def find(self, keys: Ints) -> tuple[Ints, Bools]:
        """Where the files of these keys are in `files`, and whether they are there at all."""
        places = np.searchsorted(self.files["key"], keys)
        places[places == len(self.files)] = 0
        there = self.files["key"][places] == keys if len(self.files) else np.zeros(len(keys), np.bool_)
        return places, there
