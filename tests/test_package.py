"""What is built to be installed: the wheel works in an empty environment, the source distribution is whole."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
LEFT_OUT = (".ci/", ".gitignore", ".images/")
"""What is for work on the repository alone."""


def run(*words: str | Path, directory: Path = ROOT) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, cwd=directory)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with both, the wheel made from the source distribution, as an installer would."""
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", directory)
    return directory


def only(directory: Path, pattern: str) -> Path:
    (found,) = directory.glob(pattern)
    return found


def tracked(*parts: str) -> set[str]:
    return set(run("git", "ls-files", "--", *parts).splitlines())


def test_the_source_distribution_has_what_the_repository_has(built: Path) -> None:
    with tarfile.open(only(built, "*.tar.gz")) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert {name for name in tracked() if not name.startswith(LEFT_OUT)} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".venv", "demo/", "dist/"))]


def test_the_wheel_has_the_package_and_the_configuration(built: Path) -> None:
    with zipfile.ZipFile(only(built, "*.whl")) as archive:
        names = archive.namelist()
    package = {name for name in names if name.startswith("audio_cache_daemon/")}
    assert {name.removeprefix("src/") for name in tracked("src")} <= package
    assert not [name for name in names if name.startswith(("tests", "deploy"))]


@pytest.fixture(scope="module")
def environment(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it asks for, and nothing else."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=True)
    install: Sequence[str | Path] = ("install", "--quiet", "--constraint", ROOT / "tests" / "constraints.txt")
    run(directory / "bin" / "python", "-m", "pip", *install, only(built, "*.whl"))
    return directory


def test_the_wheel_works_in_an_empty_environment(environment: Path, tmp_path: Path) -> None:
    program = environment / "bin" / "audio-cache-daemon"
    assert "run-once" in run(program, "--help", directory=tmp_path)
    run(program, "demo", "sounds", directory=tmp_path)
    words = ("--config", "sounds/config.yaml", "run-once", "--cache", "exhibit", "--dry-run", "--format", "json")
    (cache,) = json.loads(run(program, *words, directory=tmp_path))["caches"]
    assert cache["plan"]["items"] > 0
    assert cache["outcome"] is None


def test_the_wheel_brings_the_documented_configuration(environment: Path) -> None:
    shipped = environment / "share" / "audio-cache-daemon" / "config"
    names = {name.removeprefix("config/") for name in tracked("config")}
    assert {str(path.relative_to(shipped)) for path in shipped.rglob("*") if path.is_file()} == names
    for name in names:
        assert (shipped / name).read_bytes() == (ROOT / "config" / name).read_bytes()
    run(environment / "bin" / "audio-cache-daemon", "check-config", shipped / "examples" / "minimal.yaml")
