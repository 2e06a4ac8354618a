"""What sounds like a better item that stays goes; faiss finds the same pairs."""

from __future__ import annotations

from collections.abc import Sequence

import faiss
import numpy as np
import pytest
from inventories import RowSpec, row
from msgspec.structs import replace
from numpy.typing import NDArray
from plans import plan_for

from audio_cache_daemon.model import Bools, Ints, ItemState, KnownSounds, Sounds
from audio_cache_daemon.retention import likeness
from audio_cache_daemon.retention.likeness import find_copies
from audio_cache_daemon.retention.needs import columns_needed
from audio_cache_daemon.retention.policy import Dedupe, Limits, Policy, Protection, Rule, YoungerThan

A, B, HALF = (1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.5, 0.5, 0.5, 0.5)
MISSING = ItemState.MISSING
SIMILARITY = 0.985

of_prompt = Dedupe("sound", similarity=0.5)
of_cache = Dedupe("sound", similarity=0.5, within="cache")
best = Dedupe("sound", prefer=("quality",), similarity=0.5, within="cache")

COPIES = {
    "exactly as similar as the limit goes": (of_prompt, [row(age=1, sound=A), row(age=2, sound=HALF)], [1]),
    "less similar stays": (Dedupe("sound", similarity=0.51), [row(sound=A), row(sound=HALF)], []),
    "the newest stays": (of_prompt, [row(age=2), row(age=1)], [0]),
    "the best stays when asked": (best, [row(quality=0.4), row(quality=0.6)], [0]),
    "another prompt is another group": (of_prompt, [row(prompt="a"), row(prompt="b")], []),
    "in the whole cache prompts don't matter": (of_cache, [row(prompt="a", age=2), row(prompt=None, age=1)], [0]),
    "likeness isn't handed on over what went": (
        of_cache,
        [row(age=1, sound=A), row(age=2, sound=HALF), row(age=3, sound=B)],
        [1],
    ),
    "what is like two that stay goes once": (
        of_cache,
        [row(age=1, sound=A), row(age=2, sound=B), row(age=3, sound=HALF)],
        [2],
    ),
    "no sound is like nothing": (of_cache, [row(sound=None), row(sound=None), row()], []),
    "no timestamp stays, and nothing goes for it": (of_cache, [row(age=None), row()], []),
    "no score stays where it is asked for": (best, [row(quality=None), row()], []),
    "a missing file isn't heard": (of_cache, [row(age=1, state=MISSING), row(age=2)], []),
}


@pytest.mark.parametrize(("criterion", "rows", "gone"), COPIES.values(), ids=COPIES)
def test_what_sounds_like_a_better_item_goes(criterion: Dedupe, rows: list[RowSpec], gone: list[int]) -> None:
    policy = Policy("test", rules=(Rule("copies", criterion),), limits=Limits(None, None))
    assert plan_for(policy, rows, []).rows.subject.tolist() == gone


def test_a_protected_item_stays_and_others_go_for_it() -> None:
    """Although it is the oldest; the reason is how alike they are, and which one stays."""
    rows = [row(age=200, sound=A), row(age=300, sound=HALF), row(age=5, sound=A), row(age=4, sound=A)]
    protect = (Protection("young", YoungerThan(10)),)
    policy = Policy("test", protect=protect, rules=(Rule("copies", of_cache),), limits=Limits(None, None))
    gone = plan_for(policy, rows, []).rows
    assert (gone.subject.tolist(), gone.value.tolist(), gone.keeper.tolist()) == ([0, 1], [1.0, 0.5], [3, 3])


def test_all_items_are_read_only_when_the_whole_cache_is_compared() -> None:
    rules = (Rule("takes", Dedupe("prompt", 5, ("diverse",))), Rule("copies", of_prompt))
    assert columns_needed(Policy("test", rules=rules)).sounds_over == 1
    assert columns_needed(Policy("test", rules=(Rule("copies", of_cache), *rules))).sounds_over == 0


