"""What a generator writes around an exchange of the index ends up where it belongs, one situation at a time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from exchanges import (
    BGE,
    Case,
    Content,
    changes_to_drop,
    exchanges,
    expected_content,
    leave_open,
    make_cache,
    prepare,
    read_content,
    reconcile_now,
    tear,
)

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.errors import DeferredError, InconsistentIndexError, MaintenanceError
from audio_cache_daemon.eviction.changes import Addition, FileChange, Kept, Zeros
from audio_cache_daemon.eviction.exchange import exchange
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.journal import REWRITE, Journal
from audio_cache_daemon.eviction.reconcile import reconcile, rewrite_index
from audio_cache_daemon.eviction.recovery import recover
from audio_cache_daemon.eviction.rewrite import abandon_rewrite, prepare_rewrite
from audio_cache_daemon.formats import identify, read_array_info
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.manifest import ROWS_NAME
from audio_cache_daemon.model import ScanNeeds
from generator import ARRAYS, META, Generator, NewItem

TEXT, AUDIO = ARRAYS[:2]
PLAIN = Case()


def never() -> None:
    """Instead of a pause where none is needed."""
    pytest.fail("nothing was in flight, so nothing had to be waited for")


def at_once() -> None:
    """Instead of a pause: no time passes."""


class World:
    """A cache in the middle of an exchange, and a generator that goes on with its additions when it is told."""

    def __init__(self, directory: Path, case: Case = PLAIN) -> None:
        self.case = case
        self.location = make_cache(directory, case)
        self.cache = self.location.path
        self.generator = Generator(self.cache)
        self.journal = prepare(self.location, case)
        self._exchanging = exchanges(self.location, self.journal)
        self.added: list[NewItem] = []
        self.begin()

    @property
    def rewrite(self) -> Path:
        return self.location.state_directory / REWRITE

    def begin(self) -> None:
        """The next addition is another item's."""
        self.added.append(self.case.new(len(self.added)))
        self._steps = self.generator.additions(self.added[-1])

    def exchange(self, count: int = 4) -> None:
        """Exchange so many files more."""
        for _ in range(count):
            next(self._exchanging)

    def write_until(self, step: str) -> None:
        """Go on with the addition until this step is done."""
        assert step in self._steps, "the addition never comes to this step"

    def die(self) -> None:
        """The generator is killed: to let go of its steps leaves the files as they are."""
        self._steps.close()

    def expected(self) -> Content:
        return expected_content(self.case, tuple(self.added))

    def check(self) -> None:
        """The index holds what was kept and what was added, each with its own vectors, and nothing is open."""
        assert read_content(self.cache) == self.expected()
        assert not leave_open(self.location)


def test_without_a_generator_nothing_is_read_nor_written(directory: Path) -> None:
    """Identities say it all: the files that were exchanged stay as they are, and there is no second exchange."""
    world = World(directory)
    world.exchange()
    before = {name: (world.cache / name).stat() for name in PLAIN.names}
    assert reconcile(world.location, never)
    assert {name: (world.cache / name).stat() for name in PLAIN.names} == before
    assert not list(world.rewrite.glob("merge-*"))


def test_additions_after_the_exchange_need_no_repair(directory: Path) -> None:
    """Also one that is in flight: it has nothing of the old files."""
    world = World(directory)
    world.exchange()
    world.write_until("reload")
    world.begin()
    world.write_until(f"truncate {AUDIO}")
    world.write_until(f"save {AUDIO}")
    assert reconcile(world.location, never)
    assert not list(world.rewrite.glob("merge-*"))
    world.write_until("reload")
    assert reconcile_now(world.location)
    world.check()


@pytest.mark.parametrize("straddled", ARRAYS)
@pytest.mark.parametrize(
    "case",
    [
        PLAIN,
        Case(dropped=frozenset({3})),
        Case(dropped=frozenset({3}), is_zeroed=True),
        Case(dropped=frozenset({3}), twin=3),
        Case(dropped=frozenset({2, 3}), is_zeroed=True, qualities=(None,)),
        Case(dropped=frozenset(range(4))),
        Case(bge=2),
        Case(bge=3),
    ],
    ids=["middle", "end", "retired", "twin", "unreadable", "all", "short", "one_short"],
)
def test_an_array_loaded_before_and_saved_after_its_exchange_has_the_old_rows_in_front(
    directory: Path, straddled: str, case: Case
) -> None:
    """Whichever array it is, and whatever was dropped: they go again, and the added item has its vectors."""
    world = World(directory, case)
    world.write_until(f"load {straddled}")
    world.exchange()
    world.write_until("reload")
    assert len(np.load(world.cache / straddled)) > len(case.kept()) + 1 or case.bge < case.items
    assert reconcile_now(world.location)
    world.check()


