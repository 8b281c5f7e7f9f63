"""What pyinfra would silently ignore in an inventory file is refused, with the place where it counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from provmode.errors import UsageError
from provmode.fleet.ignored import refuse_ignored
from provmode.fleet.inventory import load


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    return tmp_path / "fleet.py"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "pcs = ['@winrm/a']\nwinrm_user = 'x'\n",
            "fleet.py, line 2: winrm_user at the top of an inventory counts for no",
        ),
        ("pcs = ['@winrm/a']\nprovmode_policy: dict = {}\n", "line 2: provmode_policy at the top"),
        ("winrm_usr = 'x'\npcs = ['@winrm/a']\n", "did you mean winrm_user?"),
        ("pcs = ['@winrm/a']\nmore = '@winrm/b'\n", "line 2: more is no list, and its hosts would be ignored"),
        ("pcs = ['@winrm/a']\nmore = {'@winrm/b', '@winrm/c'}\n", "write more = \\[...\\]"),
        ("pcs = ['@winrm/a']\nmore = {'@winrm/b': {}}\n", "more is no list"),
    ],
)
def test_what_would_be_ignored_is_refused(inventory: Path, text: str, message: str) -> None:
    inventory.write_text(text)

    with pytest.raises(UsageError, match=message) as error:
        refuse_ignored(inventory)
    assert "'x'" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "winrm_user = 'x'\npcs = (['@winrm/a'], {'winrm_user': winrm_user})\n",
        "_name = '@winrm/a'\npcs = [_name]\n",
        "name = '@winrm/a'\npcs = [name]\n",
        "domain = 'corp.example'\npcs = ['@winrm/a']\n",
        "def winrm_user():\n    winrm_port = 1\npcs = ['@winrm/a']\n",
    ],
)
def test_a_variable_that_is_used_or_is_none_of_ours_is_left_alone(inventory: Path, text: str) -> None:
    inventory.write_text(text)

    refuse_ignored(inventory)


def test_a_connector_without_a_name_is_called_so() -> None:
    with pytest.raises(UsageError, match="@winrm/ has no name of a PC; write it as in @winrm/PC-0001"):
        load("@winrm/")
