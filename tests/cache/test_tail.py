"""A look that reads only what is new finds what a look at everything finds, or looks at everything."""

from __future__ import annotations

import copy
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from observing import STAMP, bare_cache, sound, states

from audio_cache_daemon.cache import strays
from audio_cache_daemon.cache.scan import Surroundings, scan_cache
from audio_cache_daemon.cache.tail import Tail
from audio_cache_daemon.location import META_NAME, STATE_DIRECTORY
from audio_cache_daemon.model import Inventory, Memory, ScanNeeds

NOBODY = 65534
NEEDS = ScanNeeds(patterns=frozenset(["rain", "^x"]), content=True)
MEMORY = Memory(0, 0, {}, {})


def assert_same(found: object, wanted: object, where: str = "inventory") -> None:
    """Whether two inventories, or parts of them, are equal; the free disk may change meanwhile."""
    if isinstance(wanted, np.ndarray):
        assert isinstance(found, np.ndarray)
        assert found.dtype == wanted.dtype, where
        np.testing.assert_array_equal(found, wanted, where)
    elif isinstance(wanted, msgspec.Struct):
        for name in wanted.__struct_fields__:
            if name not in ("disk_free", "disk_size"):
                assert_same(getattr(found, name), getattr(wanted, name), f"{where}.{name}")
    elif isinstance(wanted, dict):
        assert isinstance(found, dict)
        assert found.keys() == wanted.keys()
        for key in wanted:
            assert_same(found[key], wanted[key], f"{where}[{key}]")
    elif isinstance(wanted, tuple):
        assert isinstance(found, tuple)
        assert len(found) == len(wanted), where
        for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
            assert_same(one, other, f"{where}[{number}]")
    else:
        assert found == wanted, where


