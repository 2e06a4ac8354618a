"""What the service costs over a large cache in which nothing happens: of a core, and of memory.

`idle.py [--seconds N] [--items N]`: the service as it is, with a policy that finds nothing to do. It fails above its
limits. Its start and first look aren't counted.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path

from audio_cache_daemon.demo.bulk import BulkOptions, make_cache
from audio_cache_daemon.location import CacheLocation

sys.path.insert(0, str(Path(__file__).parent.parent))

from services import ServiceProcess, write_config

from endurance import directory_in_memory

PERCENT_OF_A_CORE = 0.2
MEGABYTES = 80
REST = 10.0
"""Seconds after the first look, until it has come to rest."""

POLICY = {
    "schedule": {"cron": "15 3 * * *"},
    "protect": [{"name": "best", "keep_best": 1}],
    "rules": [{"name": "old", "max_age": "400d"}, {"name": "none", "pattern": "nowhere"}],
    "budget": {"size": {"high": "1TiB", "low": "1TiB"}, "items": {"high": 10**7, "low": 10**7}},
}


def seconds_of_work(process: int) -> float:
    """What a process has had of the processors, in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> dict[str, float]:
    """Resident and proportional memory, in megabytes."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    return {name: int(re.findall(rf"^{name}: +(\d+) kB", text, re.MULTILINE)[0]) / 1000 for name in ("Rss", "Pss")}


def measure(directory: Path, location: CacheLocation, seconds: float) -> bool:
    """Let the service idle for so long; whether it kept to its limits."""
    writer = {"mode": "live", "started_file": str(directory / "started")}
    config = write_config(directory / "config.json", location, POLICY, writer, log={"level": "debug", "format": "json"})
    command = [sys.executable, "-m", "audio_cache_daemon", "--config", str(config), "run"]
    service = ServiceProcess(command, {})
    try:
        while not service.said("looked: "):
            time.sleep(1)
        time.sleep(REST)
        begin, before = time.monotonic(), seconds_of_work(service.pid)
        highest = memory(service.pid)
        while (passed := time.monotonic() - begin) < seconds:
            time.sleep(min(5.0, seconds - passed))
            highest = {name: max(highest[name], value) for name, value in memory(service.pid).items()}
        percent = 100 * (seconds_of_work(service.pid) - before) / (time.monotonic() - begin)
        looks = sum("looked: " in line for line in service.lines)
    finally:
        service.end()
        service.clean_up()
    words = ", ".join(f"{name} {value:.1f} MB at most" for name, value in highest.items())
    print(f"{percent:.3f} % of a core over {seconds:.0f} s, {looks} looks; {words}")  # noqa: T201 -- the result
    return percent < PERCENT_OF_A_CORE and highest["Rss"] < MEGABYTES


def main() -> int:
    """Measure; 1 if it was too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--items", type=int, default=100_000)
    asked = parser.parse_args()
    with directory_in_memory() as directory:
        location = make_cache(directory, asked.items, BulkOptions(time.time(), audio_bytes=(100, 200)))
        return 0 if measure(directory, location, asked.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
