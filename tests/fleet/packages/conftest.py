"""PCs of the lab with packages on them, put there without the network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest

from provmode.lab.packages.catalogue import made as catalogue
from provmode.lab.packages.writer import Description, Setting, package
from provmode.lab.windows.store import HKLM, RegType
from provmode.windows.files import sha256

ID = "{b84f2c39-eb59-4d4f-8ad1-0f93cec1384e}"
OTHER = "{1f4e2c40-9d5f-41b4-ab8b-0ec5dd0fc160}"
FOLDERS = {
    "kept": "C:\\ProgramData\\Microsoft\\Provisioning",
    "reset": "C:\\Recovery\\Customizations",
    "image": "C:\\Windows\\Provisioning\\Packages",
}
PROVISIONING = "SOFTWARE\\Microsoft\\Provisioning"
PINS = Setting("Policies/Start/ConfigureStartPins", "{}")
WHEN = datetime(2026, 8, 14, 10, 35, 17, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Made:
    """A package that was made for a test."""

    data: bytes
    id: str

    @property
    def sha256(self) -> str:
        return sha256(self.data)


def make(name: str = "kiosk", version: str = "1.0", id: str = ID, **more: Any) -> Made:
    """Make a package; a setting that is no secret, unless said otherwise."""
    return Made(package(Description(id, name, version=version, **{"settings": [PINS], **more})), id)


@dataclass
class Furnished:
    """A PC, and what is put on it."""

    pc: Any

    def keep(self, made: Made, name: str = "kiosk.ppkg", place: str = "kept") -> Furnished:
        """Put a package's file there."""
        folder = FOLDERS[place]
        parts = folder.split("\\")
        for at in range(2, len(parts) + 1):
            self.pc.machine.files.make_folder("\\".join(parts[:at]))
        self.pc.machine.files.write(f"{folder}\\{name}", made.data, WHEN)
        return self

    def apply(self, made: Made, name: str = "kiosk.ppkg", result: int = 0, node: str = "") -> Furnished:
        """Let the registry say that it was applied."""
        registry = self.pc.machine.registry
        registry.create_key(HKLM, f"{PROVISIONING}\\PackageInfo\\{made.id}")
        key = f"{PROVISIONING}\\Results\\{made.id}"
        registry.create_key(HKLM, f"{key}\\Policies\\0\\xml")
        registry.set(HKLM, key, "PackageFileName", RegType.SZ, name)
        for value, data in (("LastResult", result), ("NumFailures", int(result != 0))):
            registry.set(HKLM, f"{key}\\Policies\\0\\xml", value, RegType.DWORD, data)
        if node:
            registry.set(HKLM, f"{key}\\Policies\\0\\xml", "FailingNodePath", RegType.SZ, node)
        return self

    def have(self, made: Made, name: str = "kiosk.ppkg") -> Furnished:
        """Put its file there, applied."""
        return self.keep(made, name).apply(made, name)

    def trust(self, thumbprint: str) -> Furnished:
        """Let the PC trust a certificate."""
        self.pc.machine.registry.create_key(
            HKLM, f"{PROVISIONING}\\TrustedProvisioners\\Certificates\\{thumbprint.upper()}"
        )
        return self

    def policy(self, name: str, value: int) -> Furnished:
        """Set a policy about packages."""
        key = "SOFTWARE\\Microsoft\\PolicyManager\\current\\device\\Security"
        self.pc.machine.registry.create_key(HKLM, key)
        self.pc.machine.registry.set(HKLM, key, name, RegType.DWORD, value)
        return self


@pytest.fixture
def furnished(bench: Any) -> Callable[..., Furnished]:
    """Switch on a healthy PC to put packages on."""
    return lambda name="PC-1", persona="healthy": Furnished(bench.pc(persona, name))


@pytest.fixture
def made() -> Callable[..., Made]:
    """Make a package."""
    return make


