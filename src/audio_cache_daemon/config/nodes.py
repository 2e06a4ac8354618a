"""YAML text to nodes that know their lines. Nothing is constructed, so no tag can run anything."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from audio_cache_daemon.config.problems import ConfigProblem

_DEEPEST = 30
"""Nesting that is read. The format needs 7; the C parser's recursion would overflow the stack at some 20,000."""

_MERGE = "tag:yaml.org,2002:merge"
_PREFIX = "tag:yaml.org,2002:"

_Loader: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UnreadableYamlError(Exception):
    """The text is no YAML document; `problem` says where and why."""

    def __init__(self, problem: ConfigProblem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def compose(text: str) -> yaml.Node | None:
    """The root node of a document, None when it is empty; UnreadableYamlError when it is none."""
    try:
        _check_depth(text)
        return yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise UnreadableYamlError(_syntax_problem(error, text)) from None


def line_of(node: yaml.Node | yaml.Event) -> int:
    """The line (from 1) on which a node begins."""
    return node.start_mark.line + 1 if node.start_mark else 1


def kind_of(node: yaml.Node) -> str:
    """The YAML type of a node: "str", "int", "null", "map"..."""
    return str(node.tag).removeprefix(_PREFIX)


def entries(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Keys and values of a mapping: its own, then those that `<<` brings in and that it hasn't itself."""
    mappings, seen = [node], set[str]()
    for mapping in mappings:
        for key, value in mapping.value:
            merged = _merged(value) if key.tag == _MERGE else []
            if merged:
                mappings.extend(each for each in merged if each not in mappings)
            elif mapping is node or key.value not in seen:
                yield key, value
        seen.update(key.value for key, _ in mapping.value if isinstance(key, yaml.ScalarNode))


def _merged(node: yaml.Node) -> list[yaml.MappingNode]:
    """The mappings that stand beside a `<<`; none if anything else is among them."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    mappings = [each for each in nodes if isinstance(each, yaml.MappingNode)]
    return mappings if len(mappings) == len(nodes) else []


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            found = f"lists and mappings nested more than {_DEEPEST} deep"
            raise UnreadableYamlError(ConfigProblem(line_of(event), "", found, "7 levels at most"))


def _syntax_problem(error: yaml.YAMLError, text: str) -> ConfigProblem:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return ConfigProblem(None, "", f"no YAML ({' '.join(str(error).split())})", "a YAML document")
    line = [*text.splitlines()[: mark.line + 1], ""][mark.line]
    expected = "a YAML document"
    if "\t" in line[: mark.column + 1]:
        expected = "blanks instead of the tab"
    elif "${" in line:
        expected = "quotes around a value with ${...} that stands within { } or [ ]"
    context = f" {error.context}" if error.context else ""
    return ConfigProblem(mark.line + 1, "", f"{error.problem}{context}", expected)
