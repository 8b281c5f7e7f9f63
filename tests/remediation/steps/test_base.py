"""What all steps have in common: their defaults, their JSON, the errors that say what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, ClassVar

import pytest

from provmode.ccm.model import ClientReadings
from provmode.remediation.execute import ALREADY, CHANGED, PAUSES, execute, no_look
from provmode.remediation.steps import KINDS, Property, SetRegistryKey, Step, step_from_json
from provmode.remediation.steps.base import Announce, Look, Work, not_proved, stale


@dataclass(frozen=True)
class Plain(Step):
    """A step that declares nothing but what it must."""

    kind: ClassVar[str] = "plain"
    words: tuple[str, ...] = ("a", "b")
    properties = (Property("x", "old", "new"),)
    operations = ()
    undo = None

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        yield from look()
        return "already"


def test_a_step_declares_only_what_sets_it_apart(converse: Callable[..., Any]) -> None:
    step = Plain()

    assert (step.text_diff(), step.diff_encoding(), step.in_words, step.plan_description) == ((), "", "", "")
    assert step.plan_fields is None
    assert step.only_after_changes is False
    assert step.still_done(ClientReadings(datetime(2026, 1, 1, tzinfo=timezone.utc)))
    assert step.to_json() == {"kind": "plain", "words": ["a", "b"]}
    assert str(step.properties[0]) == "x old -> new"
    assert converse(execute(step)) == converse(step.execute(lambda previous: None)), "nothing is asked by no_look"


def test_the_endings_are_the_words_of_the_journal() -> None:
    assert (CHANGED, ALREADY) == ("changed", "already")


def test_steps_and_their_properties_are_values() -> None:
    assert len({Property("x", "a", "b"), Property("x", "a", "b"), Plain(), Plain()}) == 2


def test_two_minutes_are_waited_at_first_in_short_steps() -> None:
    assert sum(PAUSES) == 120
    assert list(PAUSES) == [seconds for count, seconds in ((12, 1), (4, 2), (20, 5)) for _ in range(count)]


def test_the_errors_say_what_was_found_and_what_to_do() -> None:
    errors: Iterable[Any] = (stale("x", "old", "other"), not_proved("x", "new", "old"))

    assert [f"{type(error).__name__}: {error}" for error in errors] == [
        "StaleStep: x is other, not old as it was; look again and plan anew",
        "NotProved: x is old after the change, not new; look at the PC, then try again",
    ]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "None is not a kind of step"),
        ({"kind": 5}, "5 is not a kind of step"),
        (
            {"kind": "registry-key", "key": "x"},
            "a step of kind 'registry-key': TypeError: SetRegistryKey.__init__() missing 1 required positional "
            "argument: 'present'",
        ),
        ({"kind": "registry-value"}, "a step of kind 'registry-value': KeyError: 'before'"),
    ],
)
def test_a_document_that_is_not_a_step_is_named_in_the_error(document: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match="step") as raised:
        step_from_json(document)

    assert str(raised.value) == says


def test_a_document_is_read_without_being_changed() -> None:
    document = {"kind": "registry-key", "key": "HKLM\\X", "present": True}

    assert step_from_json(document) == SetRegistryKey("HKLM\\X", True)
    assert document["kind"] == "registry-key"


def test_every_kind_is_known_by_its_own_name() -> None:
    assert sorted(KINDS) == [
        *("file", "mode", "package-add", "package-remove", "policy", "registry-key", "registry-value"),
        *("service-dependencies", "service-state", "start-mode", "tcf"),
        *("trace-file", "trace-guard", "trace-lease", "trace-upload", "trusted-provisioner"),
    ]
    assert all(kind.kind == name for name, kind in KINDS.items())
