"""The JSON Schema of the configuration file, for editors; made from the same description as the reader."""

from __future__ import annotations

from audio_cache_daemon.config.document import DOCUMENT
from audio_cache_daemon.config.scalars import Scalar
from audio_cache_daemon.config.shapes import ListOf, MapOf, Section, Shape

_REFERENCE = {"$ref": "#/$defs/reference"}


def json_schema() -> dict[str, object]:
    """The schema of a whole file, as JSON values; kinds of scalars are under `$defs`."""
    definitions: dict[str, object] = {
        "reference": {
            "type": "string",
            "pattern": r"\$\{",
            "description": "${NAME} or ${NAME:-default}: the environment's value.",
        }
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of audio-cache-daemon",
        **_schema_of(DOCUMENT, definitions),
        "$defs": definitions,
    }


def _schema_of(shape: Shape, definitions: dict[str, object]) -> dict[str, object]:
    match shape:
        case Scalar():
            definitions[shape.name] = {"description": shape.expected, "anyOf": [dict(shape.schema), _REFERENCE]}
            return {"$ref": f"#/$defs/{shape.name}"}
        case ListOf():
            length = {"minItems": shape.at_least} if shape.at_least else {}
            return {"type": "array", "items": _schema_of(shape.item, definitions), **length}
        case MapOf():
            return {
                "type": "object",
                "propertyNames": dict(shape.name.schema),
                "additionalProperties": _schema_of(shape.value, definitions),
                "minProperties": 1,
            }
        case Section():
            return _schema_of_section(shape, definitions)


def _schema_of_section(section: Section, definitions: dict[str, object]) -> dict[str, object]:
    properties = {}
    for name, key in section.keys.items():
        default = section.default(name)
        properties[name] = {
            **_schema_of(key.shape, definitions),
            "description": key.description,
            **({} if default is None else {"default": default}),
        }
    return {
        "type": "object",
        "properties": properties,
        "required": section.required(),
        "additionalProperties": False,
        **({"oneOf": _alternatives(section)} if section.exactly_one else {}),
        **({"dependentSchemas": _companies(section)} if section.only_beside else {}),
    }


def _alternatives(section: Section) -> list[dict[str, object]]:
    """One schema for each key of `exactly_one`; one that may join others stands alone only without them."""
    others = [{"required": [name]} for name in section.exactly_one if name not in section.may_join]
    return [
        {"required": [name], **({"not": {"anyOf": others}} if name in section.may_join else {})}
        for name in section.exactly_one
    ]


def _companies(section: Section) -> dict[str, object]:
    """For each key that goes only with another: what that one has to be."""
    return {
        name: {"properties": {other: {"const": text}}, "required": [other]}
        for name, (other, text) in section.only_beside.items()
    }
