"""The configuration file in the daemon's hands: read, checked, and looked at for changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from audio_cache_daemon.config.lint import refuse_errors
from audio_cache_daemon.config.settings import Settings

Load: TypeAlias = Callable[[Path, Mapping[str, str]], Settings]
"""How a configuration file is read, in an environment."""


class ConfigFile:
    """Reads a file by its name, each time: a ConfigMap is replaced as a whole, and its files are links."""

    def __init__(self, path: Path, load: Load, environ: Mapping[str, str]) -> None:
        self.path = path
        self._load = load
        self._environ = environ
        self._taken: bytes | None = None
        self._seen: bytes | None = None

    def load(self) -> Settings:
        """The settings; ConfigError, with all that is wrong, if they can't be used."""
        self._taken = self._seen = self._read()
        settings = self._load(self.path, self._environ)
        refuse_errors(settings)
        return settings

    def has_changed(self) -> bool:
        """Whether the file has another content than the one that was loaded, good or bad, and keeps it."""
        before, self._seen = self._seen, self._read()
        return self._seen != self._taken and self._seen == before

    def _read(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except OSError:
            return None
