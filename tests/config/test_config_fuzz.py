"""Whatever a configuration file holds, loading it ends in settings or in a message."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from config_files import DEFAULT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audio_cache_daemon.config.document import DOCUMENT
from audio_cache_daemon.config.lint import lint
from audio_cache_daemon.config.load import load_settings
from audio_cache_daemon.config.problems import InvalidConfigError
from audio_cache_daemon.config.scalars import Scalar
from audio_cache_daemon.config.shapes import ListOf, MapOf, Shape

TEXT = DEFAULT.read_text()
MARKS = tuple("[]{}:,-#&*!|>'\"%@`?~<\t\n \0\x85\ufeff\ud7ff")
WORDS = ("&a ", "*a", "<<: *a", "!!int ", "${X}", "${X:-", "---", "..", "null", "9" * 400)
VALUES = ("30d", "20GiB", "10%", "< 1h", "/srv/a", "none", "never", "live", "@daily", "* * * * *", "standard", 1)

scraps = st.sampled_from(MARKS + WORDS)
odd_scalars = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.text(max_size=8), st.binary(max_size=3)),
)
scalars = st.sampled_from(VALUES) | odd_scalars
anything = st.recursive(scalars, lambda each: st.lists(each, max_size=3) | st.dictionaries(scalars, each, max_size=3))
thorough = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _examples(schema: Any) -> list[object]:
    alternatives = [example for each in schema.get("anyOf", []) for example in _examples(each)]
    given = [schema[key] for key in ("const", "minimum") if key in schema]
    return [*given, *schema.get("enum", []), *schema.get("examples", []), *alternatives]


def _nearly(shape: Shape) -> st.SearchStrategy[object]:
    """Documents of nearly the right shape."""
    right: st.SearchStrategy[object]
    if isinstance(shape, Scalar):
        right = st.sampled_from(_examples(shape.schema) or VALUES)
    elif isinstance(shape, ListOf):
        right = st.lists(_nearly(shape.item), min_size=shape.at_least, max_size=3)
    elif isinstance(shape, MapOf):
        names = st.sampled_from([*_examples(shape.name.schema), "X"])
        right = st.dictionaries(names, _nearly(shape.value), min_size=1, max_size=2)
    else:
        keys = {name: _nearly(key.shape) for name, key in shape.keys.items()}
        required = {name: keys.pop(name) for name in shape.required()}
        chosen = [{name: keys.pop(name)} for name in shape.exactly_one] or [{}]
        right = st.one_of(*(st.fixed_dictionaries({**required, **choice}, optional=keys) for choice in chosen))
    return st.integers(0, 60).flatmap(lambda number: anything if number == 60 else right)


def _load(directory: Path, text: str) -> None:
    path = directory / "config.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(InvalidConfigError):
        lint(load_settings(path, {"X": "\udcff[1"}))


@thorough
@given(text=st.text(max_size=60) | st.lists(scraps, max_size=30).map("".join))
def test_any_text_ends_in_settings_or_a_message(tmp_path: Path, text: str) -> None:
    _load(tmp_path, text)


@thorough
@given(document=_nearly(DOCUMENT))
def test_any_document_ends_in_settings_or_a_message(tmp_path: Path, document: object) -> None:
    _load(tmp_path, yaml.safe_dump(document, allow_unicode=True))


@thorough
@given(damage=st.lists(st.tuples(st.integers(0, len(TEXT)), st.integers(0, 80), scraps), min_size=1, max_size=4))
def test_any_damage_to_the_default_ends_in_settings_or_a_message(
    tmp_path: Path, damage: list[tuple[int, int, str]]
) -> None:
    text = TEXT
    for start, length, scrap in damage:
        text = text[:start] + scrap + text[start + length :]
    _load(tmp_path, text)
