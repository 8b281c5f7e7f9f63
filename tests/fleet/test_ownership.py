"""Inventories and group data are programs: those that others can change are not run."""

from __future__ import annotations

import grp
import os
import pwd
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from provmode.errors import UsageError
from provmode.fleet.inventory import load

FLEET = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\npcs = ['@winrm/PC-1']\n"
STRANGER = 4242


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files without pyinfra's command line: to import it would make the sockets of this process cooperative."""

    def groups(file: str) -> dict[str, Any]:
        return {name: value for name, value in runpy.run_path(file).items() if isinstance(value, list)}

    def group_data(folder: str) -> dict[str, Any]:
        return {
            file.stem: {"winrm_user": runpy.run_path(str(file))["winrm_user"]} for file in Path(folder).glob("*.py")
        }

    stub = SimpleNamespace(_get_groups_from_filename=groups, _get_group_data=group_data)
    monkeypatch.setitem(sys.modules, "pyinfra_cli.inventory", stub)
    monkeypatch.setitem(sys.modules, "pyinfra_cli.util", SimpleNamespace(PYTHON_CODES={}))


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inventory with group data, in a folder that others can enter; the working directory is elsewhere."""
    folder = tmp_path / "fleets"
    (folder / "group_data").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (folder / "fleet.py").write_text(FLEET)
    (folder / "group_data" / "all.py").write_text(FLEET.replace("pcs = ['@winrm/PC-1']", "winrm_user = 'u'"))
    for path in (folder, folder / "fleet.py", folder / "group_data", folder / "group_data" / "all.py"):
        path.chmod(0o755)
    return folder / "fleet.py"


@pytest.fixture
def belongs_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], None]:
    """Let a path belong to another user, for whom only root could make it."""
    owners: dict[Path, int] = {}
    stat, lstat = Path.stat, Path.lstat

    def owned(path: Path, status: os.stat_result) -> os.stat_result:
        return os.stat_result((*status[:4], owners.get(path, status.st_uid), *status[5:]))

    monkeypatch.setattr(Path, "stat", lambda path, **options: owned(path, stat(path, **options)))
    monkeypatch.setattr(Path, "lstat", lambda path: owned(path, lstat(path)))
    return owners.__setitem__


def refused(fleet: Path, path: Path, cure: str) -> None:
    for ran in fleet.parent.rglob("ran"):
        ran.unlink()

    with pytest.raises(UsageError) as error:
        load(str(fleet))

    assert str(path) in str(error.value)
    assert f"{cure} {path}" in str(error.value)


def test_files_of_ones_own_and_of_root_are_run(fleet: Path, belongs_to: Callable[[Path, int], None]) -> None:
    belongs_to(fleet, 0)
    belongs_to(fleet.parent, 0)

    assert load(str(fleet)).names == ["@winrm/PC-1"]
    assert load(str(fleet)).data_of("@winrm/PC-1")["winrm_user"] == "u"


@pytest.mark.parametrize("mode", [0o757, 0o777, 0o775, 0o1777])
@pytest.mark.parametrize("of", ["fleet.py", "."])
def test_an_inventory_that_others_can_write_to_is_not_run(
    fleet: Path, of: str, mode: int, no_private_groups: None
) -> None:
    path = fleet.parent / of
    path.chmod(mode)
    if of == "." and mode == 0o1777:
        assert load(str(fleet)).names, "in a sticky folder nobody else can replace it"
        return

    refused(fleet, path, "chmod go-w")

    assert not (fleet.parent / "ran").exists()


@pytest.mark.parametrize("of", ["fleet.py", "group_data/all.py"])
def test_the_command_line_runs_no_program_that_others_can_write_to(
    fleet: Path, provmode: Callable[..., Any], of: str
) -> None:
    (fleet.parent / of).chmod(0o666)

    ran = provmode("audit", str(fleet))

    assert ran.returncode == 1
    assert f"and others can write to it; take that from them: chmod go-w {fleet.parent / of}" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert not (fleet.parent / of).with_name("ran").exists()


@pytest.mark.parametrize("of", ["group_data", "group_data/all.py"])
def test_group_data_that_others_can_write_to_is_not_run(fleet: Path, of: str) -> None:
    (fleet.parent / of).chmod(0o757)

    refused(fleet, fleet.parent / of, "chmod go-w")

    assert not (fleet.parent / "group_data" / "ran").exists()


@pytest.mark.parametrize("of", [".", "fleet.py", "group_data", "group_data/all.py"])
def test_what_belongs_to_somebody_else_is_not_run(
    fleet: Path, belongs_to: Callable[[Path, int], None], of: str
) -> None:
    belongs_to(fleet.parent / of, STRANGER)

    refused(fleet, fleet.parent / of, f"chown {os.geteuid()}")


def test_group_data_of_a_working_directory_that_others_can_write_to_is_not_run(
    fleet: Path, monkeypatch: pytest.MonkeyPatch, belongs_to: Callable[[Path, int], None]
) -> None:
    shared = Path.cwd()
    (shared / "group_data").mkdir()
    (shared / "group_data" / "all.py").write_text("raise RuntimeError('it was run')\n")
    shared.chmod(0o777)
    refused(fleet, shared, "chmod go-w")

    shared.chmod(0o1777)
    belongs_to(shared / "group_data", STRANGER)
    refused(fleet, shared / "group_data", f"chown {os.geteuid()}")


def test_a_working_directory_without_group_data_does_not_matter(fleet: Path) -> None:
    Path.cwd().chmod(0o777)

    assert load(str(fleet)).names


def test_a_link_counts_with_its_target_and_with_both_folders(fleet: Path) -> None:
    shared = fleet.parent.parent / "shared"
    shared.mkdir()
    link = shared / "link.py"
    link.symlink_to("../fleets/fleet.py")
    assert load(str(link)).names

    shared.chmod(0o777)
    refused(link, shared, "chmod go-w")
    shared.chmod(0o755)
    fleet.chmod(0o666)
    with pytest.raises(UsageError, match="others can write to it"):
        load(str(link))


def test_a_link_of_somebody_else_is_not_followed(fleet: Path, belongs_to: Callable[[Path, int], None]) -> None:
    link = fleet.parent / "link.py"
    link.symlink_to("fleet.py")
    belongs_to(link, STRANGER)

    refused(link, link, f"chown {os.geteuid()}")


def test_in_a_folder_that_nobody_else_can_enter_the_mode_of_a_file_does_not_matter(fleet: Path) -> None:
    fleet.chmod(0o666)
    fleet.parent.chmod(0o700)

    assert load(str(fleet)).names


@pytest.fixture
def no_private_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every group have other members."""
    monkeypatch.setattr(grp, "getgrgid", lambda number: SimpleNamespace(gr_name="staff", gr_mem=["somebody"]))


@pytest.mark.parametrize(
    ("group", "members", "accepted"),
    [("me", [], True), ("me", ["me"], True), ("me", ["me", "you"], False), ("staff", [], False)],
)
def test_the_group_of_a_user_alone_may_write(
    fleet: Path, monkeypatch: pytest.MonkeyPatch, group: str, members: list[str], accepted: bool
) -> None:
    number = fleet.stat().st_gid
    monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_name=group, gr_mem=members))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name="me", pw_gid=number))
    fleet.chmod(0o664)

    if accepted:
        assert load(str(fleet)).names
    else:
        refused(fleet, fleet, "chmod go-w")
