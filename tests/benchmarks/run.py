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
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from picture import Point, draw_cost
from table import BENCHMARKS, COMMAND, INSIDE, LARGE, MADE, USUAL, Benchmark

HERE = Path(__file__).parent
PROGRAMS = {
    COMMAND: (sys.executable, "-m", "audio_cache_daemon"),
    INSIDE: (sys.executable, str(HERE / INSIDE)),
}

SIZES = (10_000, 30_000, USUAL, 300_000, LARGE)
"""Items of the caches in the picture of cost against size."""

MOST_RUNS_OF_LARGE = 3

DIFFERENCE = 0.03
"""By how much of the files two sides that remove them may differ: `find` counts whole days, so +30 is 31 and more."""


@dataclass(frozen=True, slots=True)
class Places:
    """The directory in which everything lies, and what the texts of a benchmark can name."""

    root: Path
    rows: int

    @property
    def directory(self) -> Path:
        return self.root / str(self.rows)

    @property
    def names(self) -> dict[str, str]:
        """Shell words: the directory is checked to need no quoting."""
        paths = {
            "work": "work",
            "audio": "work/audio",
            "cache": "work/audio/audio_cache",
            "copies_audio": "copies/audio",
            "kept": "kept",
            "most": "most",
            "config": "config.yaml",
            "for_good": "for-good.yaml",
            "copies_config": "copies.yaml",
        }
        usual = self.root / str(USUAL)
        others = {f"usual_{name}": str(usual / paths[name]) for name in ("config", "audio", "cache")}
        return {name: str(self.directory / path) for name, path in paths.items()} | others

    def count_audio(self) -> int:
        """Audio files of the working copy; a trash lies in a directory of its own and doesn't count."""
        return sum(entry.name.endswith(".wav") for entry in os.scandir(self.names["audio"]))

    def forget(self) -> None:
        """Let the next bench make the cache anew: this one has changed it."""
        (self.directory / MADE).unlink(missing_ok=True)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Within, the cache changes: a bench that ends in between leaves none that the next one would take for new."""
        made = (self.directory / MADE).read_bytes()
        self.forget()
        yield
        self.refresh()
        (self.directory / MADE).write_bytes(made)

    def refresh(self) -> None:
        """Make the cache anew from a copy that was made before the first run, and wait until it is on the disk."""
        work, master = self.directory / "work", self.directory / "master"
        if not master.exists():
            work.rename(master)
        shutil.rmtree(work, ignore_errors=True)
        subprocess.run(["cp", "-a", str(master), str(work)], check=True)
        os.sync()


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: wall-clock seconds, and the peak memory of the largest process in it."""

    seconds: float
    megabytes: float


class BenchmarkError(Exception):
    """A command failed, or something that it needs is missing."""


def measure(command: Sequence[str]) -> Sample:
    """Run a command to its end; BenchmarkError unless it exits with status 0. INSIDE says itself what it measured."""
    is_inside = INSIDE in command[1]
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as figures:
        begin = time.perf_counter()
        to = figures if is_inside else subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=to, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        if process.returncode != 0:
            message = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise BenchmarkError(f"{' '.join(command)}: exit status {process.returncode}: {message}")
        figures.seek(0)
        return Sample(*map(float, figures.read().split())) if is_inside else Sample(seconds, usage.ru_maxrss / 1024)


def command_line(text: str, places: Places) -> list[str]:
    """One side of a benchmark: a program of ours, or a line for the shell."""
    words = text.format(**places.names).split()
    return [*PROGRAMS[words[0]], *words[1:]] if words[0] in PROGRAMS else ["sh", "-c", " ".join(words)]


def sample(benchmark: Benchmark, places: Places, runs: int) -> tuple[list[Sample], list[Sample]]:
    """Runs of both sides, alternating, the second one empty without a baseline; BenchmarkError when they can't compare.

    One more run of each comes first and isn't counted, where it isn't the copying that warms the file caches.
    """
    sides = [command_line(text, places) for text in (benchmark.ours, benchmark.baseline) if text]
    samples: tuple[list[Sample], list[Sample]] = ([], [])
    files_left = []
    with places.changing() if benchmark.fresh else nullcontext():
        for number in range(runs if benchmark.fresh else runs + 1):
            for side, command in enumerate(sides):
                if benchmark.fresh:
                    places.refresh()
                result = measure(command)
                files_left.append(places.count_audio() if benchmark.fresh else 0)
                if benchmark.fresh or number > 0:
                    samples[side].append(result)
    if max(files_left) - min(files_left) > DIFFERENCE * places.count_audio():
        raise BenchmarkError(f"the two sides did not do the same: after the runs there were {files_left} files")
    return samples


def _seconds(samples: Sequence[Sample]) -> str:
    values = sorted(each.seconds for each in samples)
    return f"{statistics.median(values):.3f} ({values[0]:.3f}-{values[-1]:.3f})" if values else "-"


