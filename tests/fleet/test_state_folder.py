"""The folder for the state of a user, or of a service."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provmode.fleet import state_folder
from provmode.fleet.state_folder import one_writer

HOME = Path.home() / ".local" / "state" / "provmode"


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"XDG_STATE_HOME": "/var/lib"}, Path("/var/lib/provmode")),
        ({"XDG_STATE_HOME": "/home/a/state", "STATE_DIRECTORY": "/var/lib/provmode"}, Path("/home/a/state/provmode")),
        ({"STATE_DIRECTORY": "/var/lib/provmode"}, Path("/var/lib/provmode")),
        ({"STATE_DIRECTORY": "/var/lib/provmode:/var/lib/other"}, Path("/var/lib/provmode")),
        ({"STATE_DIRECTORY": "/var/lib/ci-runner"}, Path("/var/lib/ci-runner/provmode")),
        ({"XDG_STATE_HOME": "relative", "STATE_DIRECTORY": "relative"}, HOME),
        ({"STATE_DIRECTORY": ""}, HOME),
        ({}, HOME),
    ],
)
def test_it_is_the_users_or_that_of_the_service(environment: dict[str, str], folder: Path) -> None:
    assert state_folder.state_folder(environment) == folder


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_nothing_is_written_where_others_can_write(tmp_path: Path, mode: int) -> None:
    (tmp_path / "provmode").mkdir()
    (tmp_path / "provmode").chmod(mode)

    with pytest.raises(PermissionError, match="others can write there"), one_writer(tmp_path / "provmode"):
        pass

    assert os.listdir(tmp_path / "provmode") == []