class Place:
    """A cache to which things happen, with a tail that is told what a watcher would hear."""

    def __init__(self, directory: Path) -> None:
        self.location = bare_cache(directory)
        self.root = self.location.audio_roots[0]
        self.index = self.location.path / META_NAME
        self.tail = Tail(self.location)
        self.count = 0

    def look(self) -> Inventory:
        """Look with the tail, and compare with a look at everything."""
        found = scan_cache(self.location, NEEDS, Surroundings(memory=MEMORY, tail=self.tail))
        assert_same(found, scan_cache(self.location, NEEDS, Surroundings(memory=MEMORY)))
        return found

    def append(self, path: object, prompt: str = "rain", end: bytes = b"\n") -> None:
        """Add a row."""
        self.count += 1
        row = {"path": str(path), "prompt": prompt, "prompt_norm": prompt, "timestamp": 1.7e9 + self.count}
        with self.index.open("ab") as file:
            file.write(json.dumps(row).encode() + end)

    def add(self, place: str = "") -> Path:
        """Add an item."""
        self.count += 1
        path = self.root / place / f"a{self.count}{STAMP}"
        if path.parent.is_dir() and not path.parent.is_symlink():
            sound(path, b"x" * (self.count % 3))
            self.tail.touch([str(path)], [])
        self.append(path, "rain" if self.count % 2 else "x-ray")
        return path

    def files(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*.wav") if STATE_DIRECTORY not in path.parts)

    def replace_index(self, content: bytes) -> None:
        """As a compaction does: another file under the name."""
        new = self.index.with_name("new")
        new.write_bytes(content)
        new.replace(self.index)


def _change(place: Place, change: Callable[[Path], object]) -> None:
    """Do something to the file in the middle of all, if there is one."""
    files = place.files()
    if files:
        path = files[len(files) // 2]
        change(path)
        place.tail.touch([str(path)], [])


def _replace_by(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        make(path)

    return change


def _rename(place: Place) -> None:
    def rename(path: Path) -> None:
        new = path.with_name(f"r{path.name}")
        path.rename(new)
        place.tail.touch([str(new)], [])

    _change(place, rename)


def _make_orphan(place: Place) -> None:
    files = place.files()
    if files:
        # Of a name that nothing has had, be it a directory that took the place of a file.
        place.count += 1
        place.tail.touch([str(sound(files[0].parent / f"o{place.count}{STAMP}"))], [])


def _make_directory(place: Place) -> None:
    for name in ("one", "one/two"):
        if not (place.root / name).exists():
            (place.root / name).mkdir()
            place.tail.touch([], [str(place.root / name)])


def _remove_directory(place: Place) -> None:
    if (place.root / "one").is_dir():
        places = [str(path) for path in (place.root / "one").rglob("*") if path.is_dir()]
        shutil.rmtree(place.root / "one")
        place.tail.touch([], [*places, str(place.root / "one")])


def _move_directory(place: Place) -> None:
    here, there = place.root / "one", place.root / "other"
    if here.is_dir() and not there.exists():
        here.rename(there)
        place.tail.touch([], [str(here), str(there)])


def _swap_with_outside(place: Place) -> None:
    """A directory moved out makes one event, and one moved in too; none for what is in them."""
    here, outside = place.root / "one", place.root.parent / "outside"
    if here.is_dir() and not outside.exists():
        here.rename(outside)
    elif outside.is_dir() and not here.exists():
        outside.rename(here)
    place.tail.touch([], [str(here)])


def _link_directory(place: Place) -> None:
    if not (place.root / "link").is_symlink():
        (place.root / "link").symlink_to("one")
    place.append(place.root / "link" / f"a1{STAMP}")


def _make_own_files(place: Place) -> None:
    sound(place.root / STATE_DIRECTORY / "trash" / f"a1{STAMP}")


def _drop_first_line(place: Place) -> None:
    place.replace_index(place.index.read_bytes().partition(b"\n")[2])


def _edit_first_line(place: Place) -> None:
    content = place.index.read_bytes()
    if content[:1] == b"{":
        with place.index.open("r+b") as file:
            file.write(content.replace(b"rain", b"wind", 1))


def _cut_index(place: Place) -> None:
    os.truncate(place.index, len(place.index.read_bytes()) * 2 // 3)


def _append_to_index(content: bytes) -> Callable[[Place], None]:
    def append(place: Place) -> None:
        with place.index.open("ab") as file:
            file.write(content)

    return append


def _recreate_root(place: Place) -> None:
    shutil.rmtree(place.root)
    place.root.mkdir()
    place.tail.touch([], [str(place.root)])


def _forget(place: Place) -> None:
    place.tail.forget()


EVENTS: dict[str, Callable[[Place], object]] = {
    "add": Place.add,
    "add in a directory": lambda place: place.add("one"),
    "add deep": lambda place: place.add("one/two"),
    "add without a file": lambda place: place.append(place.root / f"none{STAMP}"),
    "add one that another row names": lambda place: place.append(place.root / f"a1{STAMP}"),
    "begin a line": lambda place: place.append(place.root / f"a1{STAMP}", end=b""),
    "end a line": _append_to_index(b"\n"),
    "add half a line": _append_to_index(b'{"path": "/x/half' + STAMP.encode()),
    "add a line that is no row": _append_to_index(b'{"path": "/x/broken' + STAMP.encode() + b'", \n'),
    "add a foreign key": _append_to_index(b'{"path": "/x.wav", "mood": 1}\n'),
    "add a path elsewhere": lambda place: place.append(f"/elsewhere/e{STAMP}"),
    "rewrite a file": lambda place: _change(place, lambda path: path.is_file() and path.write_bytes(b"longer")),
    "remove a file": lambda place: _change(place, _replace_by(lambda _: None)),
    "put a directory for a file": lambda place: _change(place, _replace_by(Path.mkdir)),
    "put a link for a file": lambda place: _change(place, _replace_by(lambda path: path.symlink_to("/dev/null"))),
    "rename a file": _rename,
    "make an orphan": _make_orphan,
    "make a directory": _make_directory,
    "remove a directory": _remove_directory,
    "move a directory": _move_directory,
    "move a directory out or in": _swap_with_outside,
    "link a directory": _link_directory,
    "make files of our own": _make_own_files,
    "drop the first line": _drop_first_line,
    "edit the first line": _edit_first_line,
    "cut the index": _cut_index,
    "recreate the root": _recreate_root,
    "forget": _forget,
}


@settings(max_examples=120)
@given(
    happenings=st.lists(st.lists(st.sampled_from(sorted(EVENTS)), min_size=1, max_size=4), min_size=1, max_size=6),
    names_kept=st.sampled_from([1, 10_000]),
)
def test_whatever_happens_a_look_finds_what_a_look_at_everything_finds(
    happenings: list[list[str]], names_kept: int
) -> None:
    """After each few things that happened, to the columns' types; whether or not files without a row are many."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(strays, "_NAMES_KEPT", names_kept)
        place = Place(Path(name).resolve())
        place.add()
        place.look()
        for group in happenings:
            for event in group:
                EVENTS[event](place)
            place.look()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A cache of 200 items, of which the index takes more than is compared, looked at once."""
    place = Place(tmp_path)
    for _ in range(200):
        place.add()
    place.look()
    return place


def glance(place: Place) -> Inventory:
    return scan_cache(place.location, NEEDS, Surroundings(memory=MEMORY, tail=place.tail))


def edit(place: Place, offset: int) -> None:
    """Change a digit of a time stamp in the index, from this place on."""
    content = bytearray(place.index.read_bytes())
    place_of_digit = content.index(b".0}", offset) - 1
    content[place_of_digit] = ord("0") + (content[place_of_digit] - ord("0") + 5) % 10
    with place.index.open("r+b") as file:
        file.write(content)


def test_the_index_is_read_on_where_it_ended(place: Place) -> None:
    """What was read isn't read again: so a change in the midst, which the writer never makes, goes unseen."""
    before = glance(place).rows.timestamp
    edit(place, place.index.stat().st_size // 2)
    place.add()
    after = glance(place).rows.timestamp
    assert len(after) == 201
    assert (after[:-1] == before).all()
    place.tail.forget()
    assert (place.look().rows.timestamp[:-1] != before).sum() == 1


@pytest.mark.parametrize("where", ["beginning", "end"])
def test_an_index_with_another_beginning_or_end_is_read_anew(place: Place, where: str) -> None:
    """What was read last, and what comes first, must still be there."""
    edit(place, 0 if where == "beginning" else place.index.stat().st_size - 200)
    place.add()
    place.look()


def test_an_index_that_became_shorter_or_another_file_is_read_anew(place: Place) -> None:
    """Though it begins the same."""
    content = place.index.read_bytes()
    os.truncate(place.index, content.index(b"\n", len(content) // 2) + 1)
    assert len(place.look().rows) < 110
    edit(place, len(content) // 4)
    place.replace_index(place.index.read_bytes())
    place.look()


def test_other_patterns_are_matched_against_all_rows(place: Place) -> None:
    """A reload may ask for what earlier looks didn't."""
    needs = ScanNeeds(patterns=frozenset(["ray$"]))
    found = scan_cache(place.location, needs, Surroundings(tail=place.tail))
    assert_same(found, scan_cache(place.location, needs))


def test_only_what_was_touched_is_looked_at(place: Place) -> None:
    """So a change that nobody told of is found when all is looked at, and a row's new file at once."""
    untold = sound(place.root / f"untold{STAMP}")
    missing = place.files()[0]
    missing.unlink()
    assert len(glance(place).strays) == 0
    assert set(states(glance(place))) == {"ok"}
    named = sound(place.root / f"named{STAMP}")
    place.append(named)
    assert states(glance(place))[-1] == "ok"
    place.tail.touch([str(missing)], [])
    assert states(glance(place)).count("missing") == 1
    sound(missing)
    assert states(glance(place)).count("missing") == 1
    place.tail.touch([str(missing)], [])
    assert "missing" not in states(glance(place))
    place.tail.forget()
    assert place.look().strays.path == (untold.name,)


def test_a_touch_that_isnt_understood_means_a_look_at_everything(place: Place) -> None:
    """A file in a directory of which nobody told."""
    untold = sound(place.root / f"untold{STAMP}")
    told = sound(place.root / "new" / f"told{STAMP}")
    place.tail.touch([str(told)], [])
    assert place.look().strays.path == (f"new/{told.name}", untold.name)


def test_a_root_that_is_another_directory_now_is_listed_anew(place: Place) -> None:
    """As after it was renamed and made anew, or mounted over."""
    place.root.rename(place.root.with_name("old"))
    place.root.mkdir()
    assert set(states(place.look())) == {"missing"}


@contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """Root may list anything."""
    user = os.geteuid()
    os.seteuid(NOBODY if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_directory_that_cant_be_listed_is_tried_again() -> None:
    """A walk with a hole isn't built upon: when it can be listed, no event tells."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        place = Place(Path(name).resolve())
        closed = sound(place.root / "closed" / f"o1{STAMP}").parent
        for mode, count in ((0o000, 0), (0o755, 1)):
            closed.chmod(mode)
            with as_an_ordinary_user():
                assert len(place.look().strays) == count


def test_a_path_that_became_a_link_is_followed_anew(place: Place) -> None:
    """A row whose path is outside the roots may come to mean a file in them, by a link that no event tells of."""
    stray = sound(place.root / f"o1{STAMP}")
    place.tail.touch([str(stray)], [])
    outside = place.root.parent / f"outside{STAMP}"
    place.append(outside)
    assert len(place.look().strays) == 1
    outside.symlink_to(stray)
    assert len(place.look().strays) == 0


def test_paths_elsewhere_and_of_no_sound_are_passed_over(place: Place) -> None:
    """A watcher tells of the index too."""
    place.tail.touch([str(place.index), "/elsewhere/x.wav", str(place.root / "notes.txt")], ["/elsewhere"])
    place.look()


def test_what_was_found_of_another_cache_is_refused(place: Place, tmp_path: Path) -> None:
    """It would be taken for this one's."""
    other = bare_cache(tmp_path / "other")
    with pytest.raises(ValueError, match="is of cache test, not of"):
        scan_cache(other, NEEDS, Surroundings(tail=place.tail))


def test_what_a_look_hands_on_cant_be_changed_by_the_next(place: Place) -> None:
    """Both share columns, which are read-only."""
    rows = glance(place).rows
    with pytest.raises(ValueError, match="read-only"):
        rows.timestamp[0] = 0.0
    before = rows.timestamp.copy()
    place.add()
    glance(place)
    assert (rows.timestamp == before).all()


def test_a_directory_isnt_listed_again_for_files_without_a_row(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their names are known since they were found, or touched."""
    known = [sound(place.root / f"orphan{STAMP}"), sound(place.root / "song.wav")]
    place.tail.forget()
    place.look()
    touched = sound(place.root / f"touched{STAMP}")
    place.tail.touch([str(touched)], [])
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", lambda _: pytest.fail("a directory is listed"))
        assert glance(place).strays.path == (known[0].name, touched.name)
        touched.unlink()
        place.tail.touch([str(touched)], [])
        assert glance(place).strays.path == (known[0].name,)
    place.look()


def test_what_an_earlier_look_found_stays_as_it_was(place: Place) -> None:
    """Of a line that had no end yet, too, when it got one: columns grow in the room that their readers hand on."""
    place.append(place.root / f"torn{STAMP}", end=b"")
    torn = glance(place)
    before = copy.deepcopy(torn)
    with place.index.open("ab") as index:
        index.write(b" \n")
    place.add()
    assert len(place.look().rows) == len(torn.rows) + 1
    assert_same(torn, before)


def test_a_look_that_fails_leaves_the_next_one_as_it_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had read is read once more."""
    place.add()
    with monkeypatch.context() as patch:
        patch.setattr(place.tail, "walk", lambda *_, **__: 1 / 0)
        patch.setattr(place.tail, "keep", lambda *_: None)
        with pytest.raises(ZeroDivisionError):
            glance(place)
    place.add()
    place.look()


def test_without_identities_the_same_is_found(tmp_path: Path) -> None:
    """But for inodes and times, which are held of no file as long as nothing is retired."""
    place = Place(tmp_path)
    needs = ScanNeeds(identities=False)
    for number in range(3):
        place.add()
        found = scan_cache(place.location, needs, Surroundings(tail=place.tail)).rows
        wanted = scan_cache(place.location, ScanNeeds()).rows
        assert not found.inode.any()
        assert not found.mtime_ns.any()
        assert_same(replace(found, inode=wanted.inode, mtime_ns=wanted.mtime_ns), wanted)
        assert len(found) == number + 1
    assert scan_cache(place.location, ScanNeeds(), Surroundings(tail=place.tail)).rows.inode.all()
