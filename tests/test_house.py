"""The house: who may import whom, what the wheel carries, and what every file has to keep to."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SURFACES = ("facts", "operations", "deploys")
ALLOWED = {
    "provmode": {"provmode"},
    "facts": {"provmode", "facts"},
    "operations": {"provmode", "facts", "operations"},
    "deploys": {"provmode", "facts", "operations", "deploys"},
}
HOUSE = set(ALLOWED)


def modules(folder: str) -> Iterator[Path]:
    """Yield the Python files of a folder."""
    yield from sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Yield the names a file imports, absolute, wherever in it."""
    tree = ast.parse(path.read_text("utf-8"))
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join([*base, *(node.module or "").split(".")]).strip(".")


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_imports_run_one_way(folder: str) -> None:
    for path in modules(folder):
        for name in imported(path):
            room = name.split(".")[0]
            assert room not in HOUSE or room in ALLOWED[folder], f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("folder", ["provmode/wsman", "provmode/ccm"])
def test_protocol_and_domain_know_the_standard_library_only(folder: str) -> None:
    for path in modules(folder):
        for name in imported(path):
            room = name.split(".")[0]
            allowed = room in sys.stdlib_module_names or name.startswith(
                ("provmode.wsman", "provmode.ccm", "provmode.reading")
            )
            assert allowed, f"{path.relative_to(ROOT)} imports {name}"


PURE = (
    *("wsman", "ccm"),
    *("client.py", "windows.py", "stdregprov.py", "files.py", "gate.py", "notation.py", "reading.py", "commands.py"),
)


@pytest.mark.parametrize("place", PURE)
def test_pure_logic_has_no_socket_clock_or_random(place: str) -> None:
    paths = modules(f"provmode/{place}") if "." not in place else [ROOT / "provmode" / place]
    for path in paths:
        banned = {"socket", "ssl", "time", "random", "uuid", "requests", "gevent", "subprocess", "threading", "secrets"}
        assert not {name.split(".")[0] for name in imported(path)} & banned, path
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today"):
                assert not (isinstance(node.value, ast.Name) and node.value.id in ("datetime", "date")), path


def test_sockets_stay_where_they_are_dialled_and_used() -> None:
    outside = ("lab",)
    found = {
        path.relative_to(ROOT / "provmode").as_posix()
        for path in modules("provmode")
        if path.relative_to(ROOT / "provmode").parts[0] not in outside
        for name in imported(path)
        if name == "socket"
    }

    assert found == {"dial.py", "adapter.py", "transport.py"}  # dialled, read from, and written to


def test_the_lab_shares_no_code_with_the_client_it_is_a_test_of() -> None:
    for path in modules("provmode/lab"):
        for name in imported(path):
            if name.startswith("provmode") and not name.startswith("provmode.lab"):
                assert name in ("provmode.scripts",), f"{path.relative_to(ROOT)} imports {name}"


def test_the_connector_imports_nothing_heavy() -> None:
    code = (
        "import sys; import provmode.connector; "
        "print([n for n in ('requests', 'winrm', 'spnego', 'keyring', 'rich') if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("surface", SURFACES)
def test_short_names_are_this_checkout(surface: str) -> None:
    module = importlib.import_module(surface)

    assert Path(str(module.__file__)).parent == ROOT / surface


def test_no_package_marker_stands_under_tests() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_the_top_level_is_the_users() -> None:
    out = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tops = {line.split("/")[0] for line in out.splitlines()}

    assert {top for top in tops if not top.startswith(".")} <= {
        *("pyproject.toml", "README.md", "LICENSE", "Makefile", "requirements.lock"),
        *("deploys", "facts", "operations", "inventories", "tests", "provmode", "docs", "benchmarks"),
    }


def test_the_lock_pins_everything_by_hash_and_names_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text("utf-8")

    assert "://" not in lock
    assert "--index" not in lock
    for entry in lock.replace("\\\n", " ").splitlines():
        assert not entry.strip() or "--hash=sha256:" in entry, entry


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    for block in ("dependencies = [", "dev = ["):
        lines = text[text.index(block) :].split("\n]")[0].splitlines()[1:]
        assert lines
        assert all("# " in line for line in lines), block


# -- the wheel ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from what is checked in and what is being worked on."""
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    return Path(next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])))


def test_the_wheel_carries_provmode_alone_with_the_folders_inside_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0] for name in names if ".dist-info" not in name.split("/")[0]} == {"provmode"}
    for surface in SURFACES:
        for path in modules(surface):
            assert f"provmode/{path.relative_to(ROOT).as_posix()}" in names
    assert "provmode/scripts/read_bytes.ps1" in names
    assert not [name for name in names if name.startswith(("provmode/tests", "tests"))]


def test_every_module_of_the_wheel_imports_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    here = Path(pytest.__file__).parent.parent  # the libraries, without this checkout: .pth files do not count there
    names = sorted(
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in zipfile.ZipFile(wheel).namelist()
        if name.endswith(".py") and not name.endswith("__main__.py")
    )
    code = (
        "import importlib, sys\n"
        f"sys.path.append({str(here)!r})\n"
        "from gevent import monkey; monkey.patch_all()\n"
        f"for name in {names!r}:\n"
        "    module = importlib.import_module(name)\n"
        f"    assert module.__file__.startswith({str(site)!r}), module\n"
        "from provmode.facts.client import ClientState\n"
        "assert ClientState.__mro__[1].__module__ == 'provmode.facts.survey'\n"
        "assert 'facts' not in sys.modules, 'the short name leaked'\n"
    )

    ran = subprocess.run([str(python), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr


def test_an_installed_wheel_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    here = Path(pytest.__file__).parent.parent
    (site / "libraries.py").write_text(f"import sys; sys.path.append({str(here)!r})\n")
    (site / "libraries.pth").write_text("import libraries\n")

    ran = subprocess.run(
        [str(tmp_path / "venv" / "bin" / "python"), "-m", "provmode", "demo", "--hosts", "6", "--seed", "3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    here_too = subprocess.run(
        [sys.executable, "-m", "provmode", "demo", "--hosts", "6", "--seed", "3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "6 hosts: " in ran.stdout, ran.stderr
    assert ran.returncode == here_too.returncode
    assert ran.stdout.splitlines()[-1] == here_too.stdout.splitlines()[-1]
    assert "healthy" in ran.stdout.splitlines()[-1]
