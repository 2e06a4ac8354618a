"""Puts an index right after an exchange of its files, whatever a running generator did around it.

The result is the index as if the generator had made all of its additions after the exchange: what it would have left
by itself, less the rows that were dropped. Where nothing has to be moved nothing is done. Else old and new are merged,
which is an exchange of its own, with a journal of its own, in a directory below that of the first; the old files of
both are kept, and the same questions are asked again. Only when nothing is left to be moved does the run go on, and in
its end drops the old files.

An addition in flight looks like one that the generator died in. So what lacks rows, or can be read in two ways, is only
believed when a later run finds all files as an earlier one left them; until then the journal stays open. That goes for
vectors of BGE too, which the generator may have been told not to save.

A crash at any point is recovered by the same function: an exchange that hasn't begun is undone, if the files that it
would replace can be read whole; one that has is completed. There is never a way back to a file that was written to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import Enum

import msgspec
from msgspec.structs import replace

from audio_cache_daemon.errors import DeferredError, InconsistentIndexError
from audio_cache_daemon.eviction.build import build_files
from audio_cache_daemon.eviction.changes import FileChange
from audio_cache_daemon.eviction.directories import create_file, make_state_directory, write_durably
from audio_cache_daemon.eviction.exchange import exchange, settle
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.journal import (
    REWRITE,
    SAVED,
    FileExchange,
    Generation,
    identity_of,
    read_generations,
    rewrite_directory,
    write_journal,
)
from audio_cache_daemon.eviction.reconcile_look import Look, look_again, take_look, undecidable
from audio_cache_daemon.eviction.reconcile_merge import merge_changes
from audio_cache_daemon.eviction.reconcile_reading import Choice, choose_readings, front_is_sound
from audio_cache_daemon.eviction.rewrite import (
    abandon_rewrite,
    check_recovered,
    check_unchanged,
    drop_directory,
    exchange_index,
    finish_rewrite,
    flush_exchange,
    prepare_changes,
    read_whole,
)
from audio_cache_daemon.location import BGE_TEXT_NAME, CLAP_TEXT_NAME, CacheLocation
from audio_cache_daemon.manifest import MANIFEST_NAME
from audio_cache_daemon.model import FileIdentity
from audio_cache_daemon.own_files import decode_own

_STEPS = 10
"""How often the files are looked at, or merged, before it is left to a later run."""

_PAUSE_SECONDS = 0.25
_LOOK_NAME = "looked.json"


class _Step(Enum):
    """What came of one look."""

    HELD = 1
    UNDONE = 2
    WENT_ON = 3
    WAITS = 4


def wait_a_little() -> None:
    """Give an addition in flight the time to end."""
    time.sleep(_PAUSE_SECONDS)


def rewrite_index(
    location: CacheLocation,
    changes: Sequence[FileChange],
    execution: Execution,
    pause: Callable[[], None] = wait_a_little,
) -> None:
    """Change the index as one transaction, reconciled, of a run that takes no files away. Under the lock, recovered.

    One change for each index file that is there. Errors as of `prepare_changes` and `exchange_index`: nothing was
    changed then; and as of `reconcile`.
    """
    check_recovered(location)
    try:
        # Recovery reads a manifest of files that go with a rewrite; with this one none does.
        create_file(make_state_directory(location.path, REWRITE, SAVED) / MANIFEST_NAME).close()
        journal = prepare_changes(location, changes, execution)
    except BaseException:
        abandon_rewrite(location)
        raise
    exchange_index(location, journal)
    reconcile(location, pause)
    finish_rewrite(location)


def reconcile(location: CacheLocation, pause: Callable[[], None] = wait_a_little) -> bool:
    """Complete an exchange that was begun, and merge what a generator wrote around it. Harmless to repeat.

    False when nothing had been exchanged: then the new files may be dropped. True when the new index holds: then the
    old files may be; not before either is `finish_rewrite` to be called. `pause` waits between two looks where one
    doesn't suffice. DeferredError when an addition is in flight, or the generator may have died in one: a later call
    goes on. InconsistentIndexError when it can't be decided what belongs where; both generations stay.
    """
    seen = _Seen(location)
    for _ in range(_STEPS):
        step = _go_on(location, seen)
        if step in (_Step.HELD, _Step.UNDONE):
            return step == _Step.HELD
        if step == _Step.WAITS:
            pause()
    seen.save()
    raise DeferredError(
        f"{location.path}: the generator is adding an item to the index, or died in it; the old index is kept in "
        f"{rewrite_directory(location)}, and the next run goes on from there"
    )


class _Seen:
    """What the looks before found: an earlier run's last one, and this run's."""

    def __init__(self, location: CacheLocation) -> None:
        self._path = rewrite_directory(location) / _LOOK_NAME
        self._before = self._load()
        self._last: frozenset[FileIdentity] | None = None

    def note(self, identities: frozenset[FileIdentity]) -> tuple[bool, bool]:
        """Take a look down; whether an earlier run's last one, and this run's, found the same."""
        same = identities == self._before, identities == self._last
        self._last = identities
        return same

    def save(self) -> None:
        """Leave the last look to the next run."""
        if self._last is not None:
            write_durably(self._path, msgspec.json.encode(self._last))

    def _load(self) -> frozenset[FileIdentity] | None:
        try:
            return decode_own(self._path.read_bytes(), frozenset[FileIdentity])
        except (OSError, ValueError):
            return None


def _go_on(location: CacheLocation, seen: _Seen) -> _Step:
    """Look once, and do what follows from it."""
    generations = read_generations(location)
    if not generations or not generations[-1].journal.files:
        return _Step.HELD
    last = generations[-1]
    for file in last.journal.files:
        settle(last.directory / file.name)
    pending = last.pending()
    if pending:
        return _complete(location, generations, pending, seen)
    look = take_look(location, generations)
    from_before, twice = seen.note(look.identities)
    choice = choose_readings(look, look.count_lines())
    if look.is_untouched() and choice.is_plain():
        return _Step.HELD if twice or not _may_be_loaded(look) else _Step.WAITS
    if not (from_before or _is_at_rest(look, choice)):
        return _Step.WAITS
    try:
        _merge(location, generations, look, choice)
    except InconsistentIndexError:
        # What was read while it was being written says nothing.
        if look_again(location, generations) == look.identities:
            raise
    return _Step.WENT_ON


def _complete(
    location: CacheLocation, generations: Sequence[Generation], pending: Sequence[FileExchange], seen: _Seen
) -> _Step:
    """Go on with an exchange that was interrupted, or back, if it had not begun.

    When a file that it would replace is torn, ours is the only one to be had: forward, once it is sure that nobody is
    just saving it.
    """
    last = generations[-1]
    if len(pending) == len(last.journal.files):
        if read_whole(location, last.journal):
            if len(generations) == 1:
                return _Step.UNDONE
            drop_directory(last.directory)
            return _Step.WENT_ON
        from_before, _ = seen.note(look_again(location, generations))
        if not from_before:
            return _Step.WAITS
    for file in pending:
        found = identity_of(location.path / file.name)
        if found is None or found.inode != file.old.inode:
            raise undecidable(generations, f"{location.path / file.name} was replaced by another file")
    _exchange(location, last, pending)
    return _Step.WENT_ON


def _exchange(location: CacheLocation, generation: Generation, files: Sequence[FileExchange]) -> None:
    """Exchange files, in the order of the journal, and flush that."""
    for file in files:
        exchange(generation.directory / file.name, location.path / file.name)
    flush_exchange(location, generation.directory)


def _may_be_loaded(look: Look) -> bool:
    """Whether an addition could have been about to save an array since before the exchange, without a sign of it.

    One that is to save any but the last array has left an array without its row; the last may be short for long.
    """
    text, bge = look.arrays.get(CLAP_TEXT_NAME), look.arrays.get(BGE_TEXT_NAME)
    return text is not None and bge is not None and bge.file.old_rows < text.file.old_rows


def _is_at_rest(look: Look, choice: Choice) -> bool:
    """Whether no addition is in flight: each line is whole, and has its row in each array."""
    if any(file.is_torn or file.is_lost for file in look.arrays.values()):
        return False
    if choice.is_contradicted or choice.is_ambiguous:
        return False
    return not any(look.open_ends()) and all(choice.is_complete(name) for name in look.arrays)


def _merge(location: CacheLocation, generations: Sequence[Generation], look: Look, choice: Choice) -> None:
    """Prepare and make one more exchange, unless a file changed meanwhile: then what is prepared is dropped."""
    changes = merge_changes(look, choice)
    _check(generations, look, choice)
    if changes is None:
        raise undecidable(generations, "an array is torn in both generations")
    number = len(generations)
    drop_directory(rewrite_directory(location, number))
    directory = make_state_directory(location.path, REWRITE, rewrite_directory(location, number).name)
    try:
        files = tuple(
            replace(file, merged=look.copies(file.name)) for file in build_files(directory, location.path, changes)
        )
        journal = replace(generations[0].journal, files=files)
        write_journal(directory, journal)
        check_unchanged(location, {file.name: file.old for file in files})
    except InconsistentIndexError:
        # It changed meanwhile. Whether what was made is still needed the next look tells: see _complete.
        if not read_generations(location)[number:]:
            drop_directory(directory)
        return
    if look_again(location, generations) == look.identities:
        _exchange(location, Generation(directory, journal), files)


def _check(generations: Sequence[Generation], look: Look, choice: Choice) -> None:
    """InconsistentIndexError when it isn't certain what belongs where."""
    arrays = {name: found for name, found in look.arrays.items() if name != BGE_TEXT_NAME}
    for name, found in arrays.items():
        if not found.is_torn and choice.readings.get(name) is None:
            raise undecidable(generations, f"the rows at the end of {name} can't be told apart")
    complete = all(choice.is_complete(name) for name in arrays)
    if choice.is_contradicted and complete:
        raise undecidable(generations, "the vectors of added rows don't give their scores")
    if any(look.open_ends()[:-1]):
        raise undecidable(generations, "a line that was added is torn, and others follow it")
    for name, reading in choice.readings.items():
        if reading is not None and not front_is_sound(look, name, reading):
            raise undecidable(generations, f"rows of {name} that were to stay have other vectors now")
