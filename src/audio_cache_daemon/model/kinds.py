"""The types of columns, and the codes that stand in them.

A number that is missing or can't be true is NaN; the number of a thing that isn't there is -1.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Truths: TypeAlias = NDArray[np.uint8]


class Truth(IntEnum):
    """Three-valued logic: `and` is the minimum, `or` the maximum."""

    FALSE = 0
    UNDECIDABLE = 1
    TRUE = 2


class ItemState(IntEnum):
    """What is known of a row's file."""

    OK = 0
    MISSING = 1
    UNDECIDABLE = 2
    RETIRED = 3


class StrayKind(IntEnum):
    """Files that no row names."""

    ORPHAN = 0
    LEFTOVER = 1


class DecodingState(IntEnum):
    """Whether an audio file could be decoded; UNKNOWN: it wasn't tried, or that tells nothing about it."""

    UNKNOWN = 0
    DECODED = 1
    UNDECODABLE = 2


BROKEN = "state:broken"
"""What a plan calls the criterion of rules that select broken audio; what they measure is a Flaw."""


class Flaw(IntEnum):
    """By which sign audio is broken."""

    EMPTY = 1
    UNDECODABLE = 2
    CUT_SHORT = 3
    SILENT = 4
    CLIPPED = 5


class KeptReason(IntEnum):
    """Why an item stays."""

    UNSELECTED = 0
    PROTECTED = 1
    FILE_UNKNOWN = 2
    UNDECIDABLE = 3
