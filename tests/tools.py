"""What some tests need beside Python packages: programs, and namespaces of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import NoReturn

import pytest


def needs(program: str, package: str) -> str:
    """The path of a program; the test is skipped where it isn't installed, and fails there in CI."""
    found = shutil.which(program)
    if found is None:
        give_up(f"this test needs {program}: apt-get install {package}")
    return found


def in_namespaces(*kinds: str) -> tuple[str, ...]:
    """The command that runs another one as root of a user namespace of its own, and of those `kinds` of unshare(1).

    Where that isn't allowed, the test is skipped, and fails in CI.
    """
    return _tried(("unshare", "--user", "--map-root-user", *kinds), "true")


def with_mounts(script: str) -> tuple[str, ...]:
    """The command that runs another one where a script of the shell has mounted something that nobody else sees.

    Where that isn't allowed, the test is skipped, and fails in CI.
    """
    command = _tried(in_namespaces("--mount"), "mount", "-t", "tmpfs", "none", "/mnt")
    return (*command, "sh", "-ec", f'{script} && exec "$@"', "sh")


def _tried(command: tuple[str, ...], *what: str) -> tuple[str, ...]:
    try:
        subprocess.run([*command, *what], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        give_up(f"this test needs namespaces of its own: {error}")
    return command


def give_up(reason: str) -> NoReturn:
    """Skip the test; in CI, where nothing may be left out, fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
