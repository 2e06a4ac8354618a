"""Where the configuration file is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

CONFIG_VARIABLE = "AUDIO_CACHE_DAEMON_CONFIG"
SYSTEM_CONFIG = Path("/etc/audio-cache-daemon/config.yaml")


def find_config(explicit: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file to use: the one asked for, the environment's, the system's if it is there, or None."""
    if explicit is not None:
        return explicit
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    return SYSTEM_CONFIG if SYSTEM_CONFIG.exists() else None