def _planted(count: int, width: int = 64) -> NDArray[np.float32]:
    """Random sounds, each third with a copy at a cosine around the limit: on both sides of it, and very close."""
    random = np.random.default_rng(7)
    vectors = random.standard_normal((count, width))
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    offsets = (-1e-2, -1e-4, -2e-6, 2e-6, 1e-4, 1e-2)
    for number in range(0, count - 1, 3):
        cosine = SIMILARITY + offsets[number // 3 % len(offsets)]
        across = random.standard_normal(width)
        across -= across @ vectors[number] * vectors[number]
        across /= np.linalg.norm(across)
        vectors[number + 1] = cosine * vectors[number] + np.sqrt(1 - cosine**2) * across
    return vectors.astype(np.float32)


def _pairs_of_faiss(vectors: NDArray[np.float32], similarity: float) -> set[tuple[int, int]]:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    limits, _, found = index.range_search(vectors, similarity)
    queries = np.repeat(np.arange(len(vectors)), np.diff(limits.astype(np.int64)))
    return {(min(pair), max(pair)) for pair in zip(queries.tolist(), found.tolist(), strict=True) if pair[0] != pair[1]}


def _copies(vectors: NDArray[np.float32], order: Sequence[int] | None = None) -> dict[int, int]:
    count = len(vectors)
    sounds = Sounds(np.arange(count, dtype=np.int32), vectors)
    group, protected = np.zeros(count, np.int32), np.zeros(count, np.bool_)
    ranked = np.arange(count) if order is None else np.array(order)
    keeper = find_copies(sounds, ranked, group, protected, SIMILARITY).keeper
    return {number: int(keeper[number]) for number in np.flatnonzero(keeper >= 0).tolist()}


@pytest.mark.parametrize("count", [90, 6000])
def test_likeness_finds_exactly_the_planted_copies_and_faiss_agrees_pair_by_pair(count: int) -> None:
    """At 2e-6 from the limit still; compared side by side, and as a matrix in several tiles."""
    vectors = _planted(count)
    planted = {(number, number + 1) for number in range(0, count - 1, 3) if number // 3 % 6 >= 3}
    assert {(keeper, copy) for copy, keeper in _copies(vectors).items()} == planted
    assert _pairs_of_faiss(vectors, SIMILARITY) == planted


def test_in_another_order_the_same_pairs_have_another_one_that_stays() -> None:
    vectors = _planted(3000)
    backwards = _copies(vectors, range(2999, -1, -1))
    assert {(copy, keeper) for copy, keeper in backwards.items()} == {
        (keeper, copy) for copy, keeper in _copies(vectors).items()
    }


def test_a_thousand_times_the_same_sound_is_one() -> None:
    """Copies of copies go for the one that stays, in the block where that stands and in later ones."""
    vectors = np.repeat(_planted(2), 3000, axis=0)[:, :16]
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    assert set(_copies(vectors).values()) <= {0, 3000}
    assert len(_copies(vectors)) >= 5998


def _later(vectors: NDArray[np.float32], first: NDArray[np.bool_], protected: NDArray[np.bool_]) -> Sounds:
    """All sounds, with what a comparison of the `first` of them told; so many were protected then."""
    count = len(vectors)
    sounds, group = Sounds(np.arange(count, dtype=np.int32), vectors), np.zeros(count, np.int32)
    order = np.flatnonzero(first)
    left = first & (find_copies(sounds, order, group, protected & first, SIMILARITY).keeper < 0)
    return replace(sounds, known=KnownSounds(SIMILARITY, left & ~protected, left & protected))


@pytest.mark.parametrize("seed", range(8))
def test_what_is_known_changes_nothing_but_the_effort(seed: int) -> None:
    """Later new sounds came, others went, ranks and protections changed: the same copies, each for the same one."""
    random = np.random.default_rng(seed)
    vectors = _planted(3000)[:, :24]
    vectors[::7] = vectors[3::7][: len(vectors[::7])]
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    first = random.random(3000) < 0.9
    before, now = (np.sort(random.random(3000)) < 0.3 for _ in range(2))
    later = _later(vectors, first, before)
    order = np.flatnonzero(random.random(3000) < 0.95)
    order = order[np.argsort(~now[order], kind="stable")]
    group = np.zeros(3000, np.int32)
    anew = find_copies(replace(later, known=None), order, group, now, SIMILARITY)
    found = find_copies(later, order, group, now, SIMILARITY)
    assert later.known is not None
    assert later.known.unlike.sum() > 1000
    np.testing.assert_array_equal(found.keeper, anew.keeper)
    np.testing.assert_allclose(found.likeness, anew.likeness)
    assert (anew.keeper >= 0).any()


def test_only_what_is_new_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred new ones of six thousand: a hundredth of the pairs."""
    vectors = _planted(6000)
    first, nobody = np.arange(6000) < 5900, np.zeros(6000, np.bool_)
    later, pairs = _later(vectors, first, nobody), []
    compare = likeness._may_be_alike

    def count(sounds: Sounds, rows: Ints, others: Ints, similarity: float) -> Bools:
        pairs.append(len(rows) * len(others))
        return compare(sounds, rows, others, similarity)

    monkeypatch.setattr(likeness, "_may_be_alike", count)
    order = np.flatnonzero((_keepers(later) < 0) | ~first)
    pairs.clear()
    find_copies(later, order, np.zeros(6000, np.int32), nobody, SIMILARITY)
    assert 0 < sum(pairs) <= 100 * 6000


def test_a_stricter_comparison_tells_nothing_of_a_laxer_one() -> None:
    """What is less alike than 0.99 may be more alike than 0.985."""
    vectors = _planted(600)
    later, nobody = Sounds(np.arange(600, dtype=np.int32), vectors), np.zeros(600, np.bool_)
    later = replace(later, known=KnownSounds(0.99, ~nobody, nobody))
    group, order = np.zeros(600, np.int32), np.arange(600)
    assert (find_copies(later, order, group, nobody, SIMILARITY).keeper >= 0).any()
    assert not (find_copies(later, order, group, nobody, 0.99).keeper >= 0).any()


def _keepers(sounds: Sounds) -> NDArray[np.int64]:
    count = len(sounds.place)
    everything = replace(sounds, known=None)
    group = np.zeros(count, np.int32)
    return find_copies(everything, np.arange(count), group, np.zeros(count, np.bool_), SIMILARITY).keeper
