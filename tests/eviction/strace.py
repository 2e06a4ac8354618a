"""The kernel's side of a run: strace counts its system calls, lets them fail, or kills the process on entering one.

A killed process never comes to execute the call, so a kill at the n-th call is a crash between two calls.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

WRITING_CALLS = (
    "pwrite64",
    "write",
    "rename",
    "renameat",
    "renameat2",
    "linkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "fsync",
    "fdatasync",
    "mkdir",
    "ftruncate",
    "fchown",
    "fchmod",
)
"""What a run changes a disk with."""

NAMING_CALLS = ("write", "rename", "renameat", "renameat2", "linkat", "unlink", "unlinkat", "rmdir")
"""Those after which another process sees other names or contents."""


def run_traced(options: Sequence[str], command: Sequence[str], environment: dict[str, str]) -> bytes:
    """Run a command under strace; what it prints. In CI strace has to be there; elsewhere the test is skipped."""
    if shutil.which("strace") is None:
        reason = "this test needs strace to stop a run between two system calls: apt-get install strace"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # A signal that is to be injected never arrives with --seccomp-bpf; all else is much faster with it.
    fast = [] if any("signal=" in option for option in options) else ["--seccomp-bpf"]
    traced = ["strace", "-f", *fast, "-qqq", *options, *command]
    done = subprocess.run(traced, env=environment, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, f"strace, or the process under it, failed: {done.stderr.decode()[-2000:]}"
    return done.stdout


def count_calls(trace: Path, process: int) -> Counter[str]:
    """How often a process made each call, from the output of strace."""
    lines = re.findall(rf"^{process} +(\w+)\(", trace.read_text(errors="replace"), re.MULTILINE)
    return Counter(lines)
