"""What must hold of a cache in a soak, whenever nobody is at work in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from soak_generator import Place, check_index

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.eviction.repair import REPAIRS
from audio_cache_daemon.location import ARRAY_NAMES, BGE_TEXT_NAME, CLAP_AUDIO_NAME, META_NAME, STATE_DIRECTORY
from audio_cache_daemon.manifest import RETIRED, ROWS_NAME, TRASH
from audio_cache_daemon.model import ItemState, Problem, ScanNeeds
from audio_cache_daemon.reporting.audit_reader import read_records
from audio_cache_daemon.reporting.audit_record import Record, log_files
from audio_cache_daemon.retired import load_retired
from live_generator import StartError, embed, sound

_DID_NOT_HAPPEN = frozenset({"skipped", "failed"})


@dataclass
class Evictions:
    """What the audit log says: by path which run took an item, or meant to; and which runs left the trash."""

    runs: dict[str, str] = field(default_factory=dict)
    for_good: set[str] = field(default_factory=set)
    recoveries: int = 0
    _announced: dict[str, str] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        item = record.item
        if record.event == "run_started":
            self._announced.clear()
        elif record.event == "recovered":
            self.recoveries += 1
        elif record.event == "trash_emptied" and record.detail is not None:
            self.for_good.add(str(record.detail["run"]))
        elif item is not None and item.id is not None:
            if record.event in _DID_NOT_HAPPEN:
                self.runs.pop(self._announced.get(item.id, ""), None)
            elif record.rule is not None and item.path is not None:
                assert record.rule != "drop" or (item.prompt or "").startswith("drop"), record
                self.runs[item.path] = record.run or ""
                self._announced[item.id] = item.path


def read_evictions(log: Path) -> Evictions:
    found = Evictions()
    for record in read_records(log_files(log)):
        assert not isinstance(record, Problem), record
        found.take(record)
    return found


def added_items(place: Place) -> dict[str, tuple[bytes, str]]:
    """By path the line and the prompt of each item that the generator said it has added."""
    lines = place.added.read_bytes().splitlines(keepends=True) if place.added.exists() else []
    rows = [(line, json.loads(line)) for line in lines if line.endswith(b"\n")]
    return {row["path"]: (line, row["prompt"]) for line, row in rows}


@dataclass(frozen=True)
class Kept:
    """What a check found, in numbers."""

    added: int
    rows: int
    whole: int
    retired: int
    evicted: int
    for_good: int
    recoveries: int


def check_promise(place: Place, log: Path) -> Kept:
    """Nothing that was added is lost, unless the audit log says that it went; each row has its own vectors and file."""
    evictions, added = read_evictions(log), added_items(place)
    there, saved, sounds = check_rows(place), _saved_lines(place), _sounds(place)
    for path, (line, prompt) in added.items():
        run = evictions.runs.get(path)
        if path in there:
            assert there[path][0] == line, f"the line has changed: {line!r}"
        else:
            assert run is not None, f"lost: {line!r}"
            assert run in evictions.for_good or (line in saved and sound(prompt, 0) in sounds), (
                f"lost by {run}: {line!r}"
            )
    retired = sum(is_retired for _, is_retired in there.values())
    for_good = sum(run in evictions.for_good for run in evictions.runs.values())
    gone = len(evictions.runs.keys() - {path for path, (_, is_retired) in there.items() if not is_retired})
    return Kept(len(added), len(there), len(there) - retired, retired, gone, for_good, evictions.recoveries)


def _saved_lines(place: Place) -> set[bytes]:
    """The lines that can be brought back."""
    state = place.location.state_directory
    return {
        line
        for parent in (RETIRED, TRASH)
        for path in state.glob(f"{parent}/*/{ROWS_NAME}")
        for line in path.read_bytes().splitlines(keepends=True)
    }


def check_rows(place: Place) -> dict[str, tuple[bytes, bool]]:
    """By path the lines of the index, and whether they are retired; each has its own vectors, or zeros if it is.

    Where the last array lacked a row, which a compaction or a repair mended, items may have zeros in it: if the array
    as it was is kept, and has their vectors, but for the one that was being added when the generator was killed.
    """
    location, texts = place.location, _kept_texts(place)
    unsaved = 0
    lines = (location.path / META_NAME).read_bytes().splitlines(keepends=True)
    arrays = {name: np.load(location.path / name) for name in ARRAY_NAMES}
    assert {name: len(array) for name, array in arrays.items()} == dict.fromkeys(ARRAY_NAMES, len(lines))
    states = scan_cache(location, ScanNeeds()).rows.state.tolist()
    there = {}
    for number, (line, state) in enumerate(zip(lines, states, strict=True)):
        row = json.loads(line)
        is_retired = state == ItemState.RETIRED
        own = embed.__wrapped__(row["prompt"], 0)
        for name, array in arrays.items():
            # What was retired while an addition was in flight keeps what was short then; without its sound it's no hit.
            is_zero, is_own = not array[number].any(), array[number].tobytes() == own[name].tobytes()
            is_right = is_zero or (is_own and name != CLAP_AUDIO_NAME) if is_retired else is_own
            if is_zero and name == BGE_TEXT_NAME and not is_retired:
                unsaved += not any(own[name].tobytes() in rows for rows in texts)
                continue
            assert is_right, f"{name}, {number}, {is_zero=}, {is_own=}, {is_retired=}: {line!r}"
        if not is_retired:
            assert Path(row["path"]).read_bytes() == sound(row["prompt"], 0), line
        there[row["path"]] = (line, is_retired)
    assert len(there) == len(lines)
    assert unsaved <= len(texts), f"{unsaved} vectors are nowhere, and {len(texts)} arrays lacked one"
    return there


def _kept_texts(place: Place) -> list[set[bytes]]:
    """The rows of each array that lacked some, as a compaction or a repair kept it."""
    state = place.location.state_directory
    kept = (*state.glob("bge_text-*.npy"), *state.glob(f"{REPAIRS}/*/{BGE_TEXT_NAME}"))
    return [{row.tobytes() for row in np.load(path)} for path in kept]


def _sounds(place: Place) -> set[bytes]:
    """The contents of all audio files, in their places and in the trash."""
    output = place.location.audio_roots[0]
    files = [*output.glob("*.wav"), *(output / STATE_DIRECTORY / TRASH).glob("*/*.wav")]
    return {path.read_bytes() for path in files}


def index_is_whole(place: Place) -> bool:
    """Whether a generator can start; else it died while it saved an array, which nobody but it can make anew."""
    try:
        check_index(place.location)
    except StartError:
        return False
    return True


def write_arrays(place: Place) -> None:
    """Make the arrays anew from the lines, with zeros for what is retired: what the generator's people would do."""
    path = place.location.path
    retired = {line + b"\n" for run in load_retired(place.location) for _, line in run.items()}
    lines = (path / META_NAME).read_bytes().splitlines(keepends=True)
    vectors = [embed.__wrapped__(json.loads(line)["prompt"], 0) for line in lines]
    for name in ARRAY_NAMES:
        zero = np.zeros_like(vectors[0][name])
        rows = [zero if line in retired else own[name] for line, own in zip(lines, vectors, strict=True)]
        np.save(path / name, np.array(rows, np.float32))
