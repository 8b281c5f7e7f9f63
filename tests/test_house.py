"""The house: who may import whom, what the wheel carries, and what every file has to keep to."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import provmode

ROOT = Path(__file__).parent.parent
SURFACES = ("facts", "operations", "deploys")
LAYERS = (
    *("deploys", "operations", "facts"),
    *("cli", "api", "report", "history", "fleet", "waivers", "signing"),
    *("connector", "remediation", "transport", "ccm", "packages", "windows", "wsman"),
    *("calendars", "ground"),
)
"""From the top down. Each imports itself and those below it, never one above it.

The first three are the top-level folders, ``api`` is a file. ``ground`` is the other files that stand in `provmode`
itself.
"""
KEPT_FROM = {
    "deploys": {"cli", "api", "report", "history", "fleet"},
    "operations": {"cli", "api", "report", "history", "fleet"},
    "facts": {"cli", "api", "report", "history", "fleet", "remediation", "transport"},
}
"""What a folder must not import although it is below: facts reach nothing that can change a PC."""
FOLDERS = {*LAYERS, "lab"} - {*SURFACES, "api", "ground"}
CHANGES_A_PC = ("provmode.remediation", "provmode.transport", "provmode.windows.file_changes", "operations")
INTO_THE_LAB = {"cli/demo.py", "cli/lab.py"}
"""The files outside the lab that import it. The lab itself imports nothing of the rest."""


def modules(folder: str, root: Path = ROOT) -> Iterator[Path]:
    """Yield the Python files of a folder."""
    yield from sorted((root / folder).rglob("*.py"))


def name_of(path: Path, root: Path = ROOT) -> str:
    """Return the dotted name of a module."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, root: Path = ROOT) -> Iterator[str]:
    """Yield the modules a file imports, absolute, wherever in it: in functions, under ``if TYPE_CHECKING``, by name.

    ``from a import b`` counts as ``a.b`` if that is a module, else as ``a``.
    """
    tree = ast.parse(path.read_text("utf-8"))
    package = path.relative_to(root).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *filter(None, (node.module or "").split("."))])
            for alias in node.names:
                inner = root.joinpath(*module.split("."), alias.name)
                is_module = inner.with_suffix(".py").exists() or (inner / "__init__.py").exists()
                yield f"{module}.{alias.name}" if is_module else module
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield str(node.args[0].value)


def layer_of(module: str, root: Path = ROOT) -> str | None:
    """Return the layer a module belongs to; ``None`` if it is none of the house's."""
    first, _, rest = module.partition(".")
    if first in SURFACES:
        return first
    if first != "provmode":
        return None
    folder = rest.partition(".")[0]
    if folder in SURFACES or folder == "api":
        return folder
    return folder if folder and (root / "provmode" / folder).is_dir() else "ground"


def wrong_imports(root: Path) -> list[str]:
    """Return every import of a house that is not allowed, as ``file imports module``."""
    wrong = []
    for folder in (*SURFACES, "provmode"):
        for path in modules(folder, root):
            own = layer_of(name_of(path, root), root)
            for module in imported(path, root):
                other = layer_of(module, root)
                if other is None or other == own or _may(own, other, path, root):
                    continue
                wrong.append(f"{path.relative_to(root).as_posix()} imports {module}")
    return wrong


def _may(own: str | None, other: str, path: Path, root: Path) -> bool:
    if other == "lab":
        return path.relative_to(root / "provmode").as_posix() in INTO_THE_LAB
    if own not in LAYERS or other not in LAYERS:
        return path == root / "provmode" / "__main__.py" and other == "cli"  # `python -m provmode`
    if path == root / "provmode" / "__main__.py":
        return other == "cli"
    return LAYERS.index(own) < LAYERS.index(other) and other not in KEPT_FROM.get(own, ())


def circles(root: Path) -> list[list[str]]:
    """Return the circles of imports between files, each as the names along it."""
    graph: dict[str, set[str]] = {}
    for folder in (*SURFACES, "provmode"):
        for path in modules(folder, root):
            graph[name_of(path, root)] = {module for module in imported(path, root) if module != name_of(path, root)}
    found, done = [], set[str]()

    def walk(module: str, trail: list[str]) -> None:
        if module in trail:
            found.append([*trail[trail.index(module) :], module])
        elif module in graph and module not in done:
            for other in sorted(graph[module]):
                walk(other, [*trail, module])
            done.add(module)

    for module in sorted(graph):
        walk(module, [])
    return found


def test_imports_run_down_the_layers() -> None:
    assert wrong_imports(ROOT) == []


HIDDEN = re.compile(
    r"\b(?:importlib\.(?!resources)|import_module|__import__|pkgutil|sys\.modules|resolve_name)"
    r"|^\s*import provmode\b(?!\.)",
    re.MULTILINE,
)
"""Ways to import that no reader of a file's head sees. In `provmode` nothing needs one."""


def test_no_import_is_hidden() -> None:
    for folder in (*SURFACES, "provmode"):
        for path in modules(folder):
            assert not HIDDEN.search(path.read_text("utf-8")), path


