"""A real Prometheus with the shipped rules and configuration, but that it scrapes and evaluates four times a second."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml
from monitoring_files import PROMETHEUS, RULE_FILES
from services import ServiceProcess

_QUICK = "250ms"

_READY = "ready to receive web requests"


class PrometheusServer:
    """Scrapes what `scrape` says of its one job, until it is closed. `directory` is for its data, and must exist."""

    def __init__(self, program: str, directory: Path, scrape: Mapping[str, object]) -> None:
        for path in RULE_FILES:
            shutil.copy(path, directory)
        config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": _QUICK, "scrape_timeout": _QUICK, "evaluation_interval": _QUICK}
        config["scrape_configs"][0].update(scrape)
        (directory / "prometheus.yml").write_text(json.dumps(config))
        options = [
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            "--web.listen-address=127.0.0.1:0",
            "--log.format=json",
        ]
        self._process = ServiceProcess([program, *options], {})
        try:
            self._address = self._process.wait_for("Listening on")["address"]
            # It says so before or after where it listens.
            if not self._process.said(_READY):
                self._process.wait_for(_READY)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._process.clean_up()

    def get(self, path: str, **parameters: object) -> Any:
        """The data that an address of the interface answers with."""
        with urlopen(f"http://{self._address}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def has_data(self, expr: str) -> bool:
        """Whether an expression yields numbers within the last ten seconds."""
        now = time.time()
        found = self.get("query_range", query=expr, start=now - 10, end=now, step=1)["result"]
        return any(not math.isnan(float(value)) for series in found for _, value in series["values"])
