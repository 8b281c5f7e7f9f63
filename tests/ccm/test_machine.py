"""What kind of PC it is: known, absent, or could not tell; and only PCs that will be changed are asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provmode.ccm.machine import BUILD, MODEL, NOT_ASKED, Machine, known_of, machine
from provmode.errors import RemoteFault
from provmode.reading import Absent, Known, Unknown
from provmode.wsman import Instance, Invoke

SITE = Instance("GetStringValue_OUTPUT", {"ReturnValue": "0", "sValue": "Berlin"})
CODE = Instance("GetStringValue_OUTPUT", {"ReturnValue": "0", "sValue": "PS1"})
MISSING = Instance("GetStringValue_OUTPUT", {"ReturnValue": "1"})


def of(name: str, value: str | None) -> list[Instance]:
    return [Instance("Win32_Something", {name: value})]


def test_model_build_and_site_are_asked(drive: Any) -> None:
    found = drive(machine(), of("Model", " Latitude  7440 "), of("BuildNumber", "22631"), SITE)

    assert found == Machine(Known("Latitude 7440"), Known("22631"), Known("Berlin"), NOT_ASKED)


def test_only_without_a_site_of_active_directory_the_clients_own_is_asked(drive: Any) -> None:
    found = drive(machine(), of("Model", ""), of("BuildNumber", "22631"), MISSING, CODE)

    assert found == Machine(Absent(), Known("22631"), Absent(), Known("PS1"))


def test_what_could_not_be_told_is_not_known_and_takes_nothing_else_along(drive: Any) -> None:
    fault = RemoteFault("it failed", code=5, kind="provider-failure")

    found = drive(machine(), fault, [], fault, MISSING)

    assert isinstance(found.model, Unknown)
    assert isinstance(found.build, Unknown)
    assert isinstance(found.ad_site, Unknown)
    assert found.site_code == Absent()


def test_a_text_of_a_pc_is_short(drive: Any) -> None:
    found = drive(machine(), of("Model", "x" * 9999), of("BuildNumber", "1"), SITE)

    assert isinstance(found.model, Known)
    assert len(found.model.value) == 100


def test_the_questions_are_of_one_property_and_change_nothing() -> None:
    asked = machine()

    assert next(asked) == MODEL
    assert asked.send(of("Model", "a")) == BUILD
    question = asked.send(of("BuildNumber", "1"))
    assert isinstance(question, Invoke)
    assert question.method == "GetStringValue"


@pytest.mark.parametrize("document", [{}, {"machine": None}, {"machine": "no"}, {"machine": {"model": 5}}])
def test_a_plan_that_does_not_say_it_leaves_it_unknown(document: dict[str, Any]) -> None:
    assert known_of(document) == {}


def test_what_a_plan_says_is_read_back(drive: Any) -> None:
    found = drive(machine(), of("Model", "Latitude"), of("BuildNumber", "22631"), MISSING, CODE)

    read = known_of({"machine": json.loads(json.dumps(found.to_json()))})

    assert read == {"model": "Latitude", "build": "22631", "site_code": "PS1"}