def report(
    benchmark: Benchmark, ours: Sequence[Sample], theirs: Sequence[Sample], slack: float
) -> tuple[list[str], bool]:
    """The cells of a table row, and whether all targets, times `slack`, are met."""
    median = statistics.median(each.seconds for each in ours)
    peak = max(each.megabytes for each in ours)
    ratio = median / statistics.median(each.seconds for each in theirs) if theirs else None
    checks = (
        (ratio, benchmark.ratio, "ratio {:.2g}"),
        (median, benchmark.seconds, "{:.2g} s"),
        (peak, benchmark.megabytes, "{:.0f} MB"),
    )
    targets = [text.format(target) for _, target, text in checks if target is not None]
    met = all(value is not None and value <= target * slack for value, target, _ in checks if target is not None)
    shown = "-" if ratio is None else f"{ratio:.2f}"
    cells = [benchmark.name, str(len(ours)), _seconds(ours), _seconds(theirs), shown, f"{peak:.0f}", ", ".join(targets)]
    return [*cells, "met" if met else "MISSED"], met


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def describe(benchmarks: Sequence[Benchmark], rows: int | None, root: Path) -> None:
    """Say what is run, and where, so that the numbers can be repeated."""
    sys.stdout.write(
        f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}\n"
        "Median seconds (least-most) of runs with warm file caches, both sides in turn; peak memory of the command.\n"
    )
    for each in benchmarks:
        places = Places(root, rows or each.rows)
        against = f"\n    against: {each.baseline.format(**places.names)}" if each.baseline else ""
        copies = "\n    each run on a copy of its own" if each.fresh else ""
        text = each.ours.format(**places.names)
        sys.stdout.write(f"{each.name}, {places.rows:,} items: {text}{against}{copies}\n")
    sys.stdout.write("\n")


def prepare(places: Places) -> None:
    """Make the caches, or use those that are there and unchanged; BenchmarkError when a tool is missing."""
    for tool in ("jq", "find", "jdupes"):
        if shutil.which(tool) is None:
            raise BenchmarkError(f"{tool} is missing, and it is what we measure against; apt-get install {tool}")
    places.directory.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, str(HERE / "prepare.py"), str(places.directory), str(places.rows)], check=True)


def run(benchmarks: Sequence[Benchmark], root: Path, options: argparse.Namespace) -> bool:
    """Run the benchmarks and print the table; whether all targets are met."""
    describe(benchmarks, options.rows, root)
    table = [["what", "items", "runs", "ours", "baseline", "ratio", "peak MB", "target", ""]]
    all_met, changed = True, set[Places]()
    for each in benchmarks:
        places = Places(root, options.rows or each.rows)
        try:
            for needed in {Places(root, USUAL) if "{usual" in each.baseline else places, places}:
                prepare(needed)
            sys.stderr.write(f"measuring {each.name} ...\n")
            most = each.most_runs if places.rows < LARGE else MOST_RUNS_OF_LARGE
            runs = min(options.runs, most)
            cells, met = report(each, *sample(each, places, runs), options.slack)
            sys.stderr.write(f"  {'  '.join(cells[1:])}\n")
        except BenchmarkError as error:
            sys.stderr.write(f"{each.name}: {error}\n")
            cells, met = [each.name, "0", "-", "-", "-", "-", "-", "FAILED"], False
        table.append([cells[0], f"{places.rows:,}", *cells[1:]])
        all_met &= met
        if each.changes:
            changed.add(places)
    for places in changed:
        places.forget()
    print_table(table)
    return all_met


def draw(picture: Path, root: Path, runs: int) -> None:
    """Draw what a dry run costs, against the number of items."""
    plan = next(each for each in BENCHMARKS if each.name == "plan")
    points = []
    for rows in SIZES:
        places = Places(root, rows)
        prepare(places)
        sys.stderr.write(f"measuring {rows:,} items ...\n")
        ours, theirs = sample(plan, places, runs)
        seconds, plain = (statistics.median(each.seconds for each in side) for side in (ours, theirs))
        points.append(Point(rows, seconds, plain, max(each.megabytes for each in ours)))
    picture.write_text(draw_cost(points))


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
    parser.add_argument("--directory", type=Path, help="where the caches are made, and used again for a day")
    parser.add_argument("--rows", type=int, help="items of all caches, instead of those in the table")
    parser.add_argument("--runs", type=int, default=5, help="runs of each side that count (default: %(default)s)")
    parser.add_argument("--slack", type=float, default=1.0, help="how far targets may be missed (default: %(default)s)")
    parser.add_argument("--picture", type=Path, help="draw cost against size into this file, too")
    parser.add_argument("--only", action="append", choices=[each.name for each in BENCHMARKS], help="repeatable")
    return parser.parse_args()


def main() -> int:
    """Exit status 0 when all targets are met, else 1."""
    arguments = parse_arguments()
    chosen = [each for each in BENCHMARKS if arguments.only is None or each.name in arguments.only]
    with working_directory(arguments.directory) as root:
        if len(str(root).split()) != 1:
            raise SystemExit(f"{root}: the plain tools are called by a shell; use a path without blanks")
        try:
            met = run(chosen, root, arguments)
            if arguments.picture is not None:
                draw(arguments.picture, root, min(arguments.runs, MOST_RUNS_OF_LARGE))
        except BenchmarkError as error:
            raise SystemExit(str(error)) from None
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
