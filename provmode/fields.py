"""Fields of the JSON files that provmode writes and reads: the values a field allows, as a schema and as a check.

Each kind of step and each journal event declares its fields with these. The reader checks a file with `Field.accepts`,
and the documents in ``docs/`` contain `Field.schema`, so the two cannot drift apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Field:
    """One field of a JSON object."""

    schema: Mapping[str, Any]
    """The field's JSON Schema (2020-12)."""
    accepts: Callable[[Any], bool]
    """Return whether the field allows a value read from JSON."""
    optional: bool = False


def one_of(*values: Any) -> Field:
    """Return a field that allows *values* only; a number does not match a boolean."""
    schema = {"const": values[0]} if len(values) == 1 else {"enum": list(values)}
    return Field(schema, lambda value: any(type(value) is type(other) and value == other for other in values))


def matching(pattern: str) -> Field:
    """Return a field that allows a text that as a whole matches *pattern*."""
    return Field(
        {"type": "string", "pattern": f"^{pattern}$"},
        lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None,
    )


TEXT = Field({"type": "string", "minLength": 1}, lambda value: isinstance(value, str) and value != "")
ANY_TEXT = Field({"type": "string"}, lambda value: isinstance(value, str))
NUMBER = Field({"type": "integer", "minimum": 0}, lambda value: type(value) is int and value >= 0)
BOOLEAN = Field({"type": "boolean"}, lambda value: isinstance(value, bool))
OBJECT = Field({"type": "object"}, lambda value: isinstance(value, dict))
DIGEST = Field(
    {"$ref": "#/$defs/digest"},
    lambda value: isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None,
)
"""A SHA-256 in hexadecimal."""
LINES = Field(
    {"type": "array", "items": {"type": "string"}},
    lambda value: isinstance(value, list) and all(isinstance(line, str) for line in value),
)


def object_schema(description: str, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Return the JSON schema of an object with these *fields* and no others."""
    return {
        "type": "object",
        "description": description,
        "required": [name for name, field in fields.items() if not field.optional],
        "additionalProperties": False,
        "properties": {name: dict(field.schema) for name, field in fields.items()},
    }
