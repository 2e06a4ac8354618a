"""Writes what the image installs, with the hash of each file: `make image-requirements`, after a change of versions.

The versions are those of the tests. Both processors that the image is built for are asked for.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "deploy" / "docker"
CONSTRAINTS = ROOT / "tests" / "constraints.txt"
PYTHON = "3.13"
PROCESSORS = ("x86_64", "aarch64")
# Debian 13 has a C library that runs all of these.
KINDS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
HEAD = "# Made by `make image-requirements` from tests/constraints.txt.\n"


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    decode = project["project"]["optional-dependencies"]["decode"]
    _write(IMAGE / "requirements.txt", [*project["project"]["dependencies"], *decode])
    _write(IMAGE / "requirements-build.txt", project["build-system"]["requires"])


def _write(path: Path, wanted: Sequence[str]) -> None:
    hashes: defaultdict[str, set[str]] = defaultdict(set)
    for processor in PROCESSORS:
        for requirement, value in _resolve(wanted, processor).items():
            hashes[requirement].add(value)
    entries = [
        " \\\n".join([requirement, *(f"    --hash=sha256:{value}" for value in sorted(hashes[requirement]))])
        for requirement in sorted(hashes, key=str.casefold)
    ]
    path.write_text(HEAD + "".join(f"{entry}\n" for entry in entries))


def _resolve(wanted: Sequence[str], processor: str) -> Mapping[str, str]:
    """What pip would install, by name and version, and the hash of the file."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        words += ["--report", str(report), "--target", directory, "--constraint", str(CONSTRAINTS)]
        words += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", PYTHON]
        words += [word for kind in KINDS for word in ("--platform", f"{kind}_{processor}")]
        subprocess.run([*words, *wanted], check=True)
        found = json.loads(report.read_text())["install"]
    return {_name(entry): entry["download_info"]["archive_info"]["hashes"]["sha256"] for entry in found}


def _name(entry: Mapping[str, Any]) -> str:
    return f"{entry['metadata']['name'].lower()}=={entry['metadata']['version']}"


if __name__ == "__main__":
    main()
