"""The annotated default file is a complete reference: each key, its default, what its absence means."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml
from config_files import DEFAULT, Load

from audio_cache_daemon.config.document import DOCUMENT
from audio_cache_daemon.config.problems import ConfigProblem, InvalidConfigError
from audio_cache_daemon.config.shapes import ListOf, MapOf, Section, Shape

TEXT = DEFAULT.read_text()
_AT_REST = re.compile(r"^( *)#(- )?(?=[a-z_]+:(?: |$))", re.MULTILINE)
_ENTRY_AT_REST = re.compile(r"^ *#- .*\n(?: *#.*\n)*", re.MULTILINE)


def _documented(shape: Shape, path: str = "") -> Iterator[tuple[str, Section, str]]:
    """Each key of the format: its path (`[]` an entry of a list, `*` a name of the operator's), and its section."""
    if isinstance(shape, ListOf):
        yield from _documented(shape.item, f"{path}[]")
    elif isinstance(shape, MapOf):
        yield from _documented(shape.value, f"{path}.*")
    elif isinstance(shape, Section):
        for name, key in shape.keys.items():
            here = f"{path}.{name}".lstrip(".")
            yield here, shape, name
            yield from _documented(key.shape, here)


def _present(node: yaml.Node, shape: Shape, path: str = "") -> Iterator[tuple[str, int]]:
    """Each key in the file, with its line (from 0)."""
    if isinstance(node, yaml.SequenceNode) and isinstance(shape, ListOf):
        for item in node.value:
            yield from _present(item, shape.item, f"{path}[]")
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(shape, MapOf):
                yield from _present(value, shape.value, f"{path}.*")
            elif isinstance(shape, Section):
                here = f"{path}.{key.value}".lstrip(".")
                yield here, key.start_mark.line
                yield from _present(value, shape.keys[key.value].shape, here)


def _woken(text: str) -> str:
    return _AT_REST.sub(lambda match: match[1] + (match[2] or ""), text)


def _first_lines() -> dict[str, int]:
    """Where each key first stands in the file, those at rest included."""
    root = yaml.compose(_woken(TEXT), Loader=yaml.SafeLoader)
    assert root is not None
    first: dict[str, int] = {}
    for path, line in _present(root, DOCUMENT):
        first.setdefault(path, line)
    return first


KEYS = list(_documented(DOCUMENT))
FIRST_LINES = _first_lines()


def _comment_above(line: int) -> str:
    lines = TEXT.splitlines()
    comment: list[str] = []
    while lines[line - 1].lstrip().startswith("# "):
        line -= 1
        comment.insert(0, lines[line].strip().removeprefix("# "))
    return " ".join(comment)


def _problems(load: Load, text: str) -> tuple[ConfigProblem, ...]:
    try:
        load(text)
    except InvalidConfigError as error:
        return error.problems
    return ()


@pytest.mark.parametrize(("path", "section", "name"), KEYS, ids=[path for path, _, _ in KEYS])
def test_each_key_is_there_with_its_default_or_what_its_absence_means(path: str, section: Section, name: str) -> None:
    comment = _comment_above(FIRST_LINES[path])
    default = section.default(name)
    if name in section.required():
        assert comment.endswith("Required.") or name == "name"
    elif default is not None:
        assert comment.endswith(f"Default: {default:g}." if isinstance(default, float) else f"Default: {default}.")
    else:
        assert "Absent: " in comment


def test_an_entry_at_rest_can_be_woken(load: Load) -> None:
    """With all of its keys: the file still loads."""
    for entry in _ENTRY_AT_REST.finditer(TEXT):
        assert _problems(load, TEXT[: entry.start()] + _woken(entry[0]) + TEXT[entry.end() :]) == ()


def test_a_key_at_rest_can_be_woken(load: Load) -> None:
    """Each alone: the file still loads, or the only problem is that the key replaces another."""
    entries = [range(*entry.span()) for entry in _ENTRY_AT_REST.finditer(TEXT)]
    for match in _AT_REST.finditer(TEXT):
        if any(match.start() in entry for entry in entries):
            continue
        problems = _problems(load, TEXT[: match.end() - 1] + TEXT[match.end() :])
        assert len(problems) <= 1
        assert all("one of" in problem.expected or "alone" in problem.expected for problem in problems)
