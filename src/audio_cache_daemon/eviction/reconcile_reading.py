"""Which rows of an array are whose, after an exchange around which the generator was adding items.

An addition loads each array whole, and saves it whole. What it loaded before the exchange and saves afterwards has
the old rows in front, on the new file. That is told by content, at the row at which old and new first differ. Where
all that was dropped stood at the end, rows behind could be either's; what decides then is the order of writing
(the exchange goes against the generator's, so that an addition straddles the exchange of one array at most), the count
of lines, and the score, which is the product of a row's two CLAP vectors.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from audio_cache_daemon.eviction.build import added_name
from audio_cache_daemon.eviction.journal import FileExchange, Generation, Source
from audio_cache_daemon.eviction.ranges import same_bytes
from audio_cache_daemon.eviction.reconcile_look import FileLook, Look, Stretch, iter_lines, iter_rows
from audio_cache_daemon.formats import decode_row, qualities, read_array_info
from audio_cache_daemon.location import ARRAY_NAMES, BGE_TEXT_NAME, CLAP_AUDIO_NAME, CLAP_TEXT_NAME
from audio_cache_daemon.model import ArrayInfo
from audio_cache_daemon.paths import open_regular

_TOLERANCE = 1e-3
"""How far the product of a row's two CLAP vectors may be from its score: float32, and scores rounded on saving."""


class Reading(msgspec.Struct, frozen=True):
    """One way to read an array: which rows stand in front in it, and which rows were appended, in their order."""

    has_old_in_front: bool
    tail: tuple[Stretch, ...]

    @property
    def count(self) -> int:
        return sum(map(len, self.tail))


class Choice(msgspec.Struct, frozen=True):
    """The readings that hold, by array; None for one that can't be decided. `lines` were appended to `meta.jsonl`.

    `is_contradicted`: by no reading do the appended rows have their scores. `is_ambiguous`: by others they have them
    too, as rows of one prompt may, and what is a whole addition by these readings may be in flight by those.
    """

    lines: int
    readings: dict[str, Reading | None]
    is_contradicted: bool = False
    is_ambiguous: bool = False

    def is_complete(self, name: str) -> bool:
        """Whether each line has its row in an array."""
        reading = self.readings.get(name)
        return name not in self.readings or (reading is not None and reading.count == self.lines)

    def is_plain(self) -> bool:
        """Whether all arrays are as we made them, in front."""
        return all(reading is not None and not reading.has_old_in_front for reading in self.readings.values())


def choose_readings(look: Look, lines: int) -> Choice:
    """How the arrays that aren't torn are to be read, given how many lines were appended."""
    names = [name for name in ARRAY_NAMES if name in look.arrays and not look.arrays[name].is_torn]
    possible = {name: [each for each in _readings(look, name) if each.count <= lines] for name in names}
    combined = [dict(zip(names, each, strict=True)) for each in itertools.product(*(possible[name] for name in names))]
    combined = [each for each in combined if _is_in_order(look, each) and _is_in_turn(look, each, lines)]
    if len(combined) == 1 and not any(reading.count for reading in combined[0].values()):
        return Choice(lines, dict(combined[0]))
    return _choose(look, lines, names, combined)


def _choose(look: Look, lines: int, names: Sequence[str], combined: Sequence[dict[str, Reading]]) -> Choice:
    if len(combined) > 1:
        combined = [each for each in combined if _texts_agree(look, each)]
    proofs = [_prove(look, each) for each in combined]
    sound = [(proof, each) for proof, each in zip(proofs, combined, strict=True) if proof is not None]
    if not sound:
        # What the generator itself mixed up, by dying, contradicts its scores in the one way to read it too.
        readings: dict[str, Reading | None] = dict.fromkeys(names)
        if len(combined) == 1:
            readings |= combined[0]
        return Choice(lines, readings, is_contradicted=bool(combined))
    # Most likely each line has its rows, else all but the last line; what proves more counts more.
    ranks = [(min(2, 2 + _least(each) - lines), proof) for proof, each in sound]
    winners = [each for rank, (_, each) in zip(ranks, sound, strict=True) if rank == max(ranks)]
    is_ambiguous = any(each != winners[0] and _is_of_saves(look, each) for _, each in sound)
    return Choice(lines, {name: _agreed([each[name] for each in winners]) for name in names}, is_ambiguous=is_ambiguous)


