"""What the tests of the configuration share: the shipped files, and a way to load a text."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_files import Load

from audio_cache_daemon.config.load import load_settings
from audio_cache_daemon.config.settings import Settings


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a text as a configuration file, in an environment of the given variables."""

    def load_text(text: str, **environ: str) -> Settings:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return load_settings(path, environ)

    return load_text
