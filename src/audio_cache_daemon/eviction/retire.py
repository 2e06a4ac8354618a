"""Items made unservable under a running generator: their vectors become zeros, in place, and no row moves.

What goes is written down first, with the rows' bytes and vectors, in `retired/<run>` of the state directory. From the
moment at which that directory has its name the items are retired: whatever interrupts us then, the next run sees which
vectors aren't zero yet, and goes on. The files stay until the generator can't serve them any more.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from itertools import repeat
from pathlib import Path

import msgspec
import numpy as np

from audio_cache_daemon.errors import InconsistentIndexError, MaintenanceError, about
from audio_cache_daemon.eviction.directories import make_state_directory, write_durably, write_whole
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.manifest import save_note, save_rows
from audio_cache_daemon.eviction.overwrite import overwrite_rows
from audio_cache_daemon.eviction.removal import remove_run
from audio_cache_daemon.eviction.second_look import write_manifest
from audio_cache_daemon.formats import array_header, identify, read_array_info, read_vectors
from audio_cache_daemon.location import CLAP_AUDIO_NAME, META_NAME, CacheLocation
from audio_cache_daemon.manifest import MANIFEST_NAME, RETIRED, TRASH, ManifestEntry, RunNote, read_manifest
from audio_cache_daemon.model import ArrayInfo, Bools, FileIdentity, Ints, Inventory, Outcome, OutcomeKind, Plan
from audio_cache_daemon.own_files import own_subdirectories, sync_directory
from audio_cache_daemon.paths import open_regular
from audio_cache_daemon.retired import (
    MARK_NAME,
    UNFINISHED,
    VERIFIED_NAME,
    RetiredRun,
    WriterMark,
    load_retired,
)


def retire_items(plan: Plan, execution: Execution, started: Callable[[], str | None]) -> Iterator[Outcome]:
    """Retire the rows of a plan, and tell the outcome of each. `started` names the generator's last start.

    MaintenanceError until the items are written down: nothing was changed; and after, when a vector couldn't be
    written over: the next run goes on. The iterator must be exhausted.
    """
    location = plan.inventory.location
    unfinished = make_state_directory(location.path, RETIRED) / (execution.run + UNFINISHED)
    try:
        kept = yield from _write_down(plan, execution, unfinished)
    except OSError as error:
        raise MaintenanceError(
            f"{about(error, unfinished)}: {error.strerror}; nothing was retired: make room or mend the permissions"
        ) from None
    rows = np.flatnonzero(~kept)
    if not len(rows):
        shutil.rmtree(unfinished)
        return
    directory = unfinished.with_name(execution.run)
    unfinished.rename(directory)
    sync_directory(directory.parent)
    written = zero_rows(plan.inventory, rows, directory)
    mark_retired(location, [directory], written, started())
    for entry in read_manifest(directory / MANIFEST_NAME):
        yield _as_outcome(entry)


def zero_rows(inventory: Inventory, rows: Ints, saved: Path | None = None) -> Mapping[str, FileIdentity]:
    """Write zeros over the vectors of these rows, in each array that has a row a line; what the files are then.

    Only those that hadn't changed since the inventory was made: what the generator saved meanwhile may have brought
    other retired vectors back. With a directory in which the rows' vectors are `saved` (in this order), only what
    equals them is written over.
    """
    written = {}
    for name, info in inventory.whole_arrays().items():
        expected = _iter_saved(saved / name) if saved is not None else None
        zeros = repeat(bytes(info.row_bytes))
        before, after = overwrite_rows(inventory.location.path / name, info, rows, zeros, expected)
        if before == info.identity:
            written[name] = after
    return written


def save_what_was_short(inventory: Inventory) -> None:
    """Save the vectors of retired items from arrays that were short when they were retired, and aren't now.

    An addition that was in flight had still to save them. Before this no zeros may be written over them, nor rows
    dropped. InconsistentIndexError when the generator is just saving one, OSError as it comes.
    """
    retired = inventory.retired
    for number, run in enumerate(load_retired(inventory.location)):
        rows = retired.row[retired.run == number]
        for name, info in inventory.whole_arrays().items():
            if (rows >= 0).any() and not (run.directory / name).exists():
                _save_late(inventory.location, run, info, rows)


def _save_late(location: CacheLocation, run: RetiredRun, info: ArrayInfo, rows: Ints) -> None:
    vectors = [bytes(info.row_bytes)] * sum(1 for _ in read_manifest(run.directory / MANIFEST_NAME))
    order = np.argsort(rows)
    order = order[rows[order] >= 0]
    descriptor = open_regular(location.path / info.name)
    try:
        for place, vector in zip(order.tolist(), read_vectors(descriptor, info, rows[order]), strict=True):
            if len(vector) < info.row_bytes:
                raise InconsistentIndexError(f"{location.path / info.name} became shorter while it was read; try again")
            vectors[run.columns["place"][place]] = vector
    finally:
        os.close(descriptor)
    content = array_header(info, len(vectors)) + b"".join(vectors)
    for directory in (location.state_directory / TRASH / run.run, run.directory):
        if directory.is_dir():
            write_durably(directory / info.name, content)


def mark_retired(
    location: CacheLocation, directories: list[Path], written: Mapping[str, FileIdentity], started: str | None
) -> None:
    """Note, after the zeros are on the disk, what the generator was then: what changes later, came after them.

    An array that has another identity than when it was `written`, or that wasn't, is looked at again.
    """
    note_verified(location, written)
    mark = WriterMark(1, started, _count_rows(location.path / CLAP_AUDIO_NAME))
    for directory in directories:
        # Without it the next run writes the zeros once more, and the files wait from then on.
        write_whole(directory / MARK_NAME, msgspec.json.encode(mark))


def note_verified(location: CacheLocation, arrays: Mapping[str, FileIdentity]) -> None:
    """Note that all retired rows are zero in these arrays, as long as they are as they were then."""
    write_whole(location.state_directory / RETIRED / VERIFIED_NAME, msgspec.json.encode(arrays))


def forget_verified(location: CacheLocation) -> None:
    """Let the next scan read all retired vectors, whatever the arrays look like."""
    path = location.state_directory / RETIRED / VERIFIED_NAME
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def find_rows(inventory: Inventory, run: str, count: int) -> Ints:
    """The row in the index of each of the `count` items in the manifest of a run; -1 for one that isn't retired."""
    rows, retired = np.full(count, -1), inventory.retired
    for number, loaded in enumerate(load_retired(inventory.location)):
        if loaded.run == run:
            rows[loaded.columns["place"]] = retired.row[retired.run == number]
    return rows


