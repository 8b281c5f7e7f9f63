"""PCs of the lab with packages on them, put there without the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest

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
