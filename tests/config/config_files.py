"""The configuration files that are shipped, and those that are wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from audio_cache_daemon.config.settings import Settings

Load: TypeAlias = Callable[..., Settings]
"""The `load` fixture: a text, and variables of the environment by keyword."""

CONFIG = Path(__file__).parents[2] / "config"
DEFAULT = CONFIG / "default.yaml"
SHIPPED = [DEFAULT, *sorted((CONFIG / "examples").glob("*.yaml"))]
BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))

MINIMAL = """\
version: 1
caches:
  exhibit: {path: /srv/audio, policy: standard}
policies:
  standard: {}
"""
"""The shortest file that loads."""


def remarks(path: Path, word: str) -> list[str]:
    """What stands behind "# WORD: " on lines of a sample file."""
    mark = f"# {word}: "
    return [line.removeprefix(mark) for line in path.read_text().splitlines() if line.startswith(mark)]
