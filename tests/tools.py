"""Programs that some tests drive, and that aren't Python packages."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def needs(program: str, package: str) -> str:
    """The path of a program; the test is skipped where it isn't installed, and fails there in CI."""
    found = shutil.which(program)
    if found is None:
        give_up(f"this test needs {program}: apt-get install {package}")
    return found


def give_up(reason: str) -> NoReturn:
    """Skip the test; in CI, where nothing may be left out, fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
