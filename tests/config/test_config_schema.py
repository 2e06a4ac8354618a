"""The published JSON Schema says what the loader does, as far as a schema can."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from config_files import BAD, CONFIG, SHIPPED, remarks
from jsonschema import Draft202012Validator

from audio_cache_daemon.config.document import DOCUMENT
from audio_cache_daemon.config.scalars import Scalar
from audio_cache_daemon.config.schema import json_schema
from audio_cache_daemon.config.shapes import Section


def test_the_shipped_schema_is_the_generated_one() -> None:
    """`audio-cache-daemon schema > config/schema.json` brings it up to date."""
    assert json.loads((CONFIG / "schema.json").read_text()) == json_schema()


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_fits_the_schema(path: Path) -> None:
    errors = Draft202012Validator(json_schema()).iter_errors(yaml.safe_load(path.read_text()))
    assert [error.message for error in errors] == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_names_the_schema_in_its_first_line(path: Path) -> None:
    mark, _, reference = path.read_text().splitlines()[0].partition("$schema=")
    assert mark == "# yaml-language-server: "
    assert (path.parent / reference).resolve() == (CONFIG / "schema.json").resolve()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_the_schema_refuses_a_bad_sample_unless_no_schema_could(path: Path) -> None:
    """A remark `# schema: accepts` stands where only the loader can know, `cannot read` where there is no document."""
    verdict = remarks(path, "schema")
    if verdict == ["cannot read"]:
        return
    valid = Draft202012Validator(json_schema()).is_valid(yaml.safe_load(path.read_text()))
    assert valid == (verdict == ["accepts"])


def test_a_default_in_the_schema_is_written_as_the_loader_reads_it() -> None:
    seen = 0
    for section in _sections(DOCUMENT):
        for name, key in section.keys.items():
            default = section.default(name)
            if isinstance(key.shape, Scalar) and default is not None:
                seen += 1
                written = str(default).removesuffix(".0")
                assert key.shape.parse(written) == section.parameter(name).default or name == "listen"
    assert seen > 15


def _sections(shape: object) -> list[Section]:
    if isinstance(shape, Section):
        return [shape, *(section for key in shape.keys.values() for section in _sections(key.shape))]
    return _sections(getattr(shape, "item", None) or getattr(shape, "value", None)) if shape is not None else []