@pytest.mark.parametrize(
    "line",
    [
        "importlib.import_module(name)",
        "from importlib import import_module as load",
        "__import__('provmode', fromlist=['fleet'])",
        "pkgutil.resolve_name('provmode.fleet')",
        "sys.modules['provmode.fleet']",
        "import provmode",
    ],
)
def test_a_hidden_import_is_found(line: str) -> None:
    assert HIDDEN.search(f"def f():\n    {line}\n")


def test_no_imports_run_in_a_circle() -> None:
    assert circles(ROOT) == []


def test_in_the_lab_windows_knows_nothing_of_the_server_before_it() -> None:
    assert not [name for name in imported(ROOT / "provmode/lab/machine.py") if name.startswith("provmode")]
    for path in modules("provmode/lab/windows"):
        names = {name for name in imported(path) if name.startswith("provmode")}
        assert all(name.startswith(("provmode.lab.windows", "provmode.lab.machine")) for name in names), path


def test_every_folder_is_a_layer() -> None:
    folders = {path.parent.name for path in (ROOT / "provmode").glob("*/*.py")}

    assert folders == FOLDERS
    for folder in {path.parent for path in modules("provmode")}:
        assert (folder / "__init__.py").exists(), folder


def test_the_map_in_the_package_names_every_room_and_no_other() -> None:
    rooms = {line.split("``")[1] for line in (provmode.__doc__ or "").splitlines() if line.startswith("* ``")}
    ground = {path.stem for path in (ROOT / "provmode").glob("*.py")} - {"__init__", "__main__"}

    assert rooms == {f"{folder}/" for folder in FOLDERS} | ground


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_a_folder_names_each_of_its_files_and_says_that_it_is_private(folder: str) -> None:
    said = importlib.import_module(f"provmode.{folder}").__doc__ or ""
    named = {
        name.rstrip("/")
        for line in said.splitlines()
        if line[:3] == "* `"
        for name in re.findall("`([a-z_]+/?)`", line.split("  ")[0])
    }
    rooms = {
        path.stem
        for path in (ROOT / "provmode" / folder).iterdir()
        if path.stem[:2] != "__" and path.suffix in ("", ".py")
    }

    assert named == rooms
    assert "Private: programs import from `provmode.api`." in said


