"""The paths that matter cost no more than twice what they may, beside the plain tools: a slip by a factor is seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import needs

RUN = Path(__file__).parent / "benchmarks" / "run.py"
SLACK = 2
"""How many times its target something may cost here, on a machine that does other things too."""


@pytest.mark.slow
def test_a_dry_run_and_a_comparison_of_contents_keep_up_with_find_jq_and_jdupes(tmp_path: Path) -> None:
    """As ratios in one run, the targets being those of the benchmarks."""
    for tool in ("find", "jq", "jdupes"):
        needs(tool, "findutils" if tool == "find" else tool)
    command = [sys.executable, RUN, "--directory", tmp_path, "--runs", 3, "--slack", SLACK]
    command += [word for name in ("plan", "plan-json", "content") for word in ("--only", name)]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
