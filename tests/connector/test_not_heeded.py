"""What a configuration says that pyinfra's own runs do not heed."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from provmode.connector import not_heeded as module
from provmode.connector.not_heeded import KEYS, not_heeded
from provmode.fleet import configuration_file
from provmode.fleet.configuration import TABLES

HELD = '[waivers]\nfile = "waivers.toml"\n'


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "provmode.toml"


@pytest.fixture
def system(tmp_path: Path) -> Path:
    return tmp_path / "etc.toml"


def test_a_file_of_waivers_is_said_with_the_road_that_heeds_it(here: Path, system: Path) -> None:
    system.write_text(HELD)

    assert not_heeded({}, here=here, system=system) == (
        f"the configuration {system} names a file of waivers, and pyinfra's runs do not heed the PCs that it holds: "
        "use `provmode plan` and `provmode apply`, which do"
    )


@pytest.mark.parametrize(
    ("key", "says"), [("window", "names windows,"), ("blackout", "names blackouts,"), ("gate", "names a gate,")]
)
def test_what_says_when_pcs_may_be_changed_is_said_too(here: Path, system: Path, key: str, says: str) -> None:
    here.write_text(f'[windows]\n{key} = ["something"]\n')

    said = not_heeded({}, here=here, system=system)

    assert says in said
    assert said.endswith("use `provmode plan` and `provmode apply`, which do")


@pytest.mark.parametrize(
    "text", ["", '[windows]\nzone = "Europe/Berlin"\n', "parallel = 8\n", "[waivers]\nmax_days = 90\n", "waivers = 7\n"]
)
def test_without_one_there_is_nothing_to_say(here: Path, system: Path, text: str) -> None:
    system.write_text(text)

    assert not_heeded({}, here=here, system=system) == ""
    assert not_heeded({}, here=here, system=system.with_name("nowhere")) == ""


def test_the_file_is_the_one_that_counts_for_commands(here: Path, system: Path) -> None:
    here.write_text("")
    system.write_text(HELD)
    named = system.with_name("named.toml")
    named.write_text(HELD)

    assert not_heeded({}, here=here, system=system) == ""
    assert str(named) in not_heeded({"PROVMODE_CONFIG": str(named)}, here=here, system=system)
    assert configuration_file.ENVIRONMENT == module.ENVIRONMENT
    assert (Path(configuration_file.NAME), configuration_file.SYSTEM) == (module.HERE, module.SYSTEM)
    assert inspect.signature(configuration_file.find).parameters["here"].default == module.HERE


@pytest.mark.parametrize("content", [b"[waivers\n", b"\xff\xfe", None])
def test_if_it_cannot_be_read_nobody_can_tell(here: Path, system: Path, content: bytes | None) -> None:
    if content is None:
        system.mkdir()
    else:
        system.write_bytes(content)

    said = not_heeded({}, here=here, system=system)

    assert said.startswith("nobody can tell which PCs are held: cannot read the configuration")
    assert "use `provmode plan` and `provmode apply`" in said


def test_every_key_is_one_of_the_configuration() -> None:
    assert all(TABLES[table].keys().get(key) is not None for table, key in KEYS)
