"""The audit log comes first: what isn't announced on the disk isn't removed."""

from __future__ import annotations

import re
from pathlib import Path

from cache_runs import make_dozen, snapshot
from child_run import command, environment, order_for, run_child
from strace import run_traced


def test_what_is_announced_is_on_the_disk_before_the_first_file_goes(tmp_path: Path) -> None:
    """In the order of the kernel's calls: the announcements, their flush, and only then anything is moved."""
    location = make_dozen(tmp_path).write()
    trace = tmp_path / "trace"
    calls = ("write", "fdatasync", "renameat", "renameat2", "unlinkat")
    options = ["-s", "4000", "-o", str(trace), f"--trace={','.join(calls)}"]
    run_traced(options, command(order_for(location)), environment())
    lines = [line.split(maxsplit=1)[1] for line in trace.read_text(errors="replace").splitlines()]
    announced = [number for number, line in enumerate(lines) if line.startswith("write(") and "removed" in line]
    flushed = [number for number, line in enumerate(lines) if line.startswith("fdatasync(")]
    moved = [number for number, line in enumerate(lines) if re.match(r"renameat|unlinkat", line)]
    assert lines[announced[0]].count("removed") == 4
    assert any(announced[0] < number < moved[0] for number in flushed)


def test_an_audit_log_that_fills_up_before_the_last_announcement_stops_the_run(tmp_path: Path) -> None:
    """The limit on file sizes lets it take the start of the run and not all that is to be removed: nothing is."""
    location = make_dozen(tmp_path).write()
    before = snapshot(tmp_path)
    answer = run_child(order_for(location, file_bytes=600))
    assert answer.result == "failed"
    assert "audit log" in (answer.error or "")
    assert snapshot(tmp_path) == before
