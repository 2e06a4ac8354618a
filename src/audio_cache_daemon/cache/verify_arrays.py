"""Faults of the arrays: of each file by itself, and of what belongs together."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from audio_cache_daemon.cache.verify_lines import LineKind
from audio_cache_daemon.cache.verify_match import Match, NoMatch, claimants
from audio_cache_daemon.cache.verify_plan import UNPROVEN, Evidence, bge_companion, list_numbers, name_lines
from audio_cache_daemon.findings import Finding, Mend, RepairPlan, Severity
from audio_cache_daemon.formats import read_array_shape
from audio_cache_daemon.location import ARRAY_NAMES, BGE_TEXT_NAME, CLAP_AUDIO_NAME, CLAP_TEXT_NAME, META_NAME
from audio_cache_daemon.model import Bools, Inventory, ItemState
from audio_cache_daemon.paths import open_regular