def test_an_addition_in_flight_is_waited_for(directory: Path) -> None:
    """It ends between two looks: then the index is put right at once."""
    world = World(directory)
    world.write_until(f"load {AUDIO}")
    world.exchange()
    assert reconcile(world.location, lambda: world.write_until("reload"))
    assert read_content(world.cache) == world.expected()


def test_an_addition_that_takes_longer_leaves_it_to_the_next_run(directory: Path) -> None:
    """DeferredError: both generations stay, and the files are as the generator needs them."""
    world = World(directory)
    world.write_until(f"load {AUDIO}")
    world.exchange()
    assert not reconcile_now(world.location)
    assert leave_open(world.location)
    world.write_until("reload")
    assert reconcile_now(world.location)
    world.check()


@pytest.mark.parametrize(
    ("last", "lacking"),
    [
        (f"append {META}", ARRAYS),
        (f"load {TEXT}", ARRAYS),
        (f"save {TEXT}", ARRAYS[1:]),
        (f"save {AUDIO}", ARRAYS[2:]),
    ],
)
def test_a_generator_that_died_leaves_its_last_line_without_vectors(
    directory: Path, last: str, lacking: tuple[str, ...]
) -> None:
    """As it would have left it without us; believed only when a second run finds nothing changed."""
    world = World(directory)
    world.write_until("reload")
    world.begin()
    world.write_until(last)
    world.die()
    world.exchange()
    assert not reconcile_now(world.location)
    assert reconcile_now(world.location)
    found, expected = read_content(world.cache), world.expected()
    assert found.lines == expected.lines
    for name in ARRAYS:
        assert found.rows[name] == (expected.rows[name][:-1] if name in lacking else expected.rows[name])


@pytest.mark.parametrize("torn", ARRAYS)
@pytest.mark.parametrize("exchanged", [0, 4])
def test_of_a_torn_array_our_copy_is_kept(directory: Path, torn: str, exchanged: int) -> None:
    """The generator was killed while it saved, before the exchange or after: only the last row lacks."""
    world = World(directory)
    world.exchange(exchanged)
    world.write_until(f"save {torn}")
    world.die()
    tear(world.cache / torn)
    if exchanged == 0:
        abandon_rewrite(world.location)
    assert not reconcile_now(world.location)
    assert reconcile_now(world.location)
    found, expected = read_content(world.cache), world.expected()
    assert found.lines == expected.lines
    assert found.rows[torn] == expected.rows[torn][:-1]


def test_what_a_torn_array_lost_of_earlier_additions_is_zeros(directory: Path) -> None:
    """So that the rows behind, and the other arrays, have their own lines still."""
    world = World(directory)
    world.exchange()
    world.write_until("reload")
    world.begin()
    world.write_until(f"truncate {AUDIO}")
    world.die()
    assert not reconcile_now(world.location)
    assert reconcile_now(world.location)
    found, expected = read_content(world.cache), world.expected()
    assert found.lines == expected.lines
    assert found.rows[TEXT] == expected.rows[TEXT]
    assert found.rows[AUDIO] == (*expected.rows[AUDIO][:-2], bytes(len(expected.rows[AUDIO][0])))


def test_new_files_are_kept_while_an_original_is_torn(directory: Path) -> None:
    """The exchange is given up because a file changed: ours stay until that can be read whole."""
    location = make_cache(directory, PLAIN)
    prepare(location, PLAIN)
    steps = Generator(location.path).additions(PLAIN.new(0))
    assert f"truncate {BGE}" in steps
    abandon_rewrite(location)
    assert leave_open(location)
    with pytest.raises(DeferredError):
        recover(location, at_once)
    assert list(steps)
    recovery = recover(location, at_once)
    assert recovery is not None
    assert "undone" in recovery.message
    assert len(read_content(location.path).lines) == 5
    assert not leave_open(location)


def test_a_prepared_exchange_that_finds_a_file_changed_is_dropped(directory: Path) -> None:
    """All originals can be read whole, so ours are needed no more, and the addition is untouched."""
    location = make_cache(directory, PLAIN)
    changes = list(changes_to_drop(location, PLAIN))
    Generator(location.path).add(PLAIN.new(0))
    with pytest.raises(InconsistentIndexError, match="changed while"):
        rewrite_index(location, changes, Execution("run-1"), at_once)
    assert not leave_open(location)
    assert len(read_content(location.path).lines) == 5


