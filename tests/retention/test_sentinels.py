"""An audio root that isn't the one of the last run is refused, and one that was only mounted again isn't."""

from __future__ import annotations

import pytest
from inventories import NOW, Disk, RowSpec, StraySpec, Surroundings, inventory, row, stray

from audio_cache_daemon.model import ItemState, Memory
from audio_cache_daemon.retention.sentinels import check_sentinels

HERE, ELSEWHERE = Disk(device=1), Disk(device=7)
INODE = 2
"""That of each root of `inventory`."""


def there(count: int) -> list[RowSpec]:
    return [row() for _ in range(count)]


def lost(count: int) -> list[RowSpec]:
    """Rows whose file wasn't missing at the last run."""
    return [row(state=ItemState.MISSING) for _ in range(count)]


def known_lost(count: int) -> list[RowSpec]:
    return [row(state=ItemState.MISSING, missing_for=3600.0) for _ in range(count)]


def refusals(
    rows: list[RowSpec], strays: tuple[StraySpec, ...] = (), *, disk: Disk = ELSEWHERE, inode: int = INODE
) -> list[str]:
    """What is refused of a cache whose root was on device 1 with this inode."""
    found = inventory(rows, strays, around=Surroundings(disks=(disk,)))
    memory = Memory(last_run=NOW, rows=len(rows), roots={"/root0": (1, inode)}, missing_since={})
    return [refusal.limit for refusal in check_sentinels(found, memory, NOW)]


def test_the_same_directory_is_believed_whatever_is_gone() -> None:
    assert refusals([*there(1), *lost(9)], disk=HERE) == []


@pytest.mark.parametrize("disk", [HERE, ELSEWHERE])
def test_another_directory_is_refused_though_all_files_are_there(disk: Disk) -> None:
    assert refusals(there(10), disk=disk, inode=INODE + 1) == ["root_replaced"]


def test_a_volume_that_was_mounted_again_under_another_device_number_is_believed() -> None:
    assert refusals(there(10)) == []


@pytest.mark.parametrize(("gone", "found"), [(1, []), (2, ["root_replaced"])])
def test_on_another_device_a_tenth_of_the_files_may_be_gone(gone: int, found: list[str]) -> None:
    """Exactly a tenth is believed."""
    assert refusals([*there(10 - gone), *lost(gone)]) == found


def test_files_that_were_missing_before_tell_nothing_of_a_volume() -> None:
    assert refusals([*there(10), *known_lost(10)]) == []


def test_another_volume_without_any_of_the_files_is_refused() -> None:
    assert refusals(lost(10)) == ["root_replaced"]


def test_files_that_no_row_names_dont_tell_that_a_volume_is_the_same() -> None:
    assert refusals([], (stray(),)) == ["root_replaced"]


def test_from_a_root_with_nothing_in_it_nothing_can_go() -> None:
    assert refusals([]) == []


def test_retired_items_tell_nothing_of_a_volume() -> None:
    assert refusals([row(state=ItemState.RETIRED)], (stray(),)) == ["root_replaced"]