def _is_of_saves(look: Look, readings: dict[str, Reading]) -> bool:
    """Whether each array that was written has a row behind those in front: every save of the generator adds one."""
    written = {name: found.path for name, found in look.arrays.items() if found.is_written and name in readings}
    return all(path in {stretch.path for stretch in readings[name].tail} for name, path in written.items())


def _least(readings: dict[str, Reading]) -> int:
    return min(reading.count for reading in readings.values())


def _agreed(readings: Sequence[Reading]) -> Reading | None:
    return readings[0] if all(reading == readings[0] for reading in readings) else None


def _readings(look: Look, name: str) -> Iterator[Reading]:
    """The ways in which the content of a whole array can be read."""
    found, generation = look.arrays[name], look.generation
    file, info = found.file, found.info
    assert info is not None
    behind_new = (*found.saved, *_stretch(found, file.new_rows, info.rows))
    if not found.is_written:
        yield Reading(has_old_in_front=False, tail=found.saved)
        return
    descriptor = open_regular(found.path)
    try:
        if info.rows >= file.new_rows and _has_row(generation, file, (descriptor, info), of_new=True):
            yield Reading(has_old_in_front=False, tail=behind_new)
        # Who saved it has appended a row; what went to the old one before it was loaded is in it.
        if info.rows > file.old_rows and _has_row(generation, file, (descriptor, info), of_new=False):
            behind_old = _stretch(found, file.old_rows, info.rows)
            if _starts_with(behind_old, found.saved):
                yield Reading(has_old_in_front=True, tail=behind_old)
    finally:
        os.close(descriptor)


def _stretch(found: FileLook, start: int, end: int) -> tuple[Stretch, ...]:
    return (Stretch(found.path, start, end),) if start < end else ()


def _starts_with(rows: Sequence[Stretch], beginning: Sequence[Stretch]) -> bool:
    return all(row == first for row, first in itertools.zip_longest(iter_rows(beginning), _cut(rows, beginning)))


def _cut(rows: Sequence[Stretch], like: Sequence[Stretch]) -> Iterator[bytes]:
    return itertools.islice(iter_rows(rows), sum(map(len, like)))


def _has_row(generation: Generation, file: FileExchange, array: tuple[int, ArrayInfo], *, of_new: bool) -> bool:
    """Whether an array has, at the row at which old and new differ, that of the new, or of the old one.

    Where that one has no such row, any row, appended to it, may stand there.
    """
    descriptor, info = array
    if file.probe < 0:
        # There is no difference: it can be read as new, and needn't as old.
        return of_new
    if file.probe >= (file.new_rows if of_new else file.old_rows):
        return True
    if file.probe >= info.rows:
        return False
    expected = _new_row(generation, file, info) if of_new else _row_of(generation, file.name, file.probe)
    size = info.row_bytes
    return os.pread(descriptor, size, info.data_offset + file.probe * size) == expected


def _new_row(generation: Generation, file: FileExchange, info: ArrayInfo) -> bytes | None:
    """The row at the probe as we made it; the array itself may have been overwritten."""
    first = 0
    for source, start, end in file.runs().tolist():
        if file.probe < first + end - start:
            row = start + file.probe - first
            if source == Source.ZEROS:
                return bytes(info.row_bytes)
            return _row_of(generation, file.name if source == Source.OLD else added_name(file.name), row)
        first += end - start
    return None


def _row_of(generation: Generation, name: str, row: int) -> bytes | None:
    return next(iter_rows([Stretch(generation.directory / name, row, row + 1)]), None)


def _is_in_order(look: Look, readings: dict[str, Reading]) -> bool:
    """Whether the generator can have come to this: T, A, B are its order, and B, A, T was ours.

    An array that an addition loaded before its exchange and saved afterwards: the arrays that it saved before were not
    exchanged yet, so they have its row on the old file; and those that it saved afterwards were exchanged already. Its
    line is on the old file too, which was exchanged last.
    """
    straddled = [name for name, reading in readings.items() if reading.has_old_in_front and _was_whole(look, name)]
    if straddled and not look.meta.saved:
        return False
    for name in straddled:
        own = look.arrays[name].saved_count
        before = [look.arrays[other] for other in ARRAY_NAMES[: ARRAY_NAMES.index(name)] if other in look.arrays]
        if any(other.saved_count <= own and not other.is_lost for other in before):
            return False
    return True