def bring_back(inventory: Inventory, directory: Path, rows: Ints, saved: Ints) -> None:
    """Write saved vectors over the zeros of these rows, in place; `saved` says which of those in the directory.

    An interruption leaves rows that aren't zero: the next run retires them once more. InconsistentIndexError when the
    generator wrote meanwhile, so that it may have loaded zeros and still save them: that is such an interruption.
    """
    # Else a scan would take arrays whose time we put back for unchanged, and an item half restored for retired.
    forget_verified(inventory.location)
    files = {name: info.identity for name, info in inventory.index.arrays.items()}
    for name, info in inventory.whole_arrays().items():
        if (directory / name).exists():
            vectors = _iter_saved(directory / name, saved)
            path, zeros = inventory.location.path / name, repeat(bytes(info.row_bytes))
            written = overwrite_rows(path, info, rows, vectors, zeros)
            files[name] = written.after if written.before == info.identity else info.identity
    _check_unchanged(inventory.location.path, {META_NAME: inventory.index.identity, **files})


def _check_unchanged(cache: Path, files: Mapping[str, FileIdentity | None]) -> None:
    for name, identity in files.items():
        path = cache / name
        if identify(path.lstat()) != identity:
            raise InconsistentIndexError(f"{path} was changed meanwhile: the generator adds an item; try again")


def forget_finished(inventory: Inventory) -> None:
    """Let go of the runs of which no row is in the index any more, and no file in its place.

    To be called last: what an inventory says of retired items goes by the runs that were there when it was made.
    """
    state, retired = inventory.location.state_directory, inventory.retired
    left = set(retired.run[(retired.row >= 0) | retired.pending].tolist())
    for number, run in enumerate(retired.runs):
        if number not in left:
            remove_run(state / RETIRED / run)


def clear_unfinished(location: CacheLocation) -> None:
    """Remove what an interruption left unfinished, of retired runs and of those in the trash."""
    state = location.state_directory
    for directory in (*own_subdirectories(state, RETIRED), *own_subdirectories(state, TRASH)):
        if directory.name.endswith(UNFINISHED):
            shutil.rmtree(directory)


def _write_down(plan: Plan, execution: Execution, directory: Path) -> Generator[Outcome, None, Bools]:
    """Write down what goes, flushed; the outcomes of evictions that don't stand. Returns which rows stay."""
    if directory.exists():
        shutil.rmtree(directory)
    location = plan.inventory.location
    make_state_directory(location.path, RETIRED, directory.name)
    kept = yield from write_manifest(plan, directory, execution)
    roots = tuple(os.fsencode(root) for root in location.audio_roots)
    save_note(directory, RunNote(1, execution.run, plan.now, roots, plan.inventory.index.identity.inode))
    save_rows(plan.inventory, np.flatnonzero(~kept), directory)
    sync_directory(directory)
    return kept


def _iter_saved(path: Path, rows: Ints | None = None) -> Iterator[bytes]:
    """The vectors saved in a file, all of them or those of ascending rows."""
    descriptor = open_regular(path)
    try:
        info = read_array_info(path.name, descriptor)
        yield from read_vectors(descriptor, info, np.arange(info.rows) if rows is None else rows)
    finally:
        os.close(descriptor)


def _count_rows(path: Path) -> int | None:
    """The rows of an array; None when it isn't there, or is being written."""
    try:
        descriptor = open_regular(path)
    except OSError:
        return None
    try:
        return read_array_info(path.name, descriptor).rows
    except ValueError:
        return None
    finally:
        os.close(descriptor)


def _as_outcome(entry: ManifestEntry) -> Outcome:
    return Outcome(OutcomeKind.EVICTED, entry.id, entry.row, None, pending_bytes=entry.size if entry.file else None)
