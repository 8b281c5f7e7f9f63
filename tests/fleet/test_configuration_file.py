"""Where the configuration file is looked for, who may have written it, and what is said if it cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.errors import UsageError
from provmode.fleet.configuration import Configuration
from provmode.fleet.configuration_file import MOST_BYTES, Place, find, read


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; others can enter it."""
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(path: Path, data: str | bytes = "parallel = 8\n", mode: int = 0o644) -> Path:
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    path.chmod(mode)
    return path


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as error:
        read(Place(path, ""))
    return str(error.value).replace(str(path), "FILE")


def test_the_first_place_counts_alone(folder: Path) -> None:
    here = Path("provmode.toml")
    named, told, system = folder / "named.toml", folder / "told.toml", written(folder / "etc" / "provmode.toml")
    environment = {"PROVMODE_CONFIG": str(told)}

    def found(path: Path | None, environment: dict[str, str]) -> Place | None:
        return find(path, environment, system=system)

    assert found(None, {}) == Place(system, f"in {folder / 'etc'}")
    written(here)
    assert found(None, {}) == Place(here, "in the working directory", from_working_directory=True)
    assert found(None, {"PROVMODE_CONFIG": ""}) == found(None, {})
    assert found(None, environment) == Place(told, "named by $PROVMODE_CONFIG"), "also if it is not there"
    assert found(named, environment) == Place(named, "named by --config")


def test_in_the_system_s_folder_its_file_is_still_the_system_s(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = written(folder / "etc" / "provmode.toml", "key_file = 'plan.key'\n")
    monkeypatch.chdir(folder / "etc")

    place = find(None, {}, system=system)

    assert place == Place(system, f"in {folder / 'etc'}")
    assert read(place).options == {"key_file": str(folder / "etc" / "plan.key")}


def test_without_a_file_there_is_none(folder: Path) -> None:
    assert find(None, {}, system=folder / "provmode.toml") is None


def test_a_link_to_nothing_is_no_missing_file(folder: Path) -> None:
    (folder / "provmode.toml").symlink_to("nosuch")

    place = find(None, {})

    assert place is not None
    assert refused(place.path).endswith("No such file or directory")


def test_what_is_read_says_where_it_stands(folder: Path) -> None:
    path = written(folder / "provmode.toml")

    assert read(Place(path, "named by --config")) == Configuration(path, "named by --config", {"": {"parallel": 8}})


@pytest.mark.parametrize("data", [b"\xef\xbb\xbfparallel = 8\r\n", b"parallel = 8", b"# \xc3\xa4\nparallel = 8\n"])
def test_a_byte_order_mark_and_line_ends_of_windows_are_read(folder: Path, data: bytes) -> None:
    assert read(Place(written(folder / "provmode.toml", data), "")).options == {"parallel": 8}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"parallel = \n", "Invalid value (at line 1, column 12)"),
        (b"parallel = 1\nparallel = 2\n", "Cannot overwrite a value (at line 2, column 13)"),
        (b"parallel = 1\n[policy\n", "(at line 2, column 8)"),
        (b"a = 1\n# \xe4\n", "line 2 is not UTF-8; save it as UTF-8"),
        ("parallel = 8".encode("utf-16"), "it is UTF-16; save it as UTF-8"),
        (b"a = " + b"[" * 50_000, "its values are nested too deeply"),
        (b"a = " + b"1" * 5000, "Exceeds the limit"),
        (b"#" * (MOST_BYTES + 1), "it has over 1,000,000 bytes"),
    ],
)
def test_a_file_that_is_not_toml_is_one_line(folder: Path, data: bytes, said: str) -> None:
    line = refused(written(folder / "provmode.toml", data))

    assert line.startswith("cannot read the configuration FILE: ")
    assert said in line


def test_what_is_no_file_is_refused_without_a_wait(folder: Path) -> None:
    os.mkfifo(folder / "pipe.toml")
    (folder / "folder.toml").mkdir()

    assert refused(folder / "pipe.toml") == "cannot read the configuration FILE: it is not a regular file"
    assert refused(folder / "folder.toml") == "cannot read the configuration FILE: Is a directory"
    assert refused(folder / "nosuch.toml") == "cannot read the configuration FILE: No such file or directory"


@pytest.mark.parametrize("mode", [0o646, 0o666, 0o602])
def test_a_file_that_others_can_write_to_is_not_read(folder: Path, mode: int) -> None:
    path = written(folder / "provmode.toml", mode=mode)

    assert refused(path) == (
        "FILE decides what provmode does, and others can write to it; take that from them: chmod go-w FILE"
    )


@pytest.mark.parametrize("mode", [0o757, 0o777])
def test_a_file_in_a_folder_that_others_can_write_to_is_not_read(folder: Path, mode: int) -> None:
    path = written(folder / "open" / "provmode.toml")
    path.parent.chmod(mode)

    assert refused(path).startswith(f"{path.parent} holds a file that decides what provmode does, and others can write")


def test_the_target_of_a_link_and_its_folder_count_too(folder: Path) -> None:
    path = written(folder / "open" / "real.toml")
    (folder / "provmode.toml").symlink_to(path)
    path.parent.chmod(0o777)

    assert refused(folder / "provmode.toml").startswith(f"{path.parent} holds a file that decides")


def test_a_file_of_somebody_else_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(folder / "provmode.toml")
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 4242)
    if owner == 0:
        lstat = Path.lstat

        def of_a_stranger(path: Path) -> os.stat_result:
            status = lstat(path)
            return os.stat_result((*status[:4], 77, *status[5:]))

        monkeypatch.setattr(Path, "lstat", of_a_stranger)

    assert "belongs to user" in refused(path)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_a_configuration_or_one_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)

    said, found = "", None
    try:
        found = read(Place(path, ""))
    except UsageError as error:
        said = str(error)

    assert str(path) in said if found is None else found.path == path
