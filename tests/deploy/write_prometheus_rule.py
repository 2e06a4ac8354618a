"""Writes the rules of deploy/prometheus as a PrometheusRule: `make prometheus-rule`, after a change of them.

Kustomize can't put a file into a field of a resource.
"""

from __future__ import annotations

from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
RULE = DEPLOY / "kubernetes" / "overlays" / "monitoring" / "prometheusrule.yaml"
HEAD = "# Made by `make prometheus-rule` from deploy/prometheus/*.rules.yml.\n"


def make_rule() -> str:
    """The text of the resource: the groups of all files."""
    files = sorted((DEPLOY / "prometheus").glob("*.rules.yml"), reverse=True)
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "audio-cache-daemon"},
        "spec": {"groups": groups},
    }
    return HEAD + yaml.dump(resource, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


class _Plain(yaml.SafeDumper):
    """Writes out what is said twice, and a text of several lines as one."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Plain.add_representer(str, _text)


if __name__ == "__main__":
    RULE.write_text(make_rule())
