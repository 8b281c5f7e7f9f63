"""Every operation and deploy: its docstring is complete, and a dry run changes nothing."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import deploys
import operations
from provmode.lab.personas import PERSONAS as ALL_PERSONAS
from provmode.lab.process import Host, LabProcess

ROOT = Path(__file__).parent.parent.parent
RECORDED = ROOT / "tests" / "recordings" / "ppkg"
ID = "{b84f2c39-eb59-4d4f-8ad1-0f93cec1384e}"
PERSONAS = {
    "healthy": 2,
    **{item.name: 1 for item in ALL_PERSONAS if item.network == "answers" and item.name not in ("healthy", "slow")},
}


def functions(package: Any) -> dict[str, Callable[..., Any]]:
    """Return the public operations or deploys of a package by ``module.name``."""
    found: dict[str, Callable[..., Any]] = {}
    for module in pkgutil.iter_modules(package.__path__):
        loaded = importlib.import_module(f"{package.__name__}.{module.name}")
        for name, item in vars(loaded).items():
            if inspect.isfunction(item) and item.__module__ == loaded.__name__ and hasattr(item, "_inner"):
                found[f"{module.name}.{name}"] = item
    return found


OPERATIONS = functions(operations)
DEPLOYS = sorted(path for path in (ROOT / "deploys").glob("*.py") if path.name != "__init__.py")
CALLS = {
    "registry.value": (
        "key='HKLM\\\\SOFTWARE\\\\X', value='x', data='y'",
        "key='HKLM\\\\SOFTWARE\\\\X', value='x', data=5",
    ),
    "registry.key": ("key='HKLM\\\\SOFTWARE\\\\X'", "key='HKLM\\\\SYSTEM\\\\Setup', present=False"),
    "service.service": ("service='Spooler', start_mode='Disabled', running=False", "service='CcmExec', restarted=True"),
    "service.dependencies": ("service='Spooler', depends_on=['Winmgmt']", "service='smstsmgr', depends_on=['CcmExec']"),
    "files.contents": ("path='C:\\\\Windows\\\\win.ini', data=b'new'", "path='C:\\\\new.txt', data='x'"),
    "files.template": ("src=StringIO('{{ host.name }}'), path='C:\\\\Windows\\\\win.ini'",),
    "files.absent": ("path='C:\\\\Windows\\\\win.ini'",),
    "files.restored": ("path='C:\\\\Windows\\\\win.ini'",),
    "client.provisioning_mode": ("enabled=True", "enabled=False"),
    "client.tcf_disarmed": ("",),
    "client.max_minutes": ("minutes=30", "minutes=None"),
    "client.policy_requested": ("",),
    "client.task_excludes_cleared": ("after_failed_exits=2",),
    "client.exit_guard": ("present=True", "present=False"),
    "packages.present": (
        f"file={str(RECORDED / 'start_pins.ppkg')!r}",
        f"id={ID!r}, version='1.0', sha256={'0' * 64!r}",
    ),
    "packages.absent": (f"id={ID!r}",),
    "packages.trusted_provisioner": (f"thumbprint={'0' * 40!r}, present=False",),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operations_docstring_says_what_it_changes_and_how_it_is_undone(name: str) -> None:
    docstring = inspect.getdoc(OPERATIONS[name]) or ""

    assert re.search(r"\bChanges\b", docstring), docstring
    assert re.search(r"\b[Uu]ndone\b", docstring), docstring


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operations_docstring_names_every_argument(name: str) -> None:
    docstring = inspect.getdoc(OPERATIONS[name]) or ""
    arguments = list(inspect.signature(OPERATIONS[name]).parameters)

    assert re.findall(r"^\+ (\w+):", docstring, re.MULTILINE) == arguments


@pytest.mark.parametrize("path", DEPLOYS, ids=lambda path: path.stem)
def test_a_deploy_says_what_it_does_and_how_to_call_it(path: Path) -> None:
    docstring = importlib.import_module(f"{deploys.__name__}.{path.stem}").__doc__ or ""

    assert f"pyinfra INVENTORY deploys/{path.name}" in docstring


@pytest.fixture(scope="module")
def before(fleet: LabProcess) -> dict[str, Any]:
    """The lab's counters of actions of each PC, before any test."""
    assert all(lines == [] for lines in fleet.mutations().values())
    return {name: dict(counters["actions"]) for name, counters in fleet.counters().items()}


CHANGING = re.compile(
    r"Set\w+Value|Create(Key)|Delete\w+|\w+Service|Change(StartMode)?|SetClient\w+|TriggerSchedule|Put"
)


def test_a_dry_run_of_every_operation_changes_nothing_on_any_persona(
    before: dict[str, Any], fleet: LabProcess, pyinfra: Any
) -> None:
    deploy = "from io import StringIO\nfrom operations import client, files, packages, registry, service\n" + "".join(
        f"{name}(name='{name} {number}', {arguments})\n"
        for name, calls in CALLS.items()
        for number, arguments in enumerate(calls)
    )

    ran = pyinfra.dry(deploy, *fleet.hosts)

    assert ran.code == 0, ran.output
    assert "Traceback" not in ran.output
    assert set(ran.pending) == {f"{name} {number}" for name, calls in CALLS.items() for number in range(len(calls))}
    nothing_changed(fleet, before)


@pytest.mark.parametrize("path", DEPLOYS, ids=lambda path: path.stem)
@pytest.mark.parametrize("policy", [{}, {"wait_for_self_healing": False, "minimum_age_minutes": 0}], ids=["", "strict"])
def test_a_dry_run_of_every_deploy_changes_nothing_on_any_persona(
    before: dict[str, Any], fleet: LabProcess, pyinfra: Any, path: Path, policy: dict[str, Any]
) -> None:
    wanted = [{"file": str(RECORDED / "start_pins.ppkg")}]
    data = {"provmode_policy": policy, "provmode_guard": True, "provmode_packages": wanted}
    ran = pyinfra.dry(str(path), *fleet.hosts, **data)

    assert ran.code == 0, ran.output
    assert any(ran.pending.values()), ran.output
    assert "Traceback" not in ran.output
    nothing_changed(fleet, before)


def nothing_changed(fleet: LabProcess, before: dict[str, Any]) -> None:
    """Check that no PC was changed, and that nothing was sent that could change it."""
    assert {name: lines for name, lines in fleet.mutations().items() if lines} == {}
    for name, counters in fleet.counters().items():
        sent = {action for action, times in counters["actions"].items() if times > before[name].get(action, 0)}
        assert [action for action in sent if CHANGING.fullmatch(action)] == []


def test_every_operation_is_part_of_the_dry_run() -> None:
    assert set(CALLS) == set(OPERATIONS)


def test_each_operation_is_usable_alone_from_the_command_line(
    fleet: LabProcess, pyinfra: Any, pcs: Callable[[str], list[Host]]
) -> None:
    pc = pcs("healthy")[0]

    ran = pyinfra.alone("operations.registry.value", "key=HKLM\\SOFTWARE\\Alone", "value=x", "data=y", host=pc)

    assert ran.code == 0, ran.output
    assert fleet.registry(pc.name, "HKLM\\SOFTWARE\\Alone", "x") == "y"
