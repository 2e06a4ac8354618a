"""A configured cache of which a run has evicted something, and everything around it as it was."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands import Ran, Run

from audio_cache_daemon.location import STATE_DIRECTORY
from builders import CacheBuilder


@dataclass(frozen=True)
class TrashedCache:
    """Where it is; its configuration; the run in its trash, by name and by directory; how commands are run on it."""

    builder: CacheBuilder
    config: Path
    outside: Path
    run: Run

    def ask(self, *arguments: object) -> Ran:
        return self.run("--config", self.config, *arguments)

    @property
    def state(self) -> Path:
        return self.builder.location.path / STATE_DIRECTORY

    @property
    def directory(self) -> Path:
        (found,) = (self.state / "trash").iterdir()
        return found

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def files(self) -> Path:
        """Where the evicted files are."""
        return self.builder.output / STATE_DIRECTORY / "trash" / self.name

    def edit(self, name: str, /, **values: Any) -> None:
        """Change values in a file of the run: in the note, or in each line of the manifest."""
        path = self.directory / name
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(json.dumps({**json.loads(line), **values}) + "\n" for line in lines))


def configure(path: Path, builder: CacheBuilder, policy: dict[str, Any], /, **cache: Any) -> Path:
    """Write a configuration with one cache, its generator stopped."""
    location = builder.location
    values = {"path": str(location.path), "audio_roots": [str(root) for root in location.audio_roots], "policy": "p"}
    caches = {"c": {**values, "writer": {"mode": "stopped"}, **cache}}
    path.write_text(json.dumps({"version": 1, "caches": caches, "policies": {"p": policy}}))
    return path


def fingerprint(directory: Path) -> str:
    """One hash over all that is in a tree, with owners, modes, numbers and times; links are not followed."""
    total = hashlib.sha256()
    for path in (directory, *sorted(directory.rglob("*"))):
        status = path.lstat()
        times = (status.st_mtime_ns, status.st_ctime_ns)
        total.update(repr((str(path), status.st_mode, status.st_uid, status.st_gid, status.st_ino, times)).encode())
        if path.is_symlink():
            total.update(os.fsencode(path.readlink()))
        elif path.is_file():
            total.update(path.read_bytes())
    return total.hexdigest()