def test_the_public_names_are_sorted_and_each_is_there_and_documented() -> None:
    from provmode import api

    reference = (ROOT / "docs" / "reference.md").read_text("utf-8")
    assert api.__all__ == sorted(api.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert {name for name in vars(api) if name[0] != "_"} == set(api.__all__)
    for name in api.__all__:
        assert getattr(api, name) is not None
        assert f"`{name}`" in reference, name


def test_facts_reach_nothing_that_changes_a_pc() -> None:
    """Neither what they name, followed from file to file, nor what Python loads with them."""
    reached, waiting = set[str](), [name_of(path) for path in modules("facts")]
    while waiting:
        module = waiting.pop()
        path = ROOT.joinpath(*module.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if module not in reached and path.exists():
            reached.add(module)
            waiting += imported(path)
    names = ", ".join(name_of(path) for path in modules("facts"))
    code = f"import sys, {names}; print(*[name for name in sys.modules if name.startswith('provmode')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())

    for found in (reached, loaded):
        assert {"provmode.connector.commands", "provmode.windows.files"} <= found
        assert not [module for module in found if module.startswith(CHANGES_A_PC)]


PLANTED = {
    "an import upwards": ("provmode/wsman/planted.py", "from provmode.ccm.model import ClientReadings"),
    "one in a function": ("provmode/windows/planted.py", "def f():\n    import provmode.transport.session"),
    "one for the type checker": (
        "provmode/transport/planted.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from provmode.fleet.plan_file import Plan",
    ),
    "a relative one": ("provmode/remediation/planted.py", "from ..connector import WinRMConnector"),
    "one by its name as text": (
        "provmode/ccm/planted.py",
        "from importlib import import_module\nimport_module('provmode.cli.main')",
    ),
    "the ground into a folder": ("provmode/planted.py", "from provmode.wsman import Operation"),
    "a fact into what changes a PC": ("facts/planted.py", "from provmode.remediation.steps import SetMode"),
    "a fact into an operation": ("facts/planted.py", "import operations.client"),
    "an operation into a fleet": ("operations/planted.py", "from provmode.fleet.apply import apply_plan"),
    "the client into the lab": ("provmode/fleet/planted.py", "from provmode.lab.process import LabProcess"),
    "a folder without a face": ("provmode/planted/room.py", "from provmode.wsman import Operation"),
    "the lab into the client": ("provmode/lab/planted.py", "from provmode.wsman import Operation"),
    "a report into the command line": ("provmode/report/planted.py", "from provmode.cli import common"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The house's files, to plant a mistake among them."""
    for folder in (*SURFACES, "provmode"):
        for path in modules(folder):
            (tmp_path / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path.relative_to(ROOT)).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_wrong_import_is_found(mistake: str, copy: Path) -> None:
    place, text = PLANTED[mistake]
    (copy / place).parent.mkdir(exist_ok=True)
    (copy / place).write_text(text + "\n")

    assert len(wrong_imports(copy)) == 1
    assert wrong_imports(copy)[0].startswith(f"{place} imports ")


def test_a_planted_circle_is_found(copy: Path) -> None:
    (copy / "provmode/ccm/one.py").write_text("import provmode.ccm.two\n")
    (copy / "provmode/ccm/two.py").write_text("def hidden():\n    from provmode.ccm import one\n")

    assert ["provmode.ccm.one", "provmode.ccm.two", "provmode.ccm.one"] in circles(copy)


@pytest.mark.parametrize("folder", ["wsman", "windows", "ccm", "remediation"])
def test_protocol_and_domain_know_no_library(folder: str) -> None:
    for path in modules(f"provmode/{folder}"):
        for name in imported(path):
            room = name.split(".")[0]
            assert room in sys.stdlib_module_names or room == "provmode", f"{path.relative_to(ROOT)} imports {name}"


PURE = ("waivers", "signing", "packages", "wsman", "windows", "ccm", "remediation", "calendars")
PURE_FILES = (
    "transport/write_gate.py",
    "transport/logon_fuse.py",
    "transport/target.py",
    "transport/framing.py",
    "transport/sealed_body.py",
    "transport/kerberos_words.py",
    "transport/failures.py",
    "transport/refusals.py",
    "fleet/configuration.py",
    *(
        f"history/{name}.py"
        for name in ("bits", "drift", "gathered", "look", "names", "reports", "run", "spans", "waived")
    ),
    "fleet/export.py",
    *(f"fleet/guarding/{name}.py" for name in ("brake", "consequences", "cutting", "reached", "worst_case")),
    *(f"report/{name}.py" for name in ("document", "table", "junit", "prometheus")),
    *(f"report/page/{name}.py" for name in ("data", "groups", "known", "render", "rows", "trend")),
    "connector/commands.py",
    "connector/host_names.py",
    *(f"connector/sources/{name}.py" for name in ("decoding", "names", "headings", "table")),
    *(f"connector/sources/{name}.py" for name in ("wanted", "distinguished_names", "ldap", "computers", "laps")),
    "reading.py",
    "errors.py",
    "text.py",
)


@pytest.mark.parametrize("place", [*PURE, *PURE_FILES])
def test_pure_logic_has_no_socket_clock_or_random(place: str) -> None:
    paths = modules(f"provmode/{place}") if "." not in place else [ROOT / "provmode" / place]
    for path in paths:
        banned = {"socket", "ssl", "time", "random", "uuid", "requests", "gevent", "subprocess", "threading", "secrets"}
        names = set(imported(path))
        assert not {name.split(".")[0] for name in names} & banned, path
        assert "provmode.clock" not in names, path
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today"):
                assert not (isinstance(node.value, ast.Name) and node.value.id in ("datetime", "date")), path


def test_sockets_stay_where_they_are_dialled_and_used() -> None:
    found = {
        path.relative_to(ROOT / "provmode").as_posix()
        for path in modules("provmode")
        if path.relative_to(ROOT / "provmode").parts[0] != "lab"
        for name in imported(path)
        if name == "socket"
    }

    # looked up, dialled, read from, and written to
    stacks = {"transport/lean.py", "transport/adapter.py", "transport/pywinrm.py"}
    assert found == {"transport/resolver.py", "transport/dial.py", *stacks}


def test_the_connector_imports_nothing_heavy() -> None:
    code = (
        "import sys; import provmode.connector; "
        "print([n for n in ('requests', 'winrm', 'spnego', 'keyring', 'rich') if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"


def test_the_command_line_imports_nothing_heavy_before_a_command_needs_it() -> None:
    code = (
        "import sys; import provmode.cli.main; "
        "heavy = ('pyinfra', 'requests', 'winrm', 'spnego', 'rich', 'cryptography', 'provmode.lab.server'); "
        "print([n for n in heavy if n in sys.modules])"
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
        *("pyproject.toml", "README.md", "LICENSE", "Makefile", "requirements.lock", "requirements-system.lock"),
        *("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
        *("deploys", "facts", "operations", "inventories", "tests", "provmode", "docs", "benchmarks"),
    }


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-system.lock"])
def test_a_lock_pins_everything_by_hash_and_names_no_index(name: str) -> None:
    lock = (ROOT / name).read_text("utf-8")

    assert "://" not in lock
    assert "--index" not in lock
    for entry in lock.replace("\\\n", " ").splitlines():
        assert not entry.strip() or "--hash=sha256:" in entry, entry


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    for block in ("dependencies = [", "dev = [", "system = ["):
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
    assert "provmode/windows/scripts/read_bytes.ps1" in names
    for path in (ROOT / "provmode/report/page/templates").iterdir():
        assert path.relative_to(ROOT).as_posix() in names
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
        "assert ClientState.__mro__[1].__module__ == 'provmode.facts.base'\n"
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
