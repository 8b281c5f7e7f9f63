"""What a machine lacks for a domain of the lab is named with the package, extra or setting, before anything starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provmode.lab.domain import requirements
from provmode.lab.domain.requirements import DomainImpossible, find_way_in

Programs = Callable[..., None]
PROGRAMS, PARTS, MODULES = dict(requirements.PROGRAMS), dict(requirements.SAMBA_PARTS), dict(requirements.MODULES)
ALL = ("unshare", "mount", "kinit")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Let the path have programs of these names alone, and everything else that a domain needs be there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(requirements, "PROGRAMS", {name: PROGRAMS[name] for name in ALL})
    monkeypatch.setattr(requirements, "SAMBA_PARTS", {})
    monkeypatch.setattr(requirements, "MODULES", {})
    monkeypatch.setenv("PATH", str(folder))

    def make(*names: str, unshare: str = "exit 0") -> None:
        for name in names:
            program(folder / name, unshare if name == "unshare" else "exit 0")

    return make


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def missing(settings: Path = Path("/nowhere")) -> str:
    with pytest.raises(DomainImpossible) as raised:
        find_way_in(settings)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("without", "package"), [("unshare", "util-linux"), ("mount", "mount"), ("kinit", "krb5-user")]
)
def test_a_missing_program_is_named_by_its_package(programs: Programs, without: str, package: str) -> None:
    programs(*(name for name in ALL if name != without))

    assert missing() == (f"a domain needs Debian's {package}: sudo apt-get install --no-install-recommends {package}")


def test_all_missing_packages_are_named_at_once(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    programs("unshare", "mount")
    monkeypatch.setattr(requirements, "PROGRAMS", {"kinit": "krb5-user", "/nowhere/samba": "samba-ad-dc"})

    assert missing() == (
        "a domain needs Debian's krb5-user and samba-ad-dc: sudo apt-get install --no-install-recommends krb5-user "
        "samba-ad-dc"
    )


@pytest.mark.parametrize("number", range(len(requirements.SAMBA_PARTS)))
def test_each_part_of_samba_is_named_by_its_package(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    parts = {
        statement if each == number else "import sys": package
        for each, (statement, package) in enumerate([*PARTS.items()])
    }
    programs(*ALL)
    monkeypatch.setattr(requirements, "SAMBA_PARTS", parts)
    monkeypatch.setattr(requirements, "SYSTEM_PYTHON", sys.executable)  # it has no Samba

    package = list(PARTS.values())[number]
    assert missing() == f"a domain needs Debian's {package}: sudo apt-get install --no-install-recommends {package}"


def test_a_machine_without_the_systems_python_lacks_all_of_samba(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(*ALL)
    monkeypatch.setattr(requirements, "SAMBA_PARTS", PARTS)
    monkeypatch.setattr(requirements, "SYSTEM_PYTHON", "/nowhere/python3")

    assert "needs Debian's python3-samba, samba-ad-provision and samba-dsdb-modules: " in missing()


def test_missing_libraries_are_named_by_the_extra_that_has_them(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(*ALL)
    monkeypatch.setattr(requirements, "MODULES", MODULES)
    bare = program(tmp_path / "python", f'exec {sys.executable} -I -S "$@"')
    monkeypatch.setattr(sys, "executable", str(bare))

    assert missing() == (
        "a domain needs the libraries of provmode's extra `ad` and extra `kerberos` (Python has no gssapi, krb5, "
        "sansldap and dns): docs/install.md says how to install them"
    )


@pytest.mark.parametrize("setting", list(requirements.FORBIDS))
def test_a_kernel_that_gives_no_user_namespaces_is_named_with_the_setting(
    programs: Programs, tmp_path: Path, setting: str
) -> None:
    programs(*ALL, unshare="echo unshare failed: Operation not permitted >&2; exit 1")
    for each, forbids in requirements.FORBIDS.items():
        path = tmp_path / "sys" / each.replace(".", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{forbids if each == setting else requirements.CURES[each]}\n")

    said = missing(tmp_path / "sys")

    assert said.endswith(f": sudo sysctl {setting}={requirements.CURES[setting]}")
    assert f"needs user namespaces, and {setting} is {requirements.FORBIDS[setting]} here" in said


def test_another_refusal_is_repeated_in_its_own_words(programs: Programs) -> None:
    programs(*ALL, unshare="echo unshare failed: Operation not permitted >&2; exit 1")

    assert "this machine gives none (unshare failed: Operation not permitted); containers often forbid" in missing()


def test_root_without_the_right_to_do_it_alone_takes_a_user_namespace(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(*ALL, unshare='case "$*" in *--user*) exit 0;; *) exit 1;; esac')
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert "--user" in find_way_in()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["true"], "only --domain runs a command: leave out true, or write --domain before it"),
        (["--domain", "--control"], "--domain cannot be combined with --control"),
        (["--domain", "--keytabs", "."], "--domain cannot be combined with --keytabs"),
        (["--domain", "--dns-domain", "lab"], "lab is no name of a domain with a dot, such as corp.example"),
        (["--domain", "--mix", "nobody=1"], "there is no persona 'nobody': there are "),
        (["--domain", "no-such-program"], "there is no program no-such-program to run in the domain"),
        (["--domain", "true"], "a domain needs Debian's util-linux, mount"),
    ],
)
def test_bad_usage_is_one_line_and_nothing_starts(
    provmode: Callable[..., Any], tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "true").symlink_to("/usr/bin/true")

    ran = provmode("lab", *arguments, environment={"PATH": str(tmp_path), "TMPDIR": str(tmp_path)})

    assert (ran.returncode, ran.stdout) == (1, "")
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"provmode: {said}"), line
    assert list(tmp_path.iterdir()) == [tmp_path / "true"]


def test_make_system_installs_every_package_that_is_not_part_of_every_debian() -> None:
    listed = (Path(__file__).parents[2] / ".ci" / "system-packages.txt").read_text()

    for package in {*PARTS.values(), *PROGRAMS.values()} - {"util-linux", "mount"}:
        assert f"\n{package} " in listed, package
