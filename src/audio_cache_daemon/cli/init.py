"""`init`: a careful configuration for a cache that has none."""

from __future__ import annotations

import time
from pathlib import Path

import click

from audio_cache_daemon.cache.survey import Survey, survey_cache
from audio_cache_daemon.cli.options import Choice, cache_options
from audio_cache_daemon.cli.screens import messages, output, print_json, wants_json
from audio_cache_daemon.cli.target import SETTLED_SECONDS
from audio_cache_daemon.config.propose import propose_config
from audio_cache_daemon.config.settings import WriterSettings
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.index_times import last_index_change
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.reporting.statistics import statistics_as_json, take_statistics
from audio_cache_daemon.reporting.terminal import Symbol
from audio_cache_daemon.units import format_time

_STARTED_FILE = "writer-started"


@click.command()
@click.argument("directory", metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option("--output", "file", type=click.Path(path_type=Path), help="Write to this new file.")
@cache_options
def init(choice: Choice, directory: Path | None, file: Path | None) -> None:
    """Look at the cache in DIR (default: ./audio_cache) and propose a configuration for it. Changes nothing.

    --audio-root and --path-base name directories from which to look for audio that isn't where its rows say.
    """
    now = time.time()
    cache = (directory or choice.cache_dir or Path("audio_cache")).absolute()
    cache = cache.resolve() if ".." in cache.parts else cache
    given = [*(choice.audio_root or ()), *([choice.path_base] if choice.path_base is not None else [])]
    survey = survey_cache(cache, [*(path.resolve() for path in given), Path.cwd()])
    location = survey.inventory.location
    changed = last_index_change(location.path)
    writer = _guess_writer(location, choice, changed, now)
    text = propose_config(survey.inventory, writer, survey.remarks, changed, now)
    _say_what_was_not_understood(survey)
    if file is not None:
        _write_new(file, text)
    if wants_json(choice):
        print_json(_as_json(survey, writer, changed, now))
    elif file is None:
        for line in text.split("\n")[:-1]:
            output().line(line)
    else:
        output().line(f"wrote {file}; read it, then: audio-cache-daemon check-config {file}", Symbol.SUCCESS)


def _guess_writer(location: CacheLocation, choice: Choice, changed: float | None, now: float) -> WriterSettings:
    """A generator that was quiet for long is taken to be stopped, unless the command line says what it is."""
    stopped = choice.writer_stopped
    if stopped is None:
        stopped = changed is None or now - changed > SETTLED_SECONDS
    if stopped:
        return WriterSettings(mode="stopped")
    return WriterSettings(started_file=location.state_directory / _STARTED_FILE)


def _say_what_was_not_understood(survey: Survey) -> None:
    screen, rows = messages(), survey.inventory.rows
    for problem in survey.problems:
        screen.line(f"{problem.where} {problem.message} (rows: {problem.count})".strip(), Symbol.WARNING)
    undecidable = int((rows.items() & ~rows.decided()).sum())
    if undecidable:
        message = f"items whose file can't be decided like this: {undecidable}; they stay, and `stats` says why"
        screen.line(message, Symbol.WARNING)
    for problem in survey.inventory.problems:
        if problem.kind != "undecidable_path":
            screen.line(": ".join(filter(None, (problem.where, problem.message))), Symbol.WARNING)


def _write_new(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise ConfigError(f"{file} exists already, and init overwrites nothing; name a new file") from None
    except OSError as error:
        raise ConfigError(f"can't write {file}: {error.strerror}; name another file") from None


def _as_json(survey: Survey, writer: WriterSettings, changed: float | None, now: float) -> dict[str, object]:
    location = survey.inventory.location
    return {
        **statistics_as_json(survey.inventory, take_statistics(survey.inventory, now)),
        "audio_roots": location.audio_roots,
        "path_base": location.path_base,
        "path_map": dict(location.path_map),
        "writer": writer.mode,
        "index_changed": None if changed is None else format_time(changed),
        "remarks": [{"key": key, "directory": of, "message": text} for (key, of), text in survey.remarks.items()],
        "not_understood": survey.problems,
    }