class Fleet:
    """Near PCs with packages, an inventory that says what each should have, and the commands that bring them there."""

    def __init__(self, commands: Any, patch: pytest.MonkeyPatch) -> None:
        self.commands, self.bench, self.folder = commands, commands.bench, commands.bench.folder
        patch.chdir(self.folder)
        patch.delenv("PROVMODE_PLAN_KEY", raising=False)
        self.folder.chmod(0o755)
        self.data: dict[str, dict[str, Any]] = {}
        """What the inventory says of each PC."""

    def pc(
        self, *packages: dict[str, Any], kind: str = "inbox", persona: str = "healthy", trust: Any = None, **data: Any
    ) -> Any:
        """Switch on one more PC of a kind, which should have *packages*, and trust the certificates *trust*."""
        pc = self.bench.pc(persona, f"PC-{len(self.bench.pcs) + 1}", packages=kind)
        if packages:
            data["provmode_packages"] = list(packages)
        if trust is not None:
            data["provmode_trusted_provisioners"] = trust
        self.data[pc.name] = data
        return pc

    def file(self, package: Any, name: str = "") -> dict[str, Any]:
        """Write a package, made or of the lab's catalogue, and return how the inventory names its file."""
        found = catalogue(package) if isinstance(package, str) else package
        path = self.folder / (name or f"{found.sha256[:8]}.ppkg")
        path.write_bytes(found.data)
        return {"file": path.name}

    @property
    def inventory(self) -> str:
        """The program that names the PCs."""
        hosts = [(f"@winrm/{name}", data) for name, data in self.data.items()]
        (self.folder / "fleet.py").write_text(f"clients = {hosts!r}\n")
        return "fleet.py"

    def plan(self, *arguments: object, code: int | None = None) -> dict[str, Any]:
        """Plan, write the plan, and return what it says of each host."""
        ran = self.commands.run(
            *("plan", self.inventory, "--packages", "--output", "plan.json", "--unsigned", "--format", "json"),
            *arguments,
        )
        assert code in (None, ran.code), ran.err + ran.out
        assert ran.out, ran.err
        return {host["host"]: host for host in json.loads(ran.out)["hosts"]}

    def refused(self, *arguments: object) -> str:
        """Plan what is refused before the first PC is asked; return why."""
        before = {name: len(pc.actions) for name, pc in self.bench.pcs.items()}
        ran = self.commands.run("plan", self.inventory, "--packages", *arguments)
        assert (ran.code, ran.out) == (1, "")
        assert {name: len(pc.actions) for name, pc in self.bench.pcs.items()} == before
        assert len(ran.err.strip().splitlines()) == 1
        return str(ran.err.strip())

    def run(self, command: str, *arguments: object) -> Any:
        """Apply the plan, or undo what was applied."""
        if command == "apply":
            return self.commands.run("apply", "plan.json", "--unsigned", "--soak", "0", *arguments)
        return self.commands.run(
            "undo", "plan.json.journal", "--inventory", self.inventory, "--unsigned", "--yes", *arguments
        )

    def ends(self, command: str = "apply", *arguments: object, code: int | None = None) -> dict[str, Any]:
        """Apply the plan, or undo; return what is said of each host."""
        ran = self.run(command, "--format", "json", *arguments)
        assert code in (None, ran.code), ran.err + ran.out
        assert ran.out, ran.err
        return {host["host"]: host for host in json.loads(ran.out)["hosts"]}

    def policy(self, pc: Any, name: str, value: int) -> None:
        """Set a policy about packages on a PC."""
        Furnished(pc).policy(name, value)

    def installed(self, pc: Any) -> list[str]:
        """Return names and versions of the packages that are applied on a PC."""
        return [f"{each.name} {each.version}" for each in pc.machine.packages.installed(pc.machine)]


@pytest.fixture
def fleet(commands: Any, programs: None, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """An empty fleet."""
    return Fleet(commands, monkeypatch)
