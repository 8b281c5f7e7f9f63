"""Make a domain with Samba's library: ``/usr/bin/python3 samba_setup.py FOLDER``, in the network of the domain.

``FOLDER/setup.json`` says what to make, and may name a program that fills the directory. That has the functions
``extend(directory)`` for the schema, ``add(directory, name_here, arguments)``, and ``export(parameters, arguments)``;
it need not have all. This file runs on the system's Python and imports nothing of provmode.
"""

import json
import logging
import runpy
import sys
from pathlib import Path
from typing import Any

FOLDERS = ("private", "lock", "state", "cache", "pid", "ncalrpc", "winbindd", "ntp")
SMB_CONF = """
[global]
    netbios name = DC1
    realm = {realm}
    workgroup = {workgroup}
    server role = active directory domain controller
    server services = ldap, kdc, dns, cldap
    interfaces = lo
    bind interfaces only = yes
    disable netbios = yes
    tls keyfile = {folder}/tls-key.pem
    tls certfile = {folder}/tls.pem
    tls cafile = {folder}/ca.pem
    ldap server require strong auth = allow_sasl_over_tls
    private dir = {folder}/private
    lock dir = {folder}/lock
    state directory = {folder}/state
    cache directory = {folder}/cache
    pid directory = {folder}/pid
    ncalrpc dir = {folder}/ncalrpc
    winbindd socket directory = {folder}/winbindd
    ntp signd socket directory = {folder}/ntp
    log file = {folder}/log
    dsdb:schema update allowed = yes
[sysvol]
    path = {folder}/state/sysvol
    read only = no
[netlogon]
    path = {folder}/state/sysvol/{dns_domain}/scripts
    read only = no
"""


def main() -> None:
    """Provision the domain and fill its directory."""
    folder = Path(sys.argv[1])
    setup = json.loads((folder / "setup.json").read_text(encoding="utf-8"))
    for name in FOLDERS:
        (folder / name).mkdir()
    config = folder / "smb.conf"
    names = {"realm": setup["dns_domain"].upper(), "dns_domain": setup["dns_domain"], "workgroup": setup["workgroup"]}
    config.write_text(SMB_CONF.format(folder=folder, **names), encoding="utf-8")
    provision(config, setup)
    fill(config, setup)


def parameters_of(config: Path) -> Any:
    """Return Samba's parameters."""
    import samba.param

    parameters = samba.param.LoadParm()
    parameters.load(str(config))
    return parameters


def provision(config: Path, setup: "dict[str, Any]") -> None:
    """Make an empty domain. ``samba-tool domain provision`` does not work without root: it sets ACLs of files."""
    import samba.auth
    import samba.provision
    from samba import dsdb

    samba.provision.provision(
        logging.getLogger("provision"),
        samba.auth.system_session(),
        smbconf=str(config),
        targetdir=None,
        realm=setup["dns_domain"].upper(),
        domain=setup["workgroup"],
        hostname="dc1",
        hostip="127.0.0.1",
        adminpass=setup["administrator_password"],
        serverrole="active directory domain controller",
        dom_for_fun_level=dsdb.DS_DOMAIN_FUNCTION_2008_R2,
        dns_backend="SAMBA_INTERNAL",
        useeadb=True,
        use_rfc2307=False,
        lp=parameters_of(config),
    )


def fill(config: Path, setup: "dict[str, Any]") -> None:
    """Give the controller its own name in DNS and in Kerberos, and the directory what the program adds."""
    import ldb
    from samba.auth import system_session
    from samba.dcerpc import dnsp
    from samba.ndr import ndr_pack
    from samba.samdb import SamDB

    parameters, dns_domain = parameters_of(config), setup["dns_domain"]
    directory = SamDB(session_info=system_session(), lp=parameters)
    base = str(directory.domain_dn())
    service = ldb.Message(ldb.Dn(directory, f"CN=DC1,OU=Domain Controllers,{base}"))
    names = [f"ldap/dc1.{dns_domain}", f"ldap/dc1.{dns_domain}/{dns_domain}"]
    service["servicePrincipalName"] = ldb.MessageElement(names, ldb.FLAG_MOD_ADD, "servicePrincipalName")
    directory.modify(service)

    def name_here(name: str, at: str = "127.0.0.1") -> None:
        """Let DNS say that *name* has the address *at*."""
        address = dnsp.DnssrvRpcRecord()
        address.wType, address.rank, address.dwTtlSeconds = dnsp.DNS_TYPE_A, dnsp.DNS_RANK_ZONE, 900
        address.data = at
        zone = f"DC={dns_domain},CN=MicrosoftDNS,DC=DomainDnsZones,{base}"
        directory.add({"dn": f"DC={name},{zone}", "objectClass": "dnsNode", "dnsRecord": ndr_pack(address)})

    name_here("dc1")
    program = runpy.run_path(setup["program"]) if setup["program"] else {}
    if "extend" in program:
        program["extend"](directory)
    if "add" in program:
        directory.transaction_start()
        program["add"](directory, name_here, setup["arguments"])
        directory.transaction_commit()
    if "export" in program:
        program["export"](parameters, setup["arguments"])


if __name__ == "__main__":
    main()
