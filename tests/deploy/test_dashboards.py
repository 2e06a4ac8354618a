"""The dashboards: what the script beside them makes, and what Grafana and its readers need."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from monitoring_files import DASHBOARDS, GRAFANA, ROOT, Json, Query, panel_queries, panels

EVERY_DASHBOARD = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
EVERY_QUERY = pytest.mark.parametrize("query", list(panel_queries()), ids=lambda query: query.name)


def everything(path: Path) -> list[Json]:
    """All panels of a dashboard, headings included."""
    found: list[Json] = json.loads(path.read_text())["panels"]
    return found


def test_the_script_makes_what_is_committed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, GRAFANA / "dashboards.py", tmp_path], check=True)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text() for path in DASHBOARDS}
    assert set(made) == {"cache.json", "operation.json"}


@EVERY_DASHBOARD
def test_panels_have_ids_and_queries_have_letters_of_their_own(path: Path) -> None:
    ids = [panel["id"] for panel in everything(path)]
    assert len(set(ids)) == len(ids) > 20
    assert 0 not in ids
    for panel in panels(path):
        letters = [target["refId"] for target in panel["targets"]]
        assert all(letters)
        assert len(set(letters)) == len(letters) > 0


@EVERY_DASHBOARD
def test_each_panel_says_what_it_shows_and_in_which_unit(path: Path) -> None:
    titles = [panel["title"] for panel in everything(path)]
    assert len(set(titles)) == len(titles)
    for panel in panels(path):
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]


@EVERY_DASHBOARD
def test_all_asks_the_data_source_that_was_chosen(path: Path) -> None:
    dashboard = json.loads(path.read_text())
    variables = dashboard["templating"]["list"]
    assert [variable["name"] for variable in variables] == ["datasource", "job", "cache"]
    asking = [*panels(path), *(target for panel in panels(path) for target in panel["targets"]), *variables[1:]]
    assert {part["datasource"]["uid"] for part in asking} == {"${datasource}"}


@EVERY_QUERY
def test_a_query_is_of_the_chosen_job_and_cache_and_over_a_fitting_window(query: Query) -> None:
    """Rates are over what Grafana finds fit, totals over the time shown, trends over six hours."""
    assert 'job=~"$job"' in query.expr
    assert 'cache=~"$cache"' in query.expr or "{{cache}}" not in query.legend
    for function, window in re.findall(r"(\w+)\([^()\[]*(?:\{[^}]*\})?\[([^\]]+)\]", query.expr):
        allowed = {"predict_linear": {"6h"}, "increase": {"$__rate_interval", "$__range"}}
        assert window in allowed.get(function, {"$__rate_interval"})
    assert query.expr.count("[") == len(re.findall(r"\[(?:\$__rate_interval|\$__range|6h)\]", query.expr))


@EVERY_DASHBOARD
def test_no_panel_lies_on_another_or_beyond_the_edge(path: Path) -> None:
    places = [panel["gridPos"] for panel in everything(path)]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    assert not [pair for pair in combinations(places, 2) if overlap(*pair)]


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    return not beside and one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"]


def test_dashboards_are_told_apart_and_lead_to_each_other() -> None:
    dashboards = [json.loads(path.read_text()) for path in DASHBOARDS]
    assert [dashboard["uid"] for dashboard in dashboards] == ["audio-cache-cache", "audio-cache-operation"]
    for dashboard in dashboards:
        assert [set(link["tags"]) <= set(dashboard["tags"]) for link in dashboard["links"]] == [True]


def test_provisioning_is_as_the_readme_says() -> None:
    """The directory of the dashboards is the one that they are copied to."""
    provider = load(GRAFANA / "provisioning/dashboards/audio-cache-daemon.yml")["providers"][0]
    assert provider["type"] == "file"
    assert provider["options"]["path"] in (ROOT / "README.md").read_text()
    source = load(GRAFANA / "provisioning/datasources/prometheus.yml")["datasources"][0]
    example = load(ROOT / "deploy/prometheus/prometheus.yml")
    assert (source["type"], source["jsonData"]["timeInterval"]) == ("prometheus", example["global"]["scrape_interval"])


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())
