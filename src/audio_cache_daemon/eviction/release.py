"""The files of retired items taken away, once the generator can't serve them any more."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from audio_cache_daemon.eviction.directories import make_state_directory
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.manifest import save_note
from audio_cache_daemon.eviction.taking import take_entries_away
from audio_cache_daemon.location import ARRAY_NAMES, CacheLocation
from audio_cache_daemon.manifest import MANIFEST_NAME, RETIRED, ROWS_NAME, TRASH, ManifestEntry, RunNote
from audio_cache_daemon.model import Outcome
from audio_cache_daemon.own_files import own_like, sync_directory
from audio_cache_daemon.retired import UNFINISHED, RetiredRun


def release_files(
    location: CacheLocation, run: RetiredRun, entries: Iterable[ManifestEntry], now: float, *, to_trash: bool
) -> Iterator[Outcome]:
    """Take away the files of some entries of a run: into the trash, with its rows and vectors, or for good.

    Harmless to repeat; OSError as it comes.
    """
    if to_trash:
        open_in_trash(location, run, now)
    yield from take_entries_away(location, Execution(run.run, to_trash), run.note.roots, entries)


def open_in_trash(location: CacheLocation, run: RetiredRun, now: float) -> None:
    """Give a run its place in the trash, from now on; what it wrote down is the same there and here.

    Harmless to repeat; OSError as it comes.
    """
    target = make_state_directory(location.path, TRASH) / run.run
    if target.exists():
        return
    unfinished = location.state_directory / RETIRED / f"{run.run}{UNFINISHED}"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    make_state_directory(location.path, RETIRED, unfinished.name)
    for name in (MANIFEST_NAME, ROWS_NAME, *ARRAY_NAMES):
        if (run.directory / name).exists():
            _link(run.directory / name, unfinished / name)
    save_note(unfinished, RunNote(1, run.run, now, run.note.roots, run.note.index))
    sync_directory(unfinished)
    unfinished.rename(target)
    sync_directory(target.parent)


def _link(source: Path, target: Path) -> None:
    """Give a file of ours, which nobody changes any more, a second name; a copy where links are forbidden."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        with source.open("rb") as old, target.open("xb") as new:
            shutil.copyfileobj(old, new)
            model = target.parent.stat()
            own_like(new.fileno(), model, model.st_mode & 0o666)
            new.flush()
            os.fsync(new.fileno())