def _is_in_turn(look: Look, readings: dict[str, Reading], lines: int) -> bool:
    """Whether the arrays have as many rows as additions can have saved, each of which saves T, then A, then B.

    So none has more rows than one before it; and an addition that died in the saving of one has saved none behind.
    """
    most = lines
    for name in ARRAY_NAMES:
        found = look.arrays.get(name)
        if found is None or not _was_whole(look, name):
            continue
        if found.is_torn or found.is_lost:
            most = min(most, lines - 1)
        elif readings[name].count > most:
            return False
        else:
            most = readings[name].count
    return True


def _texts_agree(look: Look, readings: dict[str, Reading]) -> bool:
    """Whether an added row repeats the text of a dropped one at the end in both arrays of texts, or in neither."""
    names = (CLAP_TEXT_NAME, BGE_TEXT_NAME)
    if any(name not in readings or not _ends_alike(look, name) for name in names):
        return True
    file = look.arrays[BGE_TEXT_NAME].file
    ends = [[Stretch(look.generation.directory / name, file.new_rows, file.old_rows)] for name in names]
    dropped = list(zip(*map(iter_rows, ends), strict=False))
    added = zip(*(iter_rows(readings[name].tail) for name in names), strict=False)
    return all((text == old_text) == (bge == old_bge) for text, bge in added for old_text, old_bge in dropped)


def _ends_alike(look: Look, name: str) -> bool:
    """Whether the rows that were dropped at the end of an array are those of the lines that were.

    Of one that lacked rows, if what stays are rows of its own, and no zeros: those that it had for sure, and no others.
    """
    sources, starts, ends = look.arrays[name].file.runs().T
    return _was_whole(look, name) or not ((sources == Source.ZEROS) & (ends > starts)).any()


def _was_whole(look: Look, name: str) -> bool:
    """Whether an array had a row for each line when the exchange was prepared.

    A short one may have been loaded even before that, by an addition whose line was there already.
    """
    text = look.arrays.get(CLAP_TEXT_NAME)
    return text is None or look.arrays[name].file.old_rows == text.file.old_rows


def _prove(look: Look, readings: dict[str, Reading]) -> int | None:
    """How many appended rows have the score that their two vectors give; None when one contradicts it."""
    if CLAP_TEXT_NAME not in readings or CLAP_AUDIO_NAME not in readings:
        return 0
    info = look.arrays[CLAP_TEXT_NAME].info
    assert info is not None
    vectors = zip(iter_rows(readings[CLAP_TEXT_NAME].tail), iter_rows(readings[CLAP_AUDIO_NAME].tail), strict=False)
    proven = 0
    for line, pair in zip(iter_lines(look.lines()), vectors, strict=False):
        text, audio = (np.frombuffer(row, info.dtype).astype(np.float64) for row in pair)
        row, _ = decode_row(line)
        score = float(qualities([row])[0]) if row is not None else np.nan
        # A zero row is the generator's mark for audio that it could not read: it belongs to any score.
        if np.isnan(score) or not text.any() or not audio.any():
            continue
        if not abs(float(text @ audio) - score) <= _TOLERANCE:
            return None
        proven += 1
    return proven


def front_is_sound(look: Look, name: str, reading: Reading) -> bool:
    """Whether the rows that stay have in an array that was written to the vectors that they had, all of them."""
    found = look.arrays[name]
    file, info = found.file, found.info
    old = look.generation.directory / name
    if not found.is_written or info is None or not old.exists():
        return True
    descriptors = open_regular(found.path), open_regular(old)
    try:
        before = read_array_info(name, descriptors[1])
        first = 0
        for source, start, end in file.runs().tolist():
            if source == Source.OLD:
                place = start if reading.has_old_in_front else first
                left = (descriptors[0], info.data_offset + place * info.row_bytes)
                right = (descriptors[1], before.data_offset + start * before.row_bytes)
                length = (end - start) * info.row_bytes
                if same_bytes(left, right, length) < length:
                    return False
            first += end - start
    except ValueError:
        return True
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return True
