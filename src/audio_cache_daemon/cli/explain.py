"""`explain`: why an item goes, or stays, and when; or what became of it."""

from __future__ import annotations

import time

import click
import numpy as np
from msgspec import structs
from msgspec.structs import replace

from audio_cache_daemon.cli.options import Choice, cache_options
from audio_cache_daemon.cli.screens import output, print_json, wants_json
from audio_cache_daemon.cli.target import choose_targets
from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.saved import find_saved
from audio_cache_daemon.ids import stray_id
from audio_cache_daemon.model import Inventory, StrayKind
from audio_cache_daemon.pins import load_pins
from audio_cache_daemon.planning import observe
from audio_cache_daemon.readback import find_rows
from audio_cache_daemon.reporting.audit_record import AuditItem, log_files
from audio_cache_daemon.reporting.explanations import (
    BudgetPlaceView,
    ExplanationView,
    RuleVerdictView,
    explanation_as_json,
    print_explanation,
    view_verdict,
)
from audio_cache_daemon.reporting.items import ItemView, view_items
from audio_cache_daemon.reporting.stories import Story, print_story, read_stories, story_as_json
from audio_cache_daemon.request import Target
from audio_cache_daemon.retention.explain import Explanation, RuleExplanation, explain_row, explain_stray
from audio_cache_daemon.state import load_memory
from audio_cache_daemon.units import format_time

_MOST = 10
"""A prompt may have many takes; so many are explained."""


@click.command()
@click.argument("item")
@cache_options
def explain(choice: Choice, item: str) -> None:
    """Tell why ITEM goes or stays, when, or what became of it: a row number, an id, a path, a file name or a prompt."""
    now = time.time()
    targets = choose_targets(choice)
    views = [(target, view) for target in targets for view in _explain(target, item, now)]
    is_there = any(view.item.state != "retired" for _, view in views)
    stories = [] if is_there else [(target, story) for target in targets for story in _tell(target, item)]
    if not views and not stories:
        raise MaintenanceError(f"no item has, or had, the row number, id, path, file name or prompt {item!r}")
    if wants_json(choice):
        found = [{"cache": target.settings.location.name, **explanation_as_json(view)} for target, view in views]
        gone = [{"cache": target.settings.location.name, **story_as_json(story)} for target, story in stories]
        print_json({"items": found, "gone": gone})
        return
    for _, view in views:
        print_explanation(output(), view)
    for _, story in stories:
        print_story(output(), story)


def _tell(target: Target, name: str) -> list[Story]:
    in_trash = {
        id_: (run, AuditItem(id=id_, path=saved.path, prompt=saved.prompt))
        for id_, (run, saved) in find_saved(target.settings.location, name).items()
    }
    return read_stories(log_files(target.audit_path), name, in_trash)[:_MOST]


def _explain(target: Target, text: str, now: float) -> list[ExplanationView]:
    inventory = observe(target, load_memory(target.settings.location))
    policy, pins = target.settings.policy, load_pins(target.settings.location)
    views = []
    for row in find_rows(inventory, text)[:_MOST]:
        is_pinned = bool(inventory.rows.pinned_until[row] > now)
        item = structs.replace(view_items(inventory, np.array([row]))[0], pinned=is_pinned)
        view = _view(item, policy.name, explain_row(inventory, policy, now, row), inventory)
        views.append(replace(view, pin=pins.get(item.id) if is_pinned else None))
    for stray, path in enumerate(inventory.strays.path):
        if text in (path, path.rpartition("/")[2], _stray_path(inventory, stray)):
            explanation = explain_stray(inventory, policy, now, stray)
            views.append(_view(_stray_item(inventory, stray), policy.name, explanation, inventory))
    return views


def _view(item: ItemView, policy: str, explanation: Explanation, inventory: Inventory) -> ExplanationView:
    owner, next_owner = explanation.owner, explanation.next_owner
    keeper = owner.keeper if owner is not None else -1
    return ExplanationView(
        item=item,
        policy=policy,
        protections=explanation.protections,
        rules=tuple(map(_view_rule, explanation.rules)),
        owner=_view_rule(owner) if owner is not None else None,
        keeper=view_items(inventory, np.array([keeper]))[0] if keeper >= 0 else None,
        undecided_file=not explanation.decided,
        next_owner=_view_rule(next_owner) if next_owner is not None else None,
        places=tuple(BudgetPlaceView(one.mark, one.place, one.value, one.limit) for one in explanation.places),
    )


def _view_rule(rule: RuleExplanation) -> RuleVerdictView:
    return view_verdict(rule.rule, rule.truth, rule.value, rule.threshold, rule.due)


def _stray_path(inventory: Inventory, stray: int) -> str:
    return str(inventory.roots[int(inventory.strays.root[stray])].path / inventory.strays.path[stray])


def _stray_item(inventory: Inventory, stray: int) -> ItemView:
    path = _stray_path(inventory, stray)
    return ItemView(
        id=stray_id(path),
        row=-1,
        path=path,
        prompt=None,
        timestamp=format_time(float(inventory.strays.changed[stray])),
        duration_seconds=None,
        quality=None,
        bytes=int(inventory.strays.size[stray]),
        state=StrayKind(inventory.strays.kind[stray]).name.lower(),
    )
