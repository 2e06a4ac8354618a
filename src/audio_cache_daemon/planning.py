"""The first two steps of a run: a cache observed, and what its policy decides about it."""

from __future__ import annotations

import math
from collections.abc import Callable

from audio_cache_daemon.cache.listing import Listing
from audio_cache_daemon.cache.scan import Surroundings, scan_cache
from audio_cache_daemon.model import Inventory, Memory, Plan, Refusal
from audio_cache_daemon.pins import load_pins, pinned_rows
from audio_cache_daemon.readings import Readings, load_readings
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.limits import refuse_what_trash_cannot_hold
from audio_cache_daemon.retention.needs import columns_needed
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.sentinels import check_sentinels
from audio_cache_daemon.review import only_reviewed


def observe(
    target: Target,
    memory: Memory | None,
    listing: Callable[[], Listing] | None = None,
    readings: Readings | None = None,
    decode_for: float = math.inf,
) -> Inventory:
    """The inventory that the target's policy needs; `listing` is that of its files, if begun ahead.

    `readings` are those that are remembered, if the caller keeps what is added to them; audio is decoded for so many
    seconds at most. StateUnreadableError when it can't be told which items are pinned.
    """
    needs, location = columns_needed(target.settings.policy), target.settings.location
    if readings is None:
        reads = needs.content or needs.decoded or needs.sounds_over == 0
        readings = load_readings(location) if reads else Readings()
    pins = pinned_rows(load_pins(location))
    around = Surroundings(target.neighbours, memory, listing, pins=pins, readings=readings, decode_for=decode_for)
    return scan_cache(location, needs, around)


def decide(
    target: Target, request: RunRequest, inventory: Inventory, memory: Memory | None
) -> tuple[Plan, tuple[Refusal, ...]]:
    plan = plan_evictions(inventory, target.settings.policy, request.now, enforce_limits=request.limits)
    changes: tuple[Refusal, ...] = ()
    for reviewed in request.reviewed:
        if reviewed.plan.cache == target.settings.location.name:
            plan, changes = only_reviewed(plan, reviewed)
    sentinels = check_sentinels(inventory, memory, request.now, request.accepted)
    return plan, (
        *sentinels,
        *changes,
        *plan.refusals,
        *refuse_what_trash_cannot_hold(plan, target.settings.policy.trash),
    )


def retires(target: Target, plan: Plan) -> bool:
    """Whether the generator may be running, so that no row can be dropped."""
    return target.settings.writer.mode == "live" and len(plan.rows) > 0
