"""The schemas in docs agree with the tables that readers and writers use, and a new row needs no other change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar

import pytest

from provmode.fields import TEXT, Field
from provmode.fleet.journal import Journal, read
from provmode.fleet.journal_events import EVENTS, line_schema
from provmode.fleet.plan_file import load, sign, step_schema, write
from provmode.remediation.execute import CHANGED, StaleStep, execute
from provmode.remediation.steps import KINDS, Property, Step
from provmode.remediation.steps.base import Announce, Look, Work, no_look, register
from provmode.wsman import CommandLine, Completed, Operation

DOCS = Path(__file__).parents[2] / "docs"
KEPT = Path(__file__).parent / "version-1"
KEY = b"0123456789abcdef0123456789abcdef"


def now() -> datetime:
    return datetime(2026, 11, 26, tzinfo=timezone.utc)


def by_const(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return {row["properties"][name]["const"]: row for row in rows}


def test_the_plan_schema_has_the_steps_that_the_reader_accepts() -> None:
    documented = json.loads((DOCS / "plan.schema.json").read_text("utf-8"))["$defs"]["step"]
    made = step_schema()

    assert by_const(documented.pop("oneOf"), "kind") == by_const(made.pop("oneOf"), "kind")
    assert documented == made


def test_the_journal_schema_has_the_events_of_the_table() -> None:
    documented = json.loads((DOCS / "journal.schema.json").read_text("utf-8"))

    assert by_const(documented["oneOf"], "event") == by_const(line_schema()["oneOf"], "event")
    assert set(documented["$defs"]) == {"time", "digest", "signature"}


@pytest.mark.parametrize("kept", sorted(KEPT.glob("*.journal")), ids=lambda path: path.stem)
def test_every_line_of_a_kept_journal_conforms_to_the_schema(kept: Path) -> None:
    rows = by_const(json.loads((DOCS / "journal.schema.json").read_text("utf-8"))["oneOf"], "event")

    for line in kept.read_bytes().split(b"\n")[:-1]:
        document = json.loads(line)
        row, fields = rows[document["event"]], EVENTS[document["event"]].fields
        assert set(row["required"]) <= set(document) <= set(row["properties"])
        assert all(fields[name].accepts(document[name]) for name in fields if name in document)


def test_an_event_or_a_field_that_is_not_in_the_table_is_not_written(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "journal", "plan-1", now)

    with pytest.raises(KeyError):
        journal.write("coffee-made", host="PC-1")
    with pytest.raises(ValueError, match="step-ended has no field cup"):
        journal.write("step-ended", host="PC-1", number=0, ending="changed", cup="large")
    journal.close()
    assert read(tmp_path / "journal").lines == 2


# -- a new kind of step: one class, one registration ------------------------------------------------------------------


@pytest.fixture
def new_kind() -> Iterator[type[Step]]:
    @register
    @dataclass(frozen=True)
    class SetGreeting(Step):
        kind: ClassVar[str] = "greeting"
        plan_fields: ClassVar[dict[str, Field]] = {"before": TEXT, "after": TEXT}
        plan_description = "What the PC says at logon."
        before: str
        after: str

        @property
        def properties(self) -> tuple[Property, ...]:
            return (Property("greeting", self.before, self.after),)

        @property
        def operations(self) -> tuple[Operation, ...]:
            return (CommandLine(f"greet {self.after}"),)

        @property
        def undo(self) -> Step:
            return SetGreeting(self.after, self.before)

        def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
            current: Completed = yield CommandLine("greet")
            if current.stdout.decode() != self.before:
                raise StaleStep("the greeting is another one")
            announce(None)
            yield self.operations[0]
            return CHANGED

    yield SetGreeting
    del KINDS["greeting"]


def test_a_new_kind_of_step_is_planned_carried_out_journaled_and_undone(
    new_kind: Any, tmp_path: Path, drive: Any
) -> None:
    document = json.loads((KEPT / "three-armed.plan.json").read_text("utf-8"))
    step = new_kind("hello", "good morning")
    document["hosts"][0]["steps"] = [step.to_json()]
    write(tmp_path / "plan.json", sign(document, KEY))

    plan = load(tmp_path / "plan.json", KEY, unsigned=False, now=now())
    assert plan.changing[0].steps == (step,)
    assert by_const(step_schema()["oneOf"], "kind")["greeting"]["required"] == ["kind", "before", "after"]

    journal = Journal.create(tmp_path / "journal", plan.id, now)
    ending = drive(
        execute(step, announce=lambda previous: journal.step_begun("PC-00001", 0, step, previous)),
        Completed(0, b"hello", b""),
        Completed(0, b"", b""),
    )
    journal.write("step-ended", host="PC-00001", number=0, ending=ending)
    journal.close()

    (record,) = read(tmp_path / "journal").hosts["PC-00001"].steps
    assert (record.step, record.ending) == (step, "changed")
    assert record.step.undo == new_kind("good morning", "hello")
    allowed = by_const(line_schema()["oneOf"], "event")["step-begun"]["properties"]["step"]["properties"]["kind"][
        "enum"
    ]
    assert "greeting" in allowed
