"""YAML nodes to values, as `document.py` describes them; every problem is noted and the reading goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

import yaml

from audio_cache_daemon.config.nodes import entries, kind_of, line_of
from audio_cache_daemon.config.problems import ConfigProblem
from audio_cache_daemon.config.scalars import Scalar
from audio_cache_daemon.config.shapes import ListOf, MapOf, Section, Shape

_MOST_VALUES = 20_000
"""Values that are read. Aliases of aliases can ask for billions; a large real file has hundreds."""

_SHOWN_CHARACTERS = 60
_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$\{")
_KINDS = {"str": "text", "int": "a number", "float": "a number", "bool": "true or false", "timestamp": "a date"}
_INVALID = object()


class TooManyValuesError(Exception):
    """The aliases of a document unfold into more than anyone wrote by hand."""


class DocumentReader:
    """Reads one document; afterwards it knows the `problems`, the line of each key, and the value of each scalar.

    Keys are whole paths: "policies.standard.rules[0].name". `environment` is what the document took from there.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.problems: list[ConfigProblem] = []
        self.lines: dict[str, int] = {}
        self.scalars: dict[str, object] = {}
        self.environment: dict[str, str] = {}
        self._environ = environ
        self._values = 0

    def read(self, node: yaml.Node, shape: Shape, key: str = "") -> object:
        """The value of a node; what is no such value is left out, up to the nearest thing that can be without it."""
        self._values += 1
        if self._values > _MOST_VALUES:
            raise TooManyValuesError
        if not isinstance(node, yaml.ScalarNode) and kind_of(node) not in ("map", "seq"):
            return self._refuse(node, key, f"the tag {node.tag!r}", shape.expected)
        match shape:
            case Scalar():
                return self._read_scalar(node, shape, key)
            case ListOf():
                return self._read_list(node, shape, key)
            case MapOf():
                return self._read_map(node, shape, key)
            case Section():
                return self._read_section(node, shape, key)

    def _read_scalar(self, node: yaml.Node, scalar: Scalar, key: str) -> object:
        if not isinstance(node, yaml.ScalarNode):
            return self._refuse(node, key, _shown(node), scalar.expected)
        text = self._expanded(node, key)
        if text is None:
            return _INVALID
        if text == node.value and kind_of(node) not in scalar.tags:
            return self._refuse(node, key, _shown(node), scalar.expected)
        try:
            self.scalars[key] = scalar.parse(text)
            return self.scalars[key]
        except ValueError as error:
            return self._refuse(node, key, _quoted(text, str(error)), scalar.expected)

    def _read_list(self, node: yaml.Node, shape: ListOf, key: str) -> object:
        if not isinstance(node, yaml.SequenceNode) or len(node.value) < shape.at_least:
            return self._refuse(node, key, _shown(node), shape.expected)
        items = (self.read(item, shape.item, f"{key}[{number}]") for number, item in enumerate(node.value))
        return tuple(item for item in items if item is not _INVALID)

    def _read_map(self, node: yaml.Node, shape: MapOf, key: str) -> object:
        if not isinstance(node, yaml.MappingNode) or not node.value:
            return self._refuse(node, key, _shown(node), shape.expected)
        values: dict[object, object] = {}
        for name, name_node, value_node in self._entries(node, key):
            path = _join(key, name)
            entry, value = self._read_name(name_node, shape.name, path), self.read(value_node, shape.value, path)
            if entry is not _INVALID and value is not _INVALID:
                values[entry] = value
        return values

    def _read_name(self, node: yaml.Node, scalar: Scalar, key: str) -> object:
        try:
            return scalar.parse(node.value)
        except ValueError as error:
            return self._refuse(node, key, _quoted(node.value, str(error)), scalar.expected)

    def _read_section(self, node: yaml.Node, section: Section, key: str) -> object:
        if not isinstance(node, yaml.MappingNode):
            return self._refuse(node, key, _shown(node), section.expected)
        values, given = dict[str, object](), list[str]()
        for name, name_node, value_node in self._entries(node, key):
            if name not in section.keys:
                self._refuse(name_node, _join(key, name), "an unknown key", _likely(name, section))
                continue
            given.append(name)
            value = self.read(value_node, section.keys[name].shape, _join(key, name))
            if value is not _INVALID:
                values[section.keys[name].parameter or name] = value
        complete = self._check_presence(node, section, given, key) and self._check_company(node, section, key)
        required = [section.keys[name].parameter or name for name in section.required()]
        if not complete or not values.keys() >= set(required):
            return _INVALID
        return section.make(**values)

    def _check_presence(self, node: yaml.Node, section: Section, given: list[str], key: str) -> bool:
        missing = [name for name in section.required() if name not in given]
        for name in missing:
            self._refuse(node, _join(key, name), "nothing (the key is missing)", section.keys[name].shape.expected)
        chosen = [name for name in section.exactly_one if name in given]
        if len(chosen) > 1:
            chosen = [name for name in chosen if name not in section.may_join]
        if section.exactly_one and len(chosen) != 1:
            joining = "".join(f" ({name} may stand beside another)" for name in section.may_join)
            expected = f"exactly one of {', '.join(section.exactly_one)}{joining}"
            self._refuse(node, key, " and ".join(chosen) or "none of them", expected)
            return False
        return not missing

    def _check_company(self, node: yaml.MappingNode, section: Section, key: str) -> bool:
        texts = {name.value: value.value for name, value in entries(node)}
        needed = {name: beside for name, beside in section.only_beside.items() if name in texts}
        alone = {name: (other, text) for name, (other, text) in needed.items() if texts.get(other) != text}
        for name, (other, text) in alone.items():
            self._refuse(node, _join(key, name), "a key that means nothing here", f"{other}: {text} beside it")
        return not alone

    def _entries(self, node: yaml.MappingNode, key: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        first: dict[str, int] = {}
        for name_node, value_node in entries(node):
            name = name_node.value
            if not isinstance(name, str):
                self._refuse(name_node, key, f"{_shown(name_node)} as a key", "text")
            elif name in first:
                found = f"the key a second time (first in line {first[name]})"
                self._refuse(name_node, _join(key, name), found, "each key once")
            else:
                first[name] = line_of(name_node)
                self.lines[_join(key, name)] = line_of(name_node)
                yield name, name_node, value_node

    def _expanded(self, node: yaml.ScalarNode, key: str) -> str | None:
        """The text of a scalar with its references to the environment resolved; None when one can't be."""
        problems = len(self.problems)

        def resolve(match: re.Match[str]) -> str:
            name, default = match["name"], match["default"]
            if match[0] == "$${":
                return "${"
            if name is None:
                self._refuse(node, key, _quoted(node.value), "${NAME} or ${NAME:-default} ($${ stands for a plain ${)")
                return ""
            value = self._environ.get(name)
            if value is None and default is None:
                self._refuse(
                    node, key, f"${{{name}}}, which is not set", f"it in the environment, or ${{{name}:-default}}"
                )
            self.environment[name] = value or default or ""
            return self.environment[name]

        text = _REFERENCE.sub(resolve, node.value)
        return text if len(self.problems) == problems else None

    def _refuse(self, node: yaml.Node, key: str, found: str, expected: str) -> object:
        self.problems.append(ConfigProblem(line_of(node), key, found, expected))
        return _INVALID


def _join(key: str, name: str) -> str:
    shown = name if name.isprintable() else repr(name)
    return f"{key}.{shown}" if key else shown


def _likely(name: str, section: Section) -> str:
    close = get_close_matches(name, section.keys, 1)
    return f"{close[0]} (did you mean that?)" if close else f"one of {', '.join(section.keys)}"


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        kind = kind_of(node)
        return "nothing" if kind == "null" else _quoted(node.value, _KINDS.get(kind, ""))
    kind = "list" if isinstance(node, yaml.SequenceNode) else "mapping"
    return f"a {kind}" if node.value else f"an empty {kind}"


def _quoted(text: str, remark: str = "") -> str:
    short = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
    return f"{short!r} ({remark})" if remark else repr(short)


def _reason(error: ValueError) -> str:
    return str(error)
