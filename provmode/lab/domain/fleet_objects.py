"""The directory of a lab's domain; runs on the system's Python, before Samba starts (see `samba_setup`)."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMPUTER, DISABLED = 4096, 4098
"""``userAccountControl``."""
DAY = 86_400
AES_AND_RC4 = "28"
"""``msDS-SupportedEncryptionTypes`` of a Windows PC."""
SERVICES = ("HOST", "RestrictedKrbHost", "WSMAN", "TERMSRV")
"""What a Windows PC registers. HOST stands for HTTP, which clients of WinRM ask for (``sPNMappings``)."""


def add(directory: Any, name_here: "Callable[[str, str], None]", arguments: "dict[str, Any]") -> None:
    """Add OUs, users, computers, their names in DNS, and a group."""
    base = str(directory.domain_dn())
    for unit in arguments["units"]:
        directory.add({"dn": f"{_path(unit)},{base}", "objectClass": "organizationalUnit"})
    for name, password in arguments["users"].items():
        directory.newuser(name, password)
    for computer in arguments["computers"]:
        _add_computer(directory, base, arguments["dns_domain"], computer)
        if computer["address"]:
            name_here(computer["name"].lower(), computer["address"])
    for group, members in arguments["groups"].items():
        names = {computer["name"]: computer for computer in arguments["computers"]}
        directory.add(
            {
                "dn": f"CN={group},CN=Users,{base}",
                "objectClass": "group",
                "sAMAccountName": group,
                "member": [f"CN={name},{_path(names[name]['unit'])},{base}" for name in members],
            }
        )


def _add_computer(directory: Any, base: str, dns_domain: str, computer: "dict[str, Any]") -> None:
    name = computer["name"]
    full = f"{name.lower()}.{dns_domain}"
    logon = time.time() - computer["days_since_logon"] * DAY
    directory.add(
        {
            "dn": f"CN={name},{_path(computer['unit'])},{base}",
            "objectClass": "computer",
            "sAMAccountName": f"{name}$",
            "userAccountControl": str(COMPUTER if computer["enabled"] else DISABLED),
            "dNSHostName": full,
            "operatingSystem": computer["system"],
            "operatingSystemVersion": computer["version"],
            "lastLogonTimestamp": str(int((logon + 11_644_473_600) * 10_000_000)),
            "clearTextPassword": f'"{computer["password"]}"'.encode("utf-16-le"),
            "servicePrincipalName": [f"{service}/{each}" for service in SERVICES for each in (name, full)],
            "msDS-SupportedEncryptionTypes": AES_AND_RC4,
        },
        controls=["relax:0"],
    )


def _path(unit: str) -> str:
    """Return the distinguished name of ``Clients/Berlin``."""
    return ",".join(f"OU={name}" for name in reversed(unit.split("/")))


def export(parameters: Any, arguments: "dict[str, Any]") -> None:
    """Write the keytab of each PC, as the PC has its keys since it joined."""
    import samba.dckeytab  # noqa: F401 - it gives Net the method
    from samba.net import Net

    net = Net(None, parameters)
    for computer in arguments["computers"]:
        path = Path(arguments["keytabs"], f"{computer['name']}.keytab")
        net.export_keytab(keytab=str(path), principal=f"{computer['name']}$")
