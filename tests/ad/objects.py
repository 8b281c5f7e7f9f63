"""The objects of the directory that is asked in these tests; runs on the system's Python, before Samba starts."""

import time
from collections.abc import Callable
from typing import Any

DAY = 86_400
COMPUTER, DISABLED = 4096, 4098
MANY = 250
PC = "PC-00001"
"""A PC of the lab, which is there and answers."""
PASSWORD = "Pa55-word-of-an-auditor"


LAPS = {
    "ms-Mcs-AdmPwd": ("1.2.840.113556.1.8000.2554.50051.1", "2.5.5.5", "19", "904"),
    "ms-Mcs-AdmPwdExpirationTime": ("1.2.840.113556.1.8000.2554.50051.2", "2.5.5.16", "65", "0"),
    "msLAPS-Password": ("1.2.840.113556.1.6.44.1.1", "2.5.5.12", "64", "904"),
    "msLAPS-EncryptedPassword": ("1.2.840.113556.1.6.44.1.2", "2.5.5.10", "4", "904"),
    "msLAPS-PasswordExpirationTime": ("1.2.840.113556.1.6.44.1.3", "2.5.5.16", "65", "0"),
}
"""The attributes of both kinds of LAPS: OID, syntax, searchFlags (904: confidential, among others)."""


def extend(directory: Any) -> None:
    """Extend the schema as LAPS does."""
    import ldb

    schema = str(directory.get_schema_basedn())
    for name, (number, syntax, om_syntax, flags) in LAPS.items():
        directory.add(
            {
                "dn": f"CN={name},{schema}",
                "objectClass": "attributeSchema",
                "lDAPDisplayName": name,
                "attributeID": number,
                "attributeSyntax": syntax,
                "oMSyntax": om_syntax,
                "isSingleValued": "TRUE",
                "searchFlags": flags,
            }
        )
    directory.set_schema_update_now()
    computer_class = ldb.Message(ldb.Dn(directory, f"CN=Computer,{schema}"))
    computer_class["mayContain"] = ldb.MessageElement(list(LAPS), ldb.FLAG_MOD_ADD, "mayContain")
    directory.modify(computer_class)
    directory.set_schema_update_now()


def add(directory: Any, name_here: "Callable[[str], None]", _: "dict[str, Any]") -> None:
    """Add OUs, computers, groups and an account that may only read."""
    base = str(directory.domain_dn())
    for unit in ("OU=Clients", "OU=Berlin,OU=Clients", "OU=München,OU=Clients", "OU=Halle\\, Saale,OU=Clients"):
        directory.add({"dn": f"{unit},{base}", "objectClass": "organizationalUnit"})
    for unit in ("OU=Many", "OU=Empty"):
        directory.add({"dn": f"{unit},{base}", "objectClass": "organizationalUnit"})

    berlin, munich, halle = (f"OU={name},OU=Clients" for name in ("Berlin", "München", "Halle\\, Saale"))
    for number in range(1, 5):
        computer(directory, f"PC-000{number}", berlin)
    computer(directory, "PC-0005", munich, system="Windows 11 Enterprise")
    computer(directory, "PC-0006", halle, system="Windows Server 2022 Standard")
    computer(directory, "BÜRO-1", munich)
    computer(directory, "LONGCOMPUTERNAM", munich, dns="longcomputername-17.lab.test")
    computer(directory, "NEVER-1", berlin, logon=None)
    computer(directory, "DISABLED-1", berlin, control=DISABLED)
    computer(directory, "STALE-1", berlin, logon=200)
    computer(directory, "STALE-2", berlin, logon=100)
    computer(directory, "NAMELESS-1", berlin, dns="")
    computer(directory, "FOREIGN-1", berlin, dns="foreign-1.evil.example")
    computer(directory, "SUFFIX-1", berlin, dns="suffix-1.evillab.test")
    computer(directory, "DOUBLE-1", berlin, dns="pc-0001.lab.test")
    computer(directory, "ODD-1", berlin, dns="odd\x1b[31m.lab.test")
    for number in range(MANY):
        computer(directory, f"{'MANY' if number % 10 else 'MÄNNY'}-{number:04}", "OU=Many")

    for name, members in (
        ("Inner", [f"CN=PC-0002,{berlin},{base}"]),
        ("Pilot (all)", [f"CN=PC-0001,{berlin},{base}", f"CN=Inner,CN=Users,{base}"]),
    ):
        directory.add(
            {"dn": f"CN={name},CN=Users,{base}", "objectClass": "group", "sAMAccountName": name, "member": members}
        )
    directory.newuser("provmode", PASSWORD)

    directory.add({"dn": f"OU=Laps,{base}", "objectClass": "organizationalUnit"})
    later = str(int((time.time() + 30 * DAY + 11_644_473_600) * 10_000_000))
    windows = {"msLAPS-Password": '{"n":"admin","t":"1d9","p":"Secret-of-new"}', "msLAPS-PasswordExpirationTime": later}
    legacy = {"ms-Mcs-AdmPwd": "Secret-of-old", "ms-Mcs-AdmPwdExpirationTime": later}
    encrypted = {"msLAPS-EncryptedPassword": "\x01\x02", "msLAPS-PasswordExpirationTime": later}
    computer(directory, "LAPS-NEW", "OU=Laps", more=windows)
    computer(directory, "LAPS-OLD", "OU=Laps", more=legacy)
    computer(directory, "LAPS-ENC", "OU=Laps", more=encrypted)
    computer(directory, "LAPS-NONE", "OU=Laps")

    directory.add({"dn": f"OU=Lab,{base}", "objectClass": "organizationalUnit"})
    computer(directory, PC, "OU=Lab", password="Pa55-word-of-a-computer")
    name_here(PC.lower())


def computer(
    directory: Any,
    name: str,
    unit: str,
    *,
    control: int = COMPUTER,
    logon: "int | None" = 3,
    dns: "str | None" = None,
    system: str = "Windows 10 Pro",
    password: str = "",
    more: "dict[str, str] | None" = None,
) -> None:
    """Add a computer; *logon* is how many days ago it logged on."""
    attributes: dict[str, Any] = {
        "dn": f"CN={name},{unit},{directory.domain_dn()}",
        "objectClass": "computer",
        "sAMAccountName": f"{name}$",
        "userAccountControl": str(control),
        "operatingSystem": system,
    }
    dns = f"{name.lower()}.lab.test" if dns is None else dns
    if dns:
        attributes["dNSHostName"] = dns
    if logon is not None:
        attributes["lastLogonTimestamp"] = str(int((time.time() - logon * DAY + 11_644_473_600) * 10_000_000))
    attributes |= more or {}
    if password:
        attributes["clearTextPassword"] = f'"{password}"'.encode("utf-16-le")
        attributes["servicePrincipalName"] = [f"{service}/{dns}" for service in ("HOST", "HTTP", "WSMAN")]
        attributes["msDS-SupportedEncryptionTypes"] = "28"
    directory.add(attributes, controls=["relax:0"])
