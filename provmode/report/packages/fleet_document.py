"""The packages of a fleet as JSON (contract): the text, host by host, and the schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provmode.fields import ANY_TEXT, BOOLEAN, LINES, NUMBER, TEXT, Field, object_schema, one_of
from provmode.fleet.packages.found import FORMAT, VERSION, PackagesFound
from provmode.fleet.packages.kinds import FINDINGS
from provmode.packages.findings import Weight
from provmode.packages.on_pc.model import Place
from provmode.text import json_text


def written(found: PackagesFound) -> Iterator[str]:
    """Yield the parts of the document as text, each host on a line of its own."""
    yield json_text({**found.head(), "hosts": []}, 2).removesuffix("]\n}")
    between = "\n"
    for row in found.rows():
        yield f"{between}    {json_text(row)}"
        between = ",\n"
    yield "\n  ]\n}\n" if found.hosts else "]\n}\n"


_OBJECT = Field({"type": "object"}, lambda value: isinstance(value, dict))
_NOTHING = {"const": None}
_TIME = Field(
    {"oneOf": [{"type": "string", "format": "date-time"}, _NOTHING]},
    lambda value: value is None or isinstance(value, str),
)
_SIZE = Field({"oneOf": [dict(NUMBER.schema), _NOTHING]}, lambda value: value is None or type(value) is int)
_READING = Field(
    {
        "description": "known, absent, or unknown with its cause",
        "oneOf": [
            {"type": "object", "required": [name], "additionalProperties": False, "properties": {name: schema}}
            for name, schema in (("known", {}), ("absent", {"const": True}), ("unknown", {"type": "object"}))
        ],
    },
    lambda value: isinstance(value, dict) and len(value) == 1,
)

FINDING_FIELDS = {
    "code": one_of(*FINDINGS),
    "weight": one_of(*(weight.value for weight in Weight)),
    "text": TEXT,
    "package": ANY_TEXT,
    "to_do": TEXT,
}
UNREAD_FIELDS = {"text": ANY_TEXT, "cause": TEXT}
FILE_FIELDS = {
    "path": TEXT,
    "place": one_of(*(place.value for place in Place)),
    "size": _SIZE,
    "created": _TIME,
    "modified": _TIME,
    "sha256": _READING,
    "inbox": BOOLEAN,
}


def _optional(field: Field) -> Field:
    return Field(field.schema, field.accepts, optional=True)


def _list_of(description: str, fields: dict[str, Field], *, optional: bool = False) -> Field:
    items = object_schema(description, fields)
    return Field({"type": "array", "items": items}, lambda value: isinstance(value, list), optional)


def schema() -> dict[str, Any]:
    """Return the JSON schema of what `written` yields."""
    host = {
        "host": TEXT,
        "requests": NUMBER,
        "reason": _optional(TEXT),
        "cause": _optional(TEXT),
        "next_step": _optional(TEXT),
        "findings": _list_of("Something about the packages of the host.", FINDING_FIELDS),
        "unread": _list_of("Something that could not be told.", UNREAD_FIELDS),
        "packages": _list_of(
            "A package file; not there if the host could not be looked at.", FILE_FIELDS, optional=True
        ),
        "facts": _optional(_OBJECT),
        "winners": _optional(_OBJECT),
    }
    package = {
        "sha256": TEXT,
        "inbox": BOOLEAN,
        "names": LINES,
        "hosts": NUMBER,
        "places": _OBJECT,
        "package": _READING,
    }
    summary = dict.fromkeys(("total", "findings", "clean", "not_told", "unassessed", "packages", "inbox"), NUMBER)
    fields = {
        "format": one_of(FORMAT),
        "version": one_of(VERSION),
        "provmode": TEXT,
        "inventory": ANY_TEXT,
        "began": _TIME,
        "ended": _TIME,
        "summary": Field(object_schema("How many hosts, and how many different packages.", summary), _OBJECT.accepts),
        "packages": _list_of("A distinct package of the fleet.", package),
        "excluded": _optional(LINES),
        "interrupted": _optional(BOOLEAN),
        "missing": _optional(LINES),
        "hosts": _list_of("A host.", host),
    }
    body = object_schema(
        "The provisioning packages of a fleet. Written by `provmode package fleet --format json`. Later versions of "
        "provmode may add fields; the fields here stay what they are while `version` is 1.",
        fields,
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:provmode:packages:{VERSION}",
        "title": f"The packages of a fleet, version {VERSION}",
        **body,
    }
