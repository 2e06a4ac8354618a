"""When the file of a retired item may go: the generator can't serve it any more."""

from __future__ import annotations

from typing import Literal

import msgspec

from audio_cache_daemon.retired import WriterMark


class ReleaseRule(msgspec.Struct, frozen=True):
    """What proves it, and what is known of the generator now.

    `on` names the proof, after `max_wait` seconds (None: never) a file goes without; `is_stopped` if we stopped the
    generator ourselves. `started` names its last start, `rows` the rows that all of the index has, None where that
    isn't known; `is_quiet` if the index didn't change for a while, so that no addition is under way.
    """

    on: Literal["restart", "addition"]
    max_wait: float | None
    is_stopped: bool
    started: str | None
    rows: int | None
    is_quiet: bool


def why_release(mark: WriterMark, retired_at: float, now: float, rule: ReleaseRule) -> str | None:
    """Why the files of items retired at that time may go now, in words; None if they may not yet."""
    if rule.is_stopped:
        return "the generator is stopped"
    # A restart always proves it; what was loaded since then are zeros.
    if rule.started is not None and rule.started != mark.started and mark.started is not None:
        return "the generator was started since"
    # An addition loads everything again after its last save: the next one, or quiet, tells that it has.
    needed = 1 if rule.is_quiet else 2
    if rule.on == "addition" and rule.rows is not None and mark.rows is not None and rule.rows >= mark.rows + needed:
        return "the generator added an item since, and loaded the zeros"
    if rule.max_wait is not None and now - retired_at > rule.max_wait:
        return "it waited as long as writer.max_wait says, without proof that the generator can't serve it"
    return None
