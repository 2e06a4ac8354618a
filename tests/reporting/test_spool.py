"""A long list in a JSON document: the same document as if it had been encoded at once, and little of it in memory."""

from __future__ import annotations

import json
import os
import resource
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from audio_cache_daemon.reporting.spool import Spool, iter_json

LONG = 40_000


def entries(count: int) -> Iterator[dict[str, object]]:
    """Entries of a list, with bytes that are no UTF-8 and characters that could steer a terminal."""
    for number in range(count):
        yield {
            "number": number,
            "path": f"/audio/rain {number} {'x' * 600}",
            "prompt": "\x9b" if number % 1000 else "\udcff",
        }


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file can be written further than `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def as_read(value: object) -> object:
    """What a reader finds in the document."""
    return json.loads(b"".join(iter_json(value)))


@pytest.mark.parametrize("count", [0, 1, 249, 250, 251, LONG])
def test_the_document_is_whole(count: int) -> None:
    """Whatever the length, and in its place among other values."""
    first, second = Spool(entries(count)), Spool([{"last": True}])
    found = as_read({"before": [1, first.mark[:5]], "evict": first, "after": {"keep": second, "text": "[]"}})
    listed = [{**entry, "prompt": "\\udcff" if entry["prompt"] == "\udcff" else "\x9b"} for entry in entries(count)]
    assert found == {"before": [1, "spool"], "evict": listed, "after": {"keep": [{"last": True}], "text": "[]"}}


@pytest.mark.parametrize("counts", [(0, 0), (0, 3), (3, 0), (3, 3), (1, LONG), (LONG, 1), (2, 0, 2)])
def test_several_lists_are_one_after_the_other(counts: tuple[int, ...]) -> None:
    """All but the first are made by other processes, in files or held by them."""
    listed = as_read([entry for count in counts for entry in _plain(count)])
    assert as_read(Spool(*(_plain(count) for count in counts))) == listed


def _plain(count: int) -> Iterator[dict[str, object]]:
    return ({**entry, "prompt": "rain"} for entry in entries(count))


def test_a_list_that_another_process_cant_make_is_made_here() -> None:
    """It dies in the midst, with some of the list in the file; an error is that of the list."""
    here = os.getpid()

    def fragile() -> Iterator[dict[str, object]]:
        for number, entry in enumerate(_plain(LONG)):
            if number == LONG // 2 and os.getpid() != here:
                os._exit(1)
            yield entry

    assert as_read(Spool(_plain(1), fragile())) == as_read([*_plain(1), *_plain(LONG)])
    with pytest.raises(ZeroDivisionError):
        Spool((), (1 // number for number in (1, 0)))


def test_a_document_can_be_written_twice() -> None:
    """What was read of a spool is still there."""
    spool = Spool(entries(LONG))
    assert as_read([spool]) == as_read([spool])


@pytest.mark.parametrize("size", [0, 5_000_000])
def test_without_room_for_a_file_the_rest_stays_in_memory(size: int) -> None:
    """Refused from the beginning, or on the way, in the middle of a write."""
    whole = as_read(Spool(entries(LONG)))
    with file_size_limit(size):
        assert as_read(Spool(entries(LONG))) == whole
        assert as_read(Spool((), entries(LONG))) == whole


def test_a_long_list_takes_little_memory() -> None:
    """Less than half of what its text has."""
    tracemalloc.start()
    try:
        spool = Spool(entries(LONG))
        length = sum(map(len, iter_json(spool)))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000 < length
    finally:
        tracemalloc.stop()
