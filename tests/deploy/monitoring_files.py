"""What is shipped for Prometheus and Grafana: the rules, the panels, and the queries in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import yaml

Json: TypeAlias = dict[str, Any]

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"
RULE_FILES = sorted(PROMETHEUS.glob("*.rules.yml"))
RULE_TESTS = sorted(Path(__file__).parent.glob("*.test.yml"))
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))

_SET_OPERATOR = re.compile(r"^(?:and|or|unless)(?: on \(\w*\))? ", re.MULTILINE)


class Query(NamedTuple):
    """A query of a panel, with its variables unfilled, and the legend of what it finds."""

    name: str
    expr: str
    legend: str


def rules() -> list[Json]:
    """All rules, recording ones and alerts."""
    return [
        rule for path in RULE_FILES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]
    ]


def recordings() -> list[Json]:
    return [rule for rule in rules() if "record" in rule]


def alerts() -> list[Json]:
    return [rule for rule in rules() if "alert" in rule]


def panels(path: Path) -> list[Json]:
    """The panels of a dashboard, without the headings of its rows."""
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


def panel_queries() -> Iterator[Query]:
    """The queries of all panels of all dashboards."""
    for path in DASHBOARDS:
        for panel in panels(path):
            for target in panel["targets"]:
                name = f"{path.stem}: {panel['title']} {target['refId']}"
                yield Query(name, target["expr"], target["legendFormat"])


def operands(expr: str) -> list[str]:
    """What an alert's expression joins by set operators, which begin a line: each can be asked for by itself."""
    return [part.strip() for part in _SET_OPERATOR.split(expr)]


def without_comparison(expr: str) -> str:
    """The same without leaving anything out: comparisons yield 0 or 1, and what is to be absent is asked for."""
    return re.sub(r"\s(==|>|<) ", r" \1 bool ", expr).replace("absent(", "count(")
