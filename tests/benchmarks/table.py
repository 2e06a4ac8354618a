"""What is measured, against what, and what it may cost at most.

Imports only the standard library: `run.py` must stay small (see there).
"""

from __future__ import annotations

from dataclasses import dataclass

USUAL, LARGE = 100_000, 1_000_000
"""Items of the two caches."""

MADE = "made.json"
"""Says in the directory of a cache when it was made; without it, it is made anew."""

COMMAND, INSIDE = "audio-cache-daemon", "inside.py"
"""How a side begins that is ours, and one that measures a part of itself and prints seconds and megabytes."""

_LIST_FILES = "find {audio} -printf '%s %T@\\n' > /dev/null && jq -c .timestamp {cache}/meta.jsonl > /dev/null"
_LIST_USUAL = _LIST_FILES.replace("{audio}", "{usual_audio}").replace("{cache}", "{usual_cache}")
_REMOVE_FILES = (
    "find {audio} -mtime +30 -type f -delete && mkdir {work}/index && cp {kept}/* {work}/index && sync {work}/index/*"
)
_COPY_MOST = (
    "mkdir {work}/most && cp {most}/* {work}/most && sync {work}/most/*; status=$?; rm -r {work}/most; exit $status"
)
_FIND_PAIRS = f"{INSIDE} faiss_range {{config}}"
_DRY_RUN = f"{COMMAND} --config {{config}} run-once --dry-run"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A command, what it is measured against, and the targets: a ratio, or seconds where there is nothing to compare.

    `{...}` in the texts are the paths of `Places` (run.py). With `fresh` each run gets a copy of the cache of its own;
    there are no more than `most_runs`. One that `changes` the cache leaves none to the next bench, which makes it anew.
    """

    name: str
    ours: str
    baseline: str = ""
    ratio: float | None = None
    seconds: float | None = None
    megabytes: float | None = None
    rows: int = USUAL
    fresh: bool = False
    most_runs: int = 5
    changes: bool = False


def share(seconds: float) -> float:
    """The ratio to `find` and `jq` over the usual cache that these seconds were, where they were set as targets.

    They took 0.31 s and 0.5 s there; other machines need half of that for the same work, or twice.
    """
    return seconds / (0.31 + 0.5)


BENCHMARKS = (
    Benchmark("plan", _DRY_RUN, _LIST_FILES, ratio=0.9, megabytes=60),
    Benchmark("plan-json", f"{_DRY_RUN} --format json", _LIST_FILES, ratio=1.3),
    Benchmark(
        "content", f"{COMMAND} --config {{copies_config}} run-once --dry-run", "jdupes -r -q {copies_audio}", ratio=2.0
    ),
    Benchmark(
        "evict-for-good",
        f"{COMMAND} --config {{for_good}} run-once --override-limits",
        _REMOVE_FILES,
        ratio=1.4,
        fresh=True,
    ),
    Benchmark(
        "evict-to-trash",
        f"{COMMAND} clean --days 30 --writer-stopped --cache-dir {{cache}}",
        _REMOVE_FILES,
        ratio=1.4,
        fresh=True,
    ),
    # A third, a half and a tenth of what the script took that came before this program, and a tenth of its memory.
    Benchmark("stats", f"{COMMAND} stats --cache-dir {{cache}}", _LIST_FILES, share(0.73), megabytes=65),
    Benchmark("list", f"{COMMAND} list --cache-dir {{cache}}", _LIST_FILES, share(0.4), megabytes=65),
    Benchmark(
        "duplicates", f"{COMMAND} duplicates --dry-run --cache-dir {{cache}}", _LIST_FILES, share(0.67), megabytes=70
    ),
    Benchmark("likeness", f"{INSIDE} likeness {{config}}", _FIND_PAIRS, ratio=0.6, megabytes=400, most_runs=1),
    Benchmark("likeness-again", f"{INSIDE} likeness_again {{config}}", seconds=1.0, megabytes=400),
    Benchmark("check-config", f"{COMMAND} --config {{config}} check-config", seconds=0.4),
    Benchmark("help", f"{COMMAND} --help", seconds=0.2),
    Benchmark("plan-1m", _DRY_RUN, f"{COMMAND} --config {{usual_config}} run-once --dry-run", 11.0, None, 160, LARGE),
    Benchmark("compact-1m", f"{INSIDE} compact {{config}}", _COPY_MOST, ratio=1.3, megabytes=120, rows=LARGE),
    Benchmark("scrape-1m", f"{INSIDE} scrape {{config}}", seconds=0.005, rows=LARGE),
    *(
        Benchmark(f"{name}-1m", f"{COMMAND} {text} --config {{config}}", megabytes=200, rows=LARGE)
        for name, text in (
            ("stats", "stats"),
            ("list", "list"),
            ("duplicates", "duplicates --dry-run"),
            ("explain", "explain 77"),
            ("status", "status"),
            ("verify", "verify"),
            ("clear", "clear --dry-run"),
            ("plan-json", "run-once --dry-run --format json"),
        )
    ),
    Benchmark("look-1m", f"{INSIDE} look {{config}}", _LIST_USUAL, share(0.7), rows=LARGE, changes=True),
    Benchmark("retire-1m", f"{INSIDE} retire {{config}}", _LIST_USUAL, share(0.05), rows=LARGE, changes=True),
)
