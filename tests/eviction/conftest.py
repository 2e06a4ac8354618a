"""Directories for runs in other processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from endurance import directory_in_memory


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory in memory where there is one: a killed process, unlike a power failure, loses nothing unflushed."""
    with directory_in_memory() as directory:
        yield directory
