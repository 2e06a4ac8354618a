"""The house: which module may import which, who reads the clock, who removes files, and how long things may get."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "audio_cache_daemon"
SOURCE = Path(__file__).parents[1] / "src" / PACKAGE
MODULES = {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}

BASE = {
    "model",
    "likenesses",
    "location",
    "beside",
    "columns",
    "decoder",
    "decodings",
    "digests",
    "index_times",
    "manifest",
    "findings",
    "formats",
    "heap",
    "ids",
    "held",
    "units",
    "errors",
    "patterns",
    "pins",
    "reviewed",
    "own_files",
    "paths",
    "readback",
    "readings",
    "remembered",
    "retired",
    "state",
    "__init__",
}
STAGES = {"cache", "retention", "eviction", "reporting"}
MAY_IMPORT = {
    **dict.fromkeys(BASE, BASE),
    **{stage: BASE | {stage} for stage in STAGES},
    "config": BASE | {"retention", "config"},
    "demo": BASE | {"demo"},
    "request": BASE | {"config"},
    "upkeep": BASE | STAGES | {"config", "request"},
    "compaction": BASE | STAGES | {"config", "request", "upkeep"},
    "review": BASE | {"reporting", "retention"},
    "planning": BASE | STAGES | {"config", "request", "review"},
    "enforcement": BASE | STAGES | {"config", "request", "planning", "upkeep", "compaction"},
    "maintenance": BASE | STAGES | {"config", "request", "planning", "upkeep", "enforcement"},
    "undo": BASE | STAGES | {"config", "planning", "request"},
    "pinning": BASE | STAGES | {"planning", "request", "undo"},
    "repairing": BASE | STAGES | {"request", "undo"},
    "daemon": BASE | STAGES | {"config", "request", "upkeep", "maintenance", "undo", "daemon"},
    "cli": BASE
    | STAGES
    | {"repairing", "review", "pinning", "compaction", "planning", "config", "demo", "request"}
    | {"maintenance", "undo", "daemon", "cli"},
    "__main__": {"cli"},
}
CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
OWN_CLOCK = {"cli", "daemon"}

REMOVALS = {"unlink", "remove", "rename", "renames", "rmdir", "removedirs", "rmtree", "move"}
REMOVES_TOO = {
    "reporting/audit_file.py": "the audit log is rotated: its own file gets another name",
    "demo/faults.py": "makes a cache with missing files, in a directory that it has just made",
}
"""Modules beside eviction that remove or rename a file, and why."""


def part_of(module: str) -> str:
    """The part of the house that a module is in: a directory's name, or that of a module at the top."""
    return module.partition("/")[0].removesuffix(".py")


def imports(module: str) -> Iterator[str]:
    """The full names of all modules that a module imports, wherever in it."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} imports by a relative name"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions(module: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions of a module, methods and inner ones included."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def calls(module: str) -> Iterator[tuple[str, ast.Call]]:
    """All calls of a module by what is called, as it is written."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def _removes(name: str, call: ast.Call) -> bool:
    last = name.rpartition(".")[2]
    if last == "replace":
        # Path.replace and os.replace; that of a text takes two values, that of a time or a value names them.
        return name == "os.replace" or (len(call.args) == 1 and not call.keywords)
    return "." in name and last in REMOVALS


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module: str) -> None:
    """Base modules < stages, none of which knows another < maintenance < daemon < cli; no stage knows config."""
    allowed = MAY_IMPORT[part_of(module)]
    ours = [name.split(".")[1] for name in imports(module) if name.split(".")[0] == PACKAGE]
    assert not {name for name in ours if f"{name}.py" in MODULES or (SOURCE / name).is_dir()} - allowed


@pytest.mark.parametrize("module", [module for module in MODULES if part_of(module) == "demo"])
def test_the_demo_needs_numpy_alone(module: str) -> None:
    """It is there to try everything on, wherever that is."""
    foreign = {name.split(".")[0] for name in imports(module)} - set(sys.stdlib_module_names)
    assert foreign <= {PACKAGE, "numpy"}


@pytest.mark.parametrize("module", [module for module in MODULES if part_of(module) not in OWN_CLOCK])
def test_now_is_an_argument(module: str) -> None:
    """Only the daemon and the commands read the clock; nor is it passed about as a default."""
    named = {ast.unparse(node) for node in ast.walk(MODULES[module]) if isinstance(node, ast.Attribute)}
    assert not {name for name in named if any(name == clock or name.endswith(f".{clock}") for clock in CLOCKS)}
    assert not {"time.time", "time.time_ns"} & set(imports(module))


@pytest.mark.parametrize("module", MODULES)
def test_only_eviction_removes_files(module: str) -> None:
    """What acts elsewhere is listed above with its reason; a reason without an act is struck off."""
    found = [f"line {call.lineno}: {name}" for name, call in calls(module) if _removes(name, call)]
    if part_of(module) != "eviction":
        assert bool(found) == (module in REMOVES_TOO), found


INODES = {
    "paths.py": "inode_of, which all others ask",
    "cache/listing.py": "the hottest loop of a scan, in which a call would show",
}
"""Modules that read the inode of a status, and why."""


@pytest.mark.parametrize("module", MODULES)
def test_inodes_are_signed_numbers(module: str) -> None:
    """A file system may use all 64 bits, which no column holds: two readings of one inode must agree."""
    names = {node.attr for node in ast.walk(MODULES[module]) if isinstance(node, ast.Attribute)}
    assert ("st_ino" in names) == (module in INODES)


@pytest.mark.parametrize("module", MODULES)
def test_functions_are_short_and_take_few_arguments(module: str) -> None:
    """Up to 40 lines, and five arguments by position."""
    for function in functions(module):
        assert function.end_lineno is not None
        assert function.end_lineno - function.lineno < 40, f"{function.name} is too long"
        arguments = [argument.arg for argument in function.args.posonlyargs + function.args.args]
        assert len([name for name in arguments if name not in ("self", "cls")]) <= 5, f"{function.name} takes too many"


@pytest.mark.parametrize("module", MODULES)
def test_files_are_short_and_say_what_they_are(module: str) -> None:
    """Up to 300 lines, and a docstring."""
    length = len((SOURCE / module).read_text().splitlines())
    assert length <= 300, length
    assert ast.get_docstring(MODULES[module]) or module.endswith("__init__.py")


def test_the_rules_are_about_modules_that_exist() -> None:
    """A rule for a module that went away holds nothing."""
    parts = {part_of(module) for module in MODULES}
    assert parts == set(MAY_IMPORT)
    assert {*REMOVES_TOO, *INODES} <= set(MODULES)
