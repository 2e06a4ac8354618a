"""Measures the commands against the plain tools that do the least one could do instead.

Imports only the standard library, and little of it: Linux counts a child's memory from the fork on, so the peak of
a small child is that of its parent.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND = (sys.executable, "-m", "audio_cache_daemon")
LIST_FILES = "find {audio} -printf '%s %T@\\n' > /dev/null && jq -c .timestamp {cache}/meta.jsonl > /dev/null"
REMOVE_FILES = (
    "find {audio} -mtime +30 -type f -delete && mkdir {work}/index && cp {kept}/* {work}/index && sync {work}/index/*"
)
DIFFERENCE = 0.03
"""By how much of the files two sides that remove them may differ: `find` counts whole days, so +30 is 31 and more."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A command, what it is measured against, and the targets: a ratio, or seconds when there is no `baseline`.

    `{...}` in the texts are the paths of `Places`. With `fresh` each run gets a copy of the cache of its own.
    """

    name: str
    arguments: str
    baseline: str = ""
    ratio: float | None = None
    seconds: float | None = None
    megabytes: float | None = None
    fresh: bool = False


BENCHMARKS = (
    Benchmark("plan", "--config {config} run-once --dry-run", LIST_FILES, ratio=1.0, megabytes=80),
    Benchmark("plan-json", "--config {config} run-once --dry-run --format json", LIST_FILES, ratio=1.5),
    Benchmark("clean", "clean --days 30 --writer-stopped --cache-dir {cache}", REMOVE_FILES, ratio=1.5, fresh=True),
    Benchmark("help", "--help", seconds=0.25),
)


@dataclass(frozen=True, slots=True)
class Places:
    """The directory in which everything lies, and what the texts of a benchmark can name."""

    directory: Path

    @property
    def names(self) -> dict[str, str]:
        """Shell words: the directory is checked to need no quoting."""
        work = self.directory / "work"
        return {
            "work": str(work),
            "audio": str(work / "audio"),
            "cache": str(work / "audio" / "audio_cache"),
            "kept": str(self.directory / "kept"),
            "config": str(self.directory / "config.yaml"),
        }

    def count_audio(self) -> int:
        """Audio files of the working copy; a trash lies in a directory of its own and doesn't count."""
        return sum(entry.name.endswith(".wav") for entry in os.scandir(self.names["audio"]))

    def refresh(self) -> None:
        """Make the working copy anew, and wait until it is on the disk."""
        work = self.directory / "work"
        if work.exists():
            shutil.rmtree(work)
        subprocess.run(["cp", "-a", str(self.directory / "master"), str(work)], check=True)
        os.sync()


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: wall-clock seconds, and the peak memory of the largest process in it."""

    seconds: float
    megabytes: float


class BenchmarkError(Exception):
    """A command failed, or something that it needs is missing."""


def measure(command: Sequence[str]) -> Sample:
    """Run a command to its end, its output thrown away; BenchmarkError unless it exits with status 0."""
    with tempfile.TemporaryFile() as errors:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        if process.returncode != 0:
            message = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise BenchmarkError(f"{' '.join(command)}: exit status {process.returncode}: {message}")
    return Sample(seconds, usage.ru_maxrss / 1024)


def sample(benchmark: Benchmark, places: Places, runs: int) -> tuple[list[Sample], list[Sample]]:
    """Runs of both sides, alternating, the second one empty without a baseline; BenchmarkError when they can't compare.

    One more run of each comes first and isn't counted, where it isn't the copying that warms the file caches.
    """
    ours = [*COMMAND, *benchmark.arguments.format(**places.names).split()]
    sides = [ours, ["sh", "-c", benchmark.baseline.format(**places.names)]] if benchmark.baseline else [ours]
    samples: tuple[list[Sample], list[Sample]] = ([], [])
    files_left = []
    for number in range(runs if benchmark.fresh else runs + 1):
        for side, command in enumerate(sides):
            if benchmark.fresh:
                places.refresh()
            result = measure(command)
            files_left.append(places.count_audio() if benchmark.fresh else 0)
            if benchmark.fresh or number > 0:
                samples[side].append(result)
    if benchmark.fresh:
        places.refresh()
    if max(files_left) - min(files_left) > DIFFERENCE * places.count_audio():
        raise BenchmarkError(f"the two sides did not do the same: after the runs there were {files_left} files")
    return samples


def _seconds(samples: Sequence[Sample]) -> str:
    values = sorted(each.seconds for each in samples)
    return f"{statistics.median(values):.3f} ({values[0]:.3f}-{values[-1]:.3f})" if values else "-"


def report(benchmark: Benchmark, ours: Sequence[Sample], theirs: Sequence[Sample]) -> tuple[list[str], bool]:
    """The cells of a table row, and whether all targets are met."""
    median = statistics.median(each.seconds for each in ours)
    peak = max(each.megabytes for each in ours)
    ratio = median / statistics.median(each.seconds for each in theirs) if theirs else None
    checks = (
        (ratio, benchmark.ratio, "ratio {:.2g}"),
        (median, benchmark.seconds, "{:.2g} s"),
        (peak, benchmark.megabytes, "{:.0f} MB"),
    )
    targets = [text.format(target) for _, target, text in checks if target is not None]
    met = all(value is not None and value <= target for value, target, _ in checks if target is not None)
    shown = "-" if ratio is None else f"{ratio:.2f}"
    cells = [benchmark.name, str(len(ours)), _seconds(ours), _seconds(theirs), shown, f"{peak:.0f}", ", ".join(targets)]
    return [*cells, "met" if met else "MISSED"], met


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def describe(benchmarks: Sequence[Benchmark], rows: int, places: Places) -> None:
    """Say what is run, and where, so that the numbers can be repeated."""
    sys.stdout.write(
        f"{rows:,} items in {places.directory}; {platform.machine()}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}\n"
        "Median seconds (least-most) of runs with warm file caches, both sides in turn; peak memory of the command.\n"
    )
    for each in benchmarks:
        against = f"\n    against: {each.baseline.format(**places.names)}" if each.baseline else ""
        copies = "\n    each run on a copy of its own" if each.fresh else ""
        sys.stdout.write(f"{each.name}: audio-cache-daemon {each.arguments.format(**places.names)}{against}{copies}\n")
    sys.stdout.write("\n")


def prepare(places: Places, rows: int) -> None:
    """Make the cache, or use the one that is there; BenchmarkError when a tool is missing."""
    for tool in ("jq", "find"):
        if shutil.which(tool) is None:
            raise BenchmarkError(f"{tool} is missing, and it is what we measure against; apt-get install {tool}")
    script = Path(__file__).with_name("prepare.py")
    subprocess.run([sys.executable, str(script), str(places.directory), str(rows)], check=True)
    places.refresh()


def run(benchmarks: Sequence[Benchmark], places: Places, rows: int, runs: int) -> bool:
    """Run the benchmarks and print the table; whether all targets are met."""
    if any(each.baseline for each in benchmarks):
        prepare(places, rows)
    describe(benchmarks, rows, places)
    table = [["what", "runs", "ours", "baseline", "ratio", "peak MB", "target", ""]]
    all_met = True
    for each in benchmarks:
        try:
            sys.stderr.write(f"measuring {each.name} ...\n")
            cells, met = report(each, *sample(each, places, runs))
            sys.stderr.write(f"  {'  '.join(cells[1:])}\n")
        except BenchmarkError as error:
            sys.stderr.write(f"{each.name}: {error}\n")
            cells, met = [each.name, "0", "-", "-", "-", "-", "-", "FAILED"], False
        table.append(cells)
        all_met &= met
    print_table(table)
    return all_met


@contextmanager
def working_directory(given: Path | None) -> Iterator[Path]:
    """The given directory, which stays, or a temporary one, which doesn't."""
    if given is None:
        with tempfile.TemporaryDirectory(prefix="audio-cache-bench-") as temporary:
            yield Path(temporary)
    else:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--directory", type=Path, help="where the cache is made, and used again for a day")
    parser.add_argument("--rows", type=int, default=100_000, help="items of the cache (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each side that count (default: %(default)s)")
    parser.add_argument("--only", action="append", choices=[each.name for each in BENCHMARKS], help="repeatable")
    return parser.parse_args()


def main() -> int:
    """Exit status 0 when all targets are met, else 1."""
    arguments = parse_arguments()
    chosen = [each for each in BENCHMARKS if arguments.only is None or each.name in arguments.only]
    with working_directory(arguments.directory) as directory:
        if len(str(directory).split()) != 1:
            raise SystemExit(f"{directory}: the plain tools are called by a shell; use a path without blanks")
        try:
            met = run(chosen, Places(directory), arguments.rows, arguments.runs)
        except BenchmarkError as error:
            raise SystemExit(str(error)) from None
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
