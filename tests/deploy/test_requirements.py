"""What the image installs: what the program needs, with the extra to decode, in the tested versions, by hashes."""

from __future__ import annotations

import re
from importlib.metadata import requires

from dockerfile import IMAGE
from manifests import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FILES = ("requirements.txt", "requirements-build.txt")


def versions(text: str) -> dict[str, str]:
    return {
        canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s\\]+)", text, re.MULTILINE)
    }


def needed(*names: str) -> set[str]:
    """These packages and all that they need."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = canonicalize_name(pending.pop())
        if name in found:
            continue
        found.add(name)
        wanted = [Requirement(text) for text in requires(name) or []]
        pending += [each.name for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


def test_all_that_is_needed_is_there_in_the_tested_versions() -> None:
    tested = versions((ROOT / "tests" / "constraints.txt").read_text())
    for file, names in zip(FILES, (("audio-cache-daemon", "soundfile"), ("hatchling",)), strict=True):
        pinned = versions((IMAGE / file).read_text())
        assert set(pinned) == needed(*names) - {"audio-cache-daemon"}, "make image-requirements"
        assert pinned.items() <= tested.items(), "make image-requirements"


def test_each_file_is_known_by_its_hash() -> None:
    """Compiled ones for two processors."""
    for file in FILES:
        entries = re.findall(r"^([\w.-]+)==(?:.*\\\n)+.*$", (IMAGE / file).read_text(), re.MULTILINE)
        assert len(entries) == len(versions((IMAGE / file).read_text()))
    (numpy,) = re.findall(r"^numpy==.*\n((?: +--hash.*\n)+)", (IMAGE / FILES[0]).read_text(), re.MULTILINE)
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", numpy)) == 2
