"""The cmdlets of the module Provisioning, on the engine of the PC.

Parameters: Microsoft, the pages of the module. The properties of what they return are those that field scripts use;
of the others the names are from output in forum posts. Assumptions: an id is without braces, a failure is a
``COMException`` with the engine's HRESULT, and without ``-QuietInstall`` nobody is there to be asked, so that adding is
cancelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provmode.lab.windows.powershell.dotnet import DotNetError, Record
from provmode.lab.windows.provisioning import PENDING, Outcome, PackageFacts, ProvisioningFailed
from provmode.lab.windows.session import Session
from provmode.lab.windows.state import Provisioning

CANCELLED, NOT_FOUND, NOT_SUPPORTED = 0x800704C7, 0x80070490, 0x80070032
_COMMON = {"erroraction": True, "verbose": False, "logsdirectorypath": True, "wprpfile": True, "connecteddevice": False}
_CMDLETS: Mapping[str, Mapping[str, bool]] = {
    "get-provisioningpackage": {"packageid": True, "packagepath": True, "allinstalledpackages": False},
    "install-provisioningpackage": {"packagepath": True, "forceinstall": False, "quietinstall": False},
    "uninstall-provisioningpackage": {"packageid": True, "packagepath": True, "allinstalledpackages": False},
    "get-trustedprovisioningcertificate": {"thumbprint": True},
    "install-trustedprovisioningcertificate": {"certificatepath": True},
    "uninstall-trustedprovisioningcertificate": {"thumbprint": True},
}
"""The parameters of each, the first by position too: whether it has a value."""
_ALIASES = {
    "add-provisioningpackage": "install-provisioningpackage",
    "remove-provisioningpackage": "uninstall-provisioningpackage",
}
Elements = Sequence[tuple[str, Any]]
"""Arguments and switches in order, evaluated: an argument has no name."""


def is_cmdlet(name: str) -> bool:
    """Return whether the module has a cmdlet of this name, in lower case."""
    return _ALIASES.get(name, name) in _CMDLETS


def run(session: Session, name: str, elements: Elements) -> Any:
    """Run a cmdlet.

    Raises:
        DotNetError: it fails.
    """
    cmdlet = _ALIASES.get(name, name)
    given = _bound(cmdlet, elements)
    engine = session.pc.packages
    try:
        if engine is None:
            raise ProvisioningFailed(NOT_SUPPORTED)
        found = _run(session, engine, cmdlet, given)
    except ProvisioningFailed as error:
        text = f"ERROR: {name} command failed: 0x{error.code:08x}"
        raise DotNetError("COMException", text, error.code) from None
    return found[0] if len(found) == 1 else found or None


def _run(session: Session, engine: Provisioning, cmdlet: str, given: Mapping[str, Any]) -> list[Record]:
    pc = session.pc
    if cmdlet.endswith("trustedprovisioningcertificate"):
        if cmdlet.startswith("install"):
            name = engine.trust(pc, session.path(str(given["certificatepath"])))
            return [_certificate(name, engine.trusted(pc)[name])]
        if cmdlet.startswith("uninstall"):
            engine.distrust(pc, str(given["thumbprint"]))
            return []
        wanted = str(given.get("thumbprint", "")).upper()
        found = engine.trusted(pc)
        return [_certificate(name, found[name]) for name in found if wanted in ("", name)]
    if cmdlet == "install-provisioningpackage":
        if "quietinstall" not in given:
            raise ProvisioningFailed(CANCELLED)
        path = session.path(str(given["packagepath"]))
        return [_package(engine.add(pc, path, force="forceinstall" in given))]
    if "packagepath" in given:
        asked = engine.facts(pc, session.path(str(given["packagepath"])))
        if cmdlet.startswith("get"):
            return [_package(asked)]
        return [_package(engine.remove(pc, asked.id))]
    installed = list(engine.installed(pc))
    if "packageid" in given:
        wanted = str(given["packageid"]).strip("{}").lower()
        installed = [each for each in installed if each.id.strip("{}").lower() == wanted]
        if not installed:
            raise ProvisioningFailed(NOT_FOUND)
    if cmdlet.startswith("get"):
        return [_package(each) for each in installed]
    return [_package(engine.remove(pc, each.id)) for each in installed]


def _bound(cmdlet: str, elements: Elements) -> dict[str, Any]:
    """Return the values of the parameters by name; a name may be cut short if one parameter begins with it."""
    known = {**_CMDLETS[cmdlet], **_COMMON}
    found: dict[str, Any] = {}
    waiting = ""
    for name, value in elements:
        if waiting and not name:
            found[waiting], waiting = value, ""
        elif waiting:
            raise DotNetError("ParameterBindingException", f"Missing an argument for parameter '{waiting}'.")
        elif name:
            matches = [name] if name in known else [each for each in known if each.startswith(name)]
            if len(matches) != 1:
                text = f"A parameter cannot be found that matches parameter name '{name}'."
                raise DotNetError("ParameterBindingException", text)
            if not known[matches[0]]:
                if value is None or value:
                    found[matches[0]] = True
            elif value is not None:
                found[matches[0]] = value
            else:
                waiting = matches[0]
        else:
            first = next(iter(_CMDLETS[cmdlet]))
            if first in found:
                raise DotNetError("ParameterBindingException", "A positional parameter cannot be found.")
            found[first] = value
    needed = [name for name in _CMDLETS[cmdlet] if known[name]] if cmdlet.startswith(("install", "uninstall")) else []
    if waiting or (needed and not set(_CMDLETS[cmdlet]) - {"forceinstall", "quietinstall"} & set(found)):
        raise DotNetError(
            "ParameterBindingException", "Cannot process command because of missing mandatory parameters."
        )
    if any(value is None or value == "" for value in found.values()):
        raise DotNetError("ParameterBindingValidationException", "Cannot bind argument because it is empty.")
    return found


def _package(found: PackageFacts) -> Record:
    return Record(
        IsInstalled=found.installed,
        PackageID=found.id.strip("{}").lower(),
        PackageName=found.name,
        PackagePath=found.path,
        Description=found.description,
        Rank=found.rank,
        Altitude=found.altitude,
        Version=found.version,
        OwnerType=found.owner,
        Notes=found.notes,
        Result=[_outcome(each) for each in found.outcomes],
    )


def _outcome(found: Outcome) -> str:
    word = "Pending" if found.code == PENDING else "Error" if found.code else "Success"
    detail = f" (0x{found.code:08x}) {found.node}" if word == "Error" else ""
    return f"{found.xml} Category:{found.category} LastResult:{word}{detail} NumberOfFailures:{found.failures}"


def _certificate(name: str, data: bytes) -> Record:
    return Record(Thumbprint=name, RawData=list(data))
