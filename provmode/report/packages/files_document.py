"""Packages in files as JSON (contract): what each command of ``provmode package`` prints, and the schema of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provmode import __version__
from provmode.fields import ANY_TEXT, BOOLEAN, LINES, NUMBER, TEXT, Field, object_schema, one_of
from provmode.packages.diff import Change, What
from provmode.packages.document import package_document
from provmode.packages.errors import PackageUnreadable, Unreadable
from provmode.packages.findings import FINDINGS, Weight
from provmode.packages.model import Holds, Stage
from provmode.packages.precedence import Outcome, Resolved
from provmode.reading import plain
from provmode.report.packages.files import ReadFile

FORMAT, VERSION = "provmode-package", 1
COMMANDS = ("show", "lint", "diff", "resolve")


def shown(files: Sequence[ReadFile]) -> dict[str, Any]:
    """Return what ``show`` prints."""
    return _document("show", [_file(file, whole=True) for file in files])


def linted(files: Sequence[ReadFile]) -> dict[str, Any]:
    """Return what ``lint`` prints."""
    return _document("lint", [{**_file(file), "findings": plain(file.findings)} for file in files])


def differing(old: ReadFile, new: ReadFile, changes: Sequence[Change]) -> dict[str, Any]:
    """Return what ``diff`` prints."""
    return {**_document("diff", [_file(old), _file(new)]), "changes": plain(changes)}


def resolving(files: Sequence[ReadFile], resolved: Resolved) -> dict[str, Any]:
    """Return what ``resolve`` prints."""
    kept = resolved.kept
    return {
        **_document("resolve", [_file(file) for file in files]),
        "settings": plain(resolved.settings),
        "replaced": [{"package": plain(old), "by": plain(new)} for old, new in kept.replaced],
        "copies": [{"package": plain(copy), "of": plain(other)} for copy, other in kept.copies],
        "commands": resolved.commands,
        "findings": plain(resolved.findings),
    }


def _document(command: str, files: list[dict[str, Any]]) -> dict[str, Any]:
    return {"format": FORMAT, "version": VERSION, "provmode": __version__, "command": command, "files": files}


def _file(file: ReadFile, *, whole: bool = False) -> dict[str, Any]:
    found = file.found
    if isinstance(found, PackageUnreadable):
        told = {"cause": found.cause.value, "text": found.what, "next_step": found.next_step}
        return {"file": file.name, "package": None, "unreadable": told}
    named = {"id": found.metadata.id, "name": found.metadata.name, "version": found.metadata.version}
    document = package_document(found, file.findings) if whole else named
    return {"file": file.name, "package": document, "unreadable": None}


# -- the schema -----------------------------------------------------------------------------------------------------


def _or_null(field: Field) -> Field:
    return Field({"anyOf": [dict(field.schema), {"type": "null"}]}, lambda value: value is None or field.accepts(value))


def _list(field: Field) -> Field:
    return Field(
        {"type": "array", "items": dict(field.schema)},
        lambda value: isinstance(value, list) and all(field.accepts(each) for each in value),
    )


def _object(description: str, fields: Mapping[str, Field]) -> Field:
    def accepts(value: Any) -> bool:
        needed = {name for name, field in fields.items() if not field.optional}
        return (
            isinstance(value, dict)
            and needed <= set(value) <= set(fields)
            and all(fields[name].accepts(each) for name, each in value.items())
        )

    return Field(object_schema(description, fields), accepts)


_WHOLE = Field({"type": "integer"}, lambda value: type(value) is int)
_TIME = Field({"type": "string", "format": "date-time"}, lambda value: isinstance(value, str))
_READING = Field(
    {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "propertyNames": {"enum": ["known", "absent", "unknown"]},
    },
    lambda value: isinstance(value, dict) and len(value) == 1 and set(value) <= {"known", "absent", "unknown"},
)

FINDING = _object(
    "A finding; a hint does not make a package unclean.",
    {
        "code": one_of(*FINDINGS),
        "weight": one_of(*(each.value for each in Weight)),
        "text": TEXT,
        "to_do": TEXT,
    },
)
CONDITION = _object(
    "A condition. `priority` is null for a name that Microsoft does not describe.",
    {
        **{"name": ANY_TEXT, "value": ANY_TEXT},
        **{"priority": _or_null(NUMBER), "match": one_of("equal", "pattern", "range")},
    },
)
STATE = _object("Conditions that have to hold together.", {"target": ANY_TEXT, "conditions": _list(CONDITION)})
WHEN = _object(
    "When a setting applies: if one of the states holds.",
    {"kind": one_of("variant", "profile"), "states": _list(STATE), "missing": LINES},
)
SETTING = _object(
    "A setting. The value of a secret is never there; in other values secrets are replaced.",
    {
        "path": TEXT,
        "holds": one_of(*(each.value for each in Holds)),
        "value": _or_null(ANY_TEXT),
        "masked": BOOLEAN,
        "stage": one_of(*(each.value for each in Stage)),
        "stage_name": ANY_TEXT,
        "when": _or_null(WHEN),
    },
)
COMMAND = _object(
    "A command that Windows runs when it applies the package; secrets in its line are replaced.",
    {
        "context": ANY_TEXT,
        "name": ANY_TEXT,
        "order": NUMBER,
        "line": ANY_TEXT,
        "masked": BOOLEAN,
        "files": LINES,
        "continue_install": ANY_TEXT,
        "restart_required": ANY_TEXT,
        "success_codes": ANY_TEXT,
        "restart_codes": ANY_TEXT,
        "only_compiled": BOOLEAN,
        "as_system": _or_null(BOOLEAN),
        "when": _or_null(WHEN),
    },
)
ASSET = _object(
    "A file that comes with the package. `matches`: whether its content has that SHA-256; null if it was not read.",
    {"path": TEXT, "name": ANY_TEXT, "size": NUMBER, "sha256": ANY_TEXT, "sha1": TEXT, "matches": _or_null(BOOLEAN)},
)
SECRET = _object("A secret by its place and kind.", {"place": TEXT, "kind": TEXT, "copies": LINES})
TOKEN = _object("A token for bulk enrolment.", {"place": TEXT, "dead_at": _or_null(_TIME)})
CERTIFICATE = _object(
    "A certificate.",
    {
        **dict.fromkeys(("subject", "issuer", "sha1", "sha256"), ANY_TEXT),
        **{"not_before": _TIME, "not_after": _TIME},
    },
)
SIGNATURE = _object(
    "Three answers: by whom, intact, when. Whether a PC trusts it, only that PC can tell.",
    {
        **dict.fromkeys(("signer", "intact", "stamped"), _READING),
        **{"claimed_at": _or_null(_TIME), "issuers": _list(CERTIFICATE)},
    },
)
PACKAGE = _object(
    "What is in a package.",
    {
        **dict.fromkeys(("id", "name", "version", "owner"), ANY_TEXT),
        **{name: _or_null(_WHOLE) for name in ("rank", "altitude", "precedence")},
        **dict.fromkeys(("notes", "description", "author", "designer", "made_by", "target_skus"), ANY_TEXT),
        **{name: _or_null(_TIME) for name in ("created", "modified")},
        **{name: _or_null(BOOLEAN) for name in ("encrypt_package", "sign_package")},
        "size": NUMBER,
        "files": NUMBER,
        "stages": LINES,
        "settings": _list(SETTING),
        "commands": _list(COMMAND),
        "assets": _list(ASSET),
        "secrets": _list(SECRET),
        "tokens": _list(TOKEN),
        "signature": SIGNATURE,
        "findings": _list(FINDING),
    },
)
NAMED = _object("Which package it is.", dict.fromkeys(("id", "name", "version"), ANY_TEXT))
UNREADABLE = _object(
    "Why a package could not be read: what is in it could not be told.",
    {"cause": one_of(*(each.value for each in Unreadable)), "text": TEXT, "next_step": ANY_TEXT},
)
GIVEN = _object(
    "A package and its file. `ordered_by` is null if where it stands is not known.",
    {
        **dict.fromkeys(("file", "id", "name", "version", "owner"), ANY_TEXT),
        **{name: _or_null(_WHOLE) for name in ("rank", "precedence", "ordered_by")},
    },
)
CANDIDATE = _object("A value that a package sets.", {"package": GIVEN, "setting": SETTING})
RESOLUTION = _object(
    "What holds for one setting. The candidates are from the highest to the lowest.",
    {
        "path": TEXT,
        "outcome": one_of(*(each.value for each in Outcome)),
        "why": TEXT,
        "winner": _or_null(GIVEN),
        "candidates": _list(CANDIDATE),
        "may_win": _list(CANDIDATE),
        "note": ANY_TEXT,
        "observed": _or_null(_READING),
        "difference": _or_null(FINDING),
    },
)
CHANGE = _object(
    "One difference. What is a secret has no values.",
    {
        "part": one_of("metadata", "signature", "setting", "stage", "command", "asset", "secret", "finding"),
        "place": TEXT,
        "what": one_of(*(each.value for each in What)),
        "before": _or_null(ANY_TEXT),
        "after": _or_null(ANY_TEXT),
    },
)
FILE = {"file": ANY_TEXT, "package": _or_null(NAMED), "unreadable": _or_null(UNREADABLE)}
DOCUMENTS: Mapping[str, Mapping[str, Field]] = {
    "show": {"files": _list(_object("A file.", {**FILE, "package": _or_null(PACKAGE)}))},
    "lint": {"files": _list(_object("A file.", {**FILE, "findings": _list(FINDING)}))},
    "diff": {"files": _list(_object("A file.", FILE)), "changes": _list(CHANGE)},
    "resolve": {
        "files": _list(_object("A file.", FILE)),
        "settings": _list(RESOLUTION),
        "replaced": _list(_object("An older version, and the newer.", {"package": GIVEN, "by": GIVEN})),
        "copies": _list(_object("A copy.", {"package": GIVEN, "of": GIVEN})),
        "commands": NUMBER,
        "findings": _list(FINDING),
    },
}
"""What each command prints besides `format`, `version`, `provmode` and `command`."""


def document_of(command: str) -> Field:
    """Return the whole document of a command, as a check and as a schema."""
    head = {"format": one_of(FORMAT), "version": one_of(VERSION), "provmode": TEXT, "command": one_of(command)}
    return _object(f"What `provmode package {command}` prints.", {**head, **DOCUMENTS[command]})


def schema() -> dict[str, Any]:
    """Return the JSON schema of all of them."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:provmode:package:1",
        "title": "Provisioning packages as provmode reads them, version 1",
        "description": (
            "Written by `provmode package show|lint|diff|resolve --format json`. Later versions of provmode may add "
            "fields; the fields here stay what they are while `version` is 1."
        ),
        "oneOf": [_open(document_of(command).schema) for command in COMMANDS],
        "$defs": {name: _open(field.schema, inside=False) for name, field in SHARED.items()},
    }


SHARED: Mapping[str, Field] = {
    **{"finding": FINDING, "when": WHEN, "setting": SETTING, "command": COMMAND, "asset": ASSET},
    **{"certificate": CERTIFICATE, "signature": SIGNATURE, "package": PACKAGE, "named": NAMED},
    **{"unreadable": UNREADABLE, "given": GIVEN, "candidate": CANDIDATE, "resolution": RESOLUTION, "change": CHANGE},
}
"""What stands in the schema once, by its name there."""


def _open(part: Any, *, inside: bool = True) -> Any:
    """Return a schema that allows more fields than it names, since later versions may add some, and refers to parts."""
    if isinstance(part, Mapping):
        name = next((name for name, field in SHARED.items() if inside and field.schema == part), None)
        if name is not None:
            return {"$ref": f"#/$defs/{name}"}
        return {key: _open(value) for key, value in part.items() if key != "additionalProperties"}
    return [_open(each) for each in part] if isinstance(part, list) else part