@pytest.mark.parametrize("exchanged", [1, 2, 3])
def test_an_exchange_that_was_interrupted_is_completed_whatever_was_written_since(
    directory: Path, exchanged: int
) -> None:
    """The generator started on half of it, and added two items."""
    world = World(directory)
    world.exchange(exchanged)
    world.write_until("reload")
    world.begin()
    world.write_until("reload")
    assert recover(world.location, never) is not None
    world.check()


@pytest.mark.parametrize("has_bge", [True, False])
def test_vectors_that_the_generator_was_told_not_to_save_do_not_block(directory: Path, *, has_bge: bool) -> None:
    """BGE is off: the next run, that finds no more of it, leaves it short. An array that isn't there isn't missed."""
    world = World(directory, PLAIN if has_bge else Case(bge=-1))
    generator = Generator(world.cache, has_bge=False)
    steps = generator.additions(world.added[0])
    assert f"load {TEXT}" in steps
    world.exchange(len(world.journal.files))
    assert list(steps)
    assert reconcile_now(world.location) == (not has_bge)
    assert reconcile_now(world.location)
    found, expected = read_content(world.cache), world.expected()
    assert found.lines == expected.lines
    for name in ARRAYS[:2]:
        assert found.rows[name] == expected.rows[name]
    if has_bge:
        assert found.rows[BGE] == expected.rows[BGE][:-1]


def test_a_short_array_is_kept_for_good_when_all_held(directory: Path) -> None:
    """With what was saved to it meanwhile: nobody asked for its removal."""
    world = World(directory, Case(bge=2))
    world.write_until(f"load {TEXT}")
    world.exchange()
    world.write_until("reload")
    assert reconcile_now(world.location)
    world.check()
    (kept,) = world.location.state_directory.glob("bge_text-*.npy")
    assert len(np.load(kept)) == 2


def prepare_restoration(location: CacheLocation, directory: Path, back: NewItem) -> Journal:
    """Prepare the exchange that brings an item back whose row and vectors are saved in a directory."""
    directory.mkdir()
    (directory / ROWS_NAME).write_bytes(back.line())
    for name, vector in zip(ARRAYS, back.vectors(), strict=True):
        np.save(directory / name, vector[None])
    inventory = scan_cache(location, ScanNeeds())
    added = Addition(directory, np.array([0, len(back.line())], np.int64), np.array([0], np.int64))
    return prepare_rewrite(inventory, np.ones(len(inventory.rows), np.bool_), Execution("run-1"), added)


@pytest.mark.parametrize("straddled", ARRAYS)
@pytest.mark.parametrize("is_twin", [False, True])
def test_rows_that_come_back_while_an_item_is_added_come_before_it(
    directory: Path, straddled: str, *, is_twin: bool
) -> None:
    """A restoration: old, then restored, then added, though one array has the old rows without them in front.

    Also when the added item has the prompt, and so the texts' vectors, of the restored one.
    """
    case = Case(dropped=frozenset(), twin=3 if is_twin else None)
    location, back = make_cache(directory, case), NewItem("old 3" if is_twin else "back", 50)
    journal = prepare_restoration(location, directory / "saved", back)
    new, generator = case.new(0), Generator(location.path)
    steps = generator.additions(new)
    assert f"load {straddled}" in steps
    assert list(exchanges(location, journal))
    assert list(steps)
    # What was saved is no longer needed: the journal has its own copy.
    shutil.rmtree(directory / "saved")
    assert reconcile_now(location)
    assert read_content(location.path) == expected_content(case, (back, new))


def test_what_was_restarted_after_a_death_is_left_as_it_would_be_without_us(directory: Path) -> None:
    """The line of the addition that it died in has no vectors, and the next line's follow: no row is invented."""
    world = World(directory)
    world.write_until(f"append {META}")
    world.die()
    world.exchange(2)
    world.generator.start()
    world.begin()
    world.write_until("reload")
    world.exchange(2)
    assert not reconcile_now(world.location)
    assert reconcile_now(world.location)
    found, expected = read_content(world.cache), world.expected()
    assert found.lines == expected.lines
    for name in ARRAYS:
        assert found.rows[name] == (*expected.rows[name][:-2], expected.rows[name][-1])


def test_two_additions_after_each_other_keep_their_order(directory: Path) -> None:
    """The first went to the old files, the second straddles the exchange, the third found the new ones."""
    world = World(directory)
    world.write_until("reload")
    world.begin()
    world.write_until(f"load {TEXT}")
    world.exchange()
    world.write_until("reload")
    world.begin()
    world.write_until("reload")
    assert reconcile_now(world.location)
    world.check()


