r"""The traces that provisioning leaves on a lab PC: registry and events.

``Results``, ``PackageInfo``, ``CommandResults``, ``TrustedProvisioners``, ``CachedCRCs`` and the policies' winners are
known from field scripts and from disassembly; no document describes them. Assumptions: the ``State`` of a command is 1
while it runs and 2 behind it, ``PackageInfo\{id}`` has no values, the names of the events' data, and that the level
below ``Results\{id}`` is the stage and the one below that the index of the multivariant part.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import datetime

from provmode.lab.windows.events import Event, Level, Provider
from provmode.lab.windows.provisioning import PENDING
from provmode.lab.windows.state import PcState
from provmode.lab.windows.store import HKLM, Registry, RegType

KEY = "SOFTWARE\\Microsoft\\Provisioning"
CACHED = "SOFTWARE\\Microsoft\\Multivariant\\Status\\CachedCRCs\\RunTime"
POLICIES = "SOFTWARE\\Microsoft\\PolicyManager"
TRACKED = "SOFTWARE\\Microsoft\\EnterpriseResourceManager\\Tracked"
SECURITY = f"{POLICIES}\\current\\device\\Security"
CHANNEL = "Microsoft-Windows-Provisioning-Diagnostics-Provider/Admin"
PROVIDER = Provider("Microsoft-Windows-Provisioning-Diagnostics-Provider", "{ED8B9BD3-F66E-4FF2-B86B-75C7925F72A9}")

COMMAND_RUNS, COMMAND_ENDED = 1, 2
RESULT_PENDING, RESULT_DONE = 2, 3
_FAILURES = {12, 22, 62, 65}


def event(pc: PcState, number: int, when: datetime, **data: str) -> None:
    """Write an event of the engine; names of data are written as they are given."""
    level = Level.ERROR if number in _FAILURES else Level.INFORMATION
    pc.events.write(CHANNEL, Event(PROVIDER, number, level, when, data))


def results_key(package_id: str, stage: str = "", xml: str = "") -> str:
    """Return the key of a package's results, or of one of them."""
    return f"{KEY}\\Results\\{package_id}" + (f"\\{stage}\\0\\{xml}" if xml else "")


def write_result(
    registry: Registry,
    package_id: str,
    stage: str,
    xml: str,
    categories: Sequence[str],
    code: int,
    node: str = "",
) -> int:
    """Write how one compiled file went; return how often it has failed."""
    key = results_key(package_id, stage, xml)
    old = registry.get(HKLM, key, "NumFailures")
    failures = int(old.data) if old is not None and isinstance(old.data, int) and code else 0
    failed = code >= 2**31
    failures += failed
    message = "Provisioning failed" if failed else "Provisioning succeeded"
    registry.set(HKLM, key, "Categories", RegType.MULTI_SZ, tuple(categories))
    registry.set(HKLM, key, "Message", RegType.SZ, "Provisioning is pending" if code == PENDING else message)
    registry.set(HKLM, key, "LastResult", RegType.DWORD, code)
    registry.set(HKLM, key, "NumFailures", RegType.DWORD, failures)
    if failed:
        registry.set(HKLM, key, "FailingNodePath", RegType.SZ, node)
        registry.set(HKLM, key, "FailingCategory", RegType.SZ, categories[0])
    registry.set(HKLM, key, "State", RegType.DWORD, RESULT_PENDING if code == PENDING else RESULT_DONE)
    return failures


def write_command(registry: Registry, context: str, package_id: str, number: str, state: int) -> None:
    """Write what became of a package's command."""
    key = f"{KEY}\\CommandResults\\{context}\\{package_id}\\{number}"
    registry.set(HKLM, key, "State", RegType.DWORD, state)


def write_applied(registry: Registry, package_id: str, xmls: Sequence[str]) -> None:
    """Note that a package was applied, so that it is not again."""
    registry.create_key(HKLM, f"{CACHED}\\{package_id}")
    for xml in xmls:
        registry.set(HKLM, f"{CACHED}\\{package_id}", xml, RegType.DWORD, zlib.crc32(xml.encode()))


def is_applied(registry: Registry, package_id: str) -> bool:
    """Return whether `write_applied` was done for a package."""
    return registry.key_exists(HKLM, f"{CACHED}\\{package_id}")


def forbids(registry: Registry, policy: str) -> bool:
    """Return whether one of the policies of Security that allow something is 0."""
    value = registry.get(HKLM, SECURITY, policy)
    return value is not None and value.data == 0


def requires_signature(registry: Registry) -> bool:
    """Return whether unsigned packages are refused."""
    value = registry.get(HKLM, SECURITY, "RequireProvisioningPackageSignature")
    return value is not None and value.data == 1


def provider_of(package_id: str) -> str:
    """Return a package's id as PolicyManager writes it."""
    return package_id.strip("{}").lower()


def winner(registry: Registry, area: str, policy: str) -> str | None:
    """Return whose value a policy has now."""
    value = registry.get(HKLM, f"{POLICIES}\\current\\device\\{area}", f"{policy}_WinningProvider")
    return None if value is None else str(value.data)


def want_policy(registry: Registry, provider: str, area: str, policy: str, data: str, *, is_number: bool) -> None:
    """Write what a provider wants of a policy."""
    key = f"{POLICIES}\\providers\\{provider}\\default\\Device\\{area}"
    _write(registry, key, policy, data, is_number=is_number)
    registry.set(HKLM, key, f"{policy}_LastWrite", RegType.DWORD, 1)


def set_policy(registry: Registry, provider: str, area: str, policy: str, data: str, *, is_number: bool) -> None:
    """Write a policy's value, and whose it is."""
    key = f"{POLICIES}\\current\\device\\{area}"
    _write(registry, key, policy, data, is_number=is_number)
    registry.set(HKLM, key, f"{policy}_ProviderSet", RegType.DWORD, 1)
    registry.set(HKLM, key, f"{policy}_WinningProvider", RegType.SZ, provider)


def _write(registry: Registry, key: str, name: str, data: str, *, is_number: bool) -> None:
    if is_number and data.isascii() and data.isdigit():
        registry.set(HKLM, key, name, RegType.DWORD, int(data) & 0xFFFFFFFF)
    else:
        registry.set(HKLM, key, name, RegType.SZ, data)


def remove_tree(registry: Registry, path: str) -> None:
    """Delete a key and what is below it."""
    for name in registry.subkeys(HKLM, path) or []:
        remove_tree(registry, f"{path}\\{name}")
    registry.delete_key(HKLM, path)
