"""When to look after hints."""

from __future__ import annotations

import pytest

from audio_cache_daemon.daemon.settling import Settling

TABLE: dict[str, tuple[list[float], float | None]] = {
    "no hint, no look": ([], None),
    "two quiet seconds after a hint": ([10.0], 12.0),
    "each hint puts the look off": ([10.0, 11.0, 12.5], 14.5),
    "a cache that is never quiet is looked at after half a minute": ([float(at) for at in range(10, 40)], 40.0),
    "the last hints before that don't put it off": ([10.0, 39.5], 40.0),
    "a hint that was stamped earlier and heard later doesn't bring it forward": ([10.0, 12.0, 11.0], 14.0),
}


@pytest.mark.parametrize(("hints", "due"), TABLE.values(), ids=TABLE.keys())
def test_a_look_is_due(hints: list[float], due: float | None) -> None:
    """Once it is quiet, or when it has waited long enough."""
    settling = Settling()
    for at in hints:
        settling.hint(at)
    assert settling.due(patience=30.0) == due


def test_what_is_heard_during_a_look_leads_to_the_next() -> None:
    """Cleared before the look, a burst begins anew with the first hint after it."""
    settling = Settling(quiet=1.0)
    settling.hint(10.0)
    settling.clear()
    assert settling.due(5.0) is None
    settling.hint(14.0)
    settling.hint(18.5)
    assert settling.due(5.0) == 19.0