def test_an_addition_around_the_repair_is_repaired_too(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repair is an exchange, and may be straddled like any: here it is killed between two of its own."""
    world = World(directory)
    world.write_until(f"load {TEXT}")
    world.exchange()
    world.write_until("reload")
    world.begin()
    monkeypatch.setattr("audio_cache_daemon.eviction.reconcile.exchange", interrupt_after(world, f"load {AUDIO}"))
    with pytest.raises(KeyboardInterrupt):
        reconcile(world.location, never)
    monkeypatch.undo()
    assert list(world.rewrite.glob("merge-1/journal.json"))
    world.write_until("reload")
    assert reconcile_now(world.location)
    world.check()


def interrupt_after(world: World, step: str) -> Callable[[Path, Path], None]:
    """The second exchange doesn't come to be: instead the generator goes on to a step, and we are killed."""
    done: list[Path] = []

    def exchange_once(ours: Path, theirs: Path) -> None:
        if done:
            world.write_until(step)
            raise KeyboardInterrupt
        done.append(ours)
        exchange(ours, theirs)

    return exchange_once


def test_what_contradicts_its_score_blocks(directory: Path) -> None:
    """All counts agree, but the added rows' vectors are another's: nothing is guessed, and both generations stay."""
    world = World(directory)
    world.write_until(f"save {TEXT}")
    world.exchange()
    world.write_until("reload")
    old = world.rewrite / TEXT
    rows = np.load(old)
    rows[-1] = rows[0]
    with old.open("r+b") as file:
        np.save(file, rows)
    for _ in range(2):
        with pytest.raises((InconsistentIndexError, DeferredError)) as caught:
            reconcile(world.location, at_once)
    assert isinstance(caught.value, InconsistentIndexError)
    assert str(world.rewrite) in str(caught.value)
    assert all((world.rewrite / name).exists() for name in PLAIN.names)


def test_rows_that_were_to_stay_and_have_other_vectors_block(directory: Path) -> None:
    """Somebody rewrote the new array meanwhile: a repair would make that last."""
    world = World(directory)
    world.write_until(f"load {AUDIO}")
    world.exchange()
    world.write_until("reload")
    path = world.cache / AUDIO
    rows = np.load(path)
    rows[-2] = 0
    with path.open("r+b") as file:
        np.save(file, rows)
    with pytest.raises(InconsistentIndexError, match="other vectors"):
        reconcile(world.location, at_once)


@pytest.mark.parametrize("name", [META, TEXT])
def test_a_file_that_was_replaced_blocks(directory: Path, name: str) -> None:
    """A restored backup, an editor: it is neither the new file nor the old one."""
    world = World(directory)
    world.exchange(3)
    other = world.cache / "other"
    shutil.copy(world.cache / name, other)
    other.replace(world.cache / name)
    with pytest.raises(InconsistentIndexError, match=name.replace(".", r"\.")):
        reconcile(world.location, at_once)


def test_a_second_transaction_waits_for_the_first(directory: Path) -> None:
    """An open journal is recovered first, never overwritten."""
    world = World(directory)
    world.exchange()
    with pytest.raises(MaintenanceError, match="recovered first"):
        rewrite_index(world.location, [], Execution("run-2"), never)
    assert recover(world.location, never) is not None


def test_files_can_lose_different_rows_and_get_zeros(directory: Path) -> None:
    """As a repair needs it: a blank line goes from the lines alone, a lacking row becomes zeros in one array."""
    case = Case(bge=2)
    location = make_cache(directory, case)
    meta = location.path / META
    lines = [item.line() for item in case.old()]
    meta.write_bytes(b"".join([*lines[:2], b"\n", *lines[2:]]))
    ends = np.cumsum([0, *map(len, lines[:2])], dtype=np.int64)
    size = meta.stat().st_size
    keep_lines = Kept(np.array([0, ends[2] + 1], np.int64), np.array([ends[2], size], np.int64))
    changes = [FileChange(META, identify(meta.stat()), (keep_lines,))]
    for name in ARRAYS:
        with (location.path / name).open("rb") as file:
            info = read_array_info(name, file.fileno())
        kept = Kept(np.array([0], np.int64), np.array([info.rows], np.int64))
        changes.append(FileChange(name, info.identity, (kept, Zeros(4 - info.rows)), info))
    rewrite_index(location, changes, Execution("run-1"), at_once)
    found = read_content(location.path)
    assert found.lines == tuple(lines)
    assert found.rows[BGE][2:] == (bytes(24), bytes(24))
    assert not leave_open(location)
