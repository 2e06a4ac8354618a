"""A second planner that is slow and obvious: one item at a time, one sentence of the policy's meaning at a time.

It shares no code with the planner it is compared with.
"""

from __future__ import annotations

from reference_budget import Gone, evict_for_disk, evict_for_items, evict_for_size
from reference_rules import apply_protections, apply_rules
from reference_world import Item, ReferencePlan, World, bytes_that_go, files_of, read_world

from audio_cache_daemon.model import Inventory, ItemState, Truth
from audio_cache_daemon.retention.policy import KeepBest, KeepNewest, Pattern, Policy, ProtectionCriterion, YoungerThan

PERCENTAGE_FROM = 20
"""Below so many rows (or files) a percentage limits nothing."""


def reference_plan(inventory: Inventory, policy: Policy, now: float, *, enforce_limits: bool = True) -> ReferencePlan:
    """What a policy means for an inventory."""
    world = read_world(inventory, policy, now)
    plan = ReferencePlan()
    apply_protections(world, plan)
    apply_rules(world, plan)
    if enforce_limits:
        plan.refusals = row_breaches(world, set(plan.rows)) | stray_breaches(world, set(plan.strays))
    gone = Gone(set(plan.rows), set(plan.strays), [])
    evict_for_disk(world, plan, gone)
    evict_for_size(world, plan, gone)
    evict_for_items(world, plan, gone)
    accept_within_limits(world, plan, gone, enforce_limits=enforce_limits)
    plan.undecidable |= undecidable_items(world)
    return plan


def row_breaches(world: World, rows: set[int]) -> set[str]:
    """The limits that are exceeded when these rows go."""
    limits = world.policy.limits
    breaches = set()
    if limits.max_items is not None and len(rows) > limits.max_items:
        breaches.add("max_items")
    readable = len([item for item in world.items if item.readable])
    if limits.max_percent is not None and readable >= PERCENTAGE_FROM:
        audio = sum(files_of(world, set()).values())
        if len(rows) * 100 > limits.max_percent * readable:
            breaches.add("max_percent")
        if bytes_that_go(world, rows) * 100 > limits.max_percent * audio:
            breaches.add("max_percent")
    return breaches


def stray_breaches(world: World, strays: set[int]) -> set[str]:
    """The limits that are exceeded when these files without rows go."""
    limits = world.policy.limits
    breaches = set()
    if limits.max_items is not None and len(strays) > limits.max_items:
        breaches.add("max_items")
    files = len(files_of(world, set())) + len(world.strays)
    if limits.max_percent is not None and files >= PERCENTAGE_FROM and len(strays) * 100 > limits.max_percent * files:
        breaches.add("max_percent")
    return breaches


def accept_within_limits(world: World, plan: ReferencePlan, gone: Gone, *, enforce_limits: bool) -> None:
    """The budget's evictions in their order, up to the first that a limit doesn't allow; rows and strays apart."""
    full: set[bool] = set()
    for is_stray, number, reason in gone.evictions:
        if is_stray in full:
            continue
        so_far = plan.strays if is_stray else plan.rows
        breaches = (stray_breaches if is_stray else row_breaches)(world, {*so_far, number})
        if breaches and enforce_limits:
            plan.capped.add(min(breaches))
            full.add(is_stray)
        else:
            so_far[number] = reason


def undecidable_items(world: World) -> set[int]:
    """Rows whose file, a protection or place in the budget's order can't be told; those of rules are found there."""
    budget = world.policy.budget
    has_budget = any(marks is not None for marks in (budget.disk, budget.size, budget.items))
    undecidable = set()
    for item in world.items:
        if item.readable and item.state is ItemState.UNDECIDABLE:
            undecidable.add(item.number)
        if not item.selectable:
            continue
        if any(_leaves_open(protection.criterion, item) for protection in world.policy.protect):
            undecidable.add(item.number)
        if has_budget and budget.evict == "oldest" and item.age is None:
            undecidable.add(item.number)
        if has_budget and budget.evict == "lowest_quality" and item.quality is None:
            undecidable.add(item.number)
    return undecidable


def _leaves_open(criterion: ProtectionCriterion, item: Item) -> bool:
    """Whether a protection can't be decided for a row."""
    if isinstance(criterion, YoungerThan):
        return item.age is None
    if isinstance(criterion, Pattern):
        return item.matches[criterion.expression] is Truth.UNDECIDABLE
    measure = {KeepBest: item.quality, KeepNewest: item.age}[type(criterion)]
    return item.state is ItemState.OK and (item.prompt is None or measure is None)
