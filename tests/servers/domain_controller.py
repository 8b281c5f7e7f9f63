"""A Samba domain controller in namespaces of its own: ``unshare --net --mount python3 THIS FOLDER [OBJECTS]``.

It prints ``ready`` when a ticket can be had, and ends when its standard input does. It runs on the system's Python,
which has the package ``samba``.
"""

import os
import pathlib
import runpy
import socket
import subprocess
import sys
import time

REALM, DOMAIN, PASSWORD = "LAB.TEST", "LAB", "Pa55-word-of-the-lab"

SMB_CONF = """
[global]
    netbios name = DC1
    realm = {realm}
    workgroup = {domain}
    server role = active directory domain controller
    server services = ldap, kdc, dns, cldap
    interfaces = lo
    bind interfaces only = yes
    disable netbios = yes
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
    ldap server require strong auth = allow_sasl_over_tls
    tls keyfile = {folder}/tls-key.pem
    tls certfile = {folder}/tls.pem
    tls cafile = {folder}/tls.pem
[sysvol]
    path = {folder}/state/sysvol
    read only = no
[netlogon]
    path = {folder}/state/sysvol/lab.test/scripts
    read only = no
"""
KRB5_CONF = """
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    rdns = false
[realms]
    {realm} = {{
        kdc = 127.0.0.1
    }}
"""


def main() -> None:
    """Provision the domain, start the controller, say when it answers, stop it at the end of the input."""
    folder = pathlib.Path(sys.argv[1])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for name in ("private", "lock", "state", "cache", "pid", "ncalrpc", "winbindd", "ntp"):
        (folder / name).mkdir()
    config = folder / "smb.conf"
    config.write_text(SMB_CONF.format(realm=REALM, domain=DOMAIN, folder=folder))
    (folder / "krb5.conf").write_text(KRB5_CONF.format(realm=REALM))
    _certify(folder)
    _provision(folder, config)
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    subprocess.run(["mount", "--bind", str(folder / "resolv.conf"), "/etc/resolv.conf"], check=True)
    _fill(config, sys.argv[2:])
    with subprocess.Popen(
        ["/usr/sbin/samba", "--foreground", "--no-process-group", f"--configfile={config}"],
        stdout=sys.stderr,
        stdin=subprocess.DEVNULL,
    ) as samba:
        try:
            _wait(folder, samba)
            print("ready", flush=True)
            sys.stdin.read()
        finally:
            samba.terminate()


def _certify(folder: pathlib.Path) -> None:
    """Write the controller's certificate, which it signs itself."""
    name = f"dc1.{REALM.lower()}"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", str(folder / "tls-key.pem"), "-out", str(folder / "tls.pem"), "-days", "30"]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run(command, check=True, capture_output=True)


def _provision(folder: pathlib.Path, config: pathlib.Path) -> None:
    import samba.auth
    import samba.param
    from samba import dsdb
    from samba.provision import provision

    parameters = samba.param.LoadParm()
    parameters.load(str(config))
    import logging

    provision(
        logging.getLogger("provision"),
        samba.auth.system_session(),
        smbconf=str(config),
        targetdir=None,
        realm=REALM,
        domain=DOMAIN,
        hostname="dc1",
        hostip="127.0.0.1",
        adminpass=PASSWORD,
        serverrole="active directory domain controller",
        dom_for_fun_level=dsdb.DS_DOMAIN_FUNCTION_2008_R2,
        dns_backend="SAMBA_INTERNAL",
        useeadb=True,
        use_rfc2307=False,
        lp=parameters,
    )


def _fill(config: pathlib.Path, objects: "list[str]") -> None:
    """Give the controller its own name in DNS and in Kerberos, and the directory the objects of a program."""
    import ldb
    import samba.param
    from samba.auth import system_session
    from samba.dcerpc import dnsp
    from samba.ndr import ndr_pack
    from samba.samdb import SamDB

    parameters = samba.param.LoadParm()
    parameters.load(str(config))
    directory = SamDB(session_info=system_session(), lp=parameters)
    base = str(directory.domain_dn())
    service = ldb.Message(ldb.Dn(directory, f"CN=DC1,OU=Domain Controllers,{base}"))
    names = [f"ldap/dc1.{REALM.lower()}", f"ldap/dc1.{REALM.lower()}/{REALM.lower()}"]
    service["servicePrincipalName"] = ldb.MessageElement(names, ldb.FLAG_MOD_ADD, "servicePrincipalName")
    directory.modify(service)

    def name_here(name: str) -> None:
        """Let DNS say that *name* is this computer."""
        address = dnsp.DnssrvRpcRecord()
        address.wType, address.rank, address.dwTtlSeconds = dnsp.DNS_TYPE_A, dnsp.DNS_RANK_ZONE, 900
        address.data = "127.0.0.1"
        zone = f"DC={REALM.lower()},CN=MicrosoftDNS,DC=DomainDnsZones,{base}"
        directory.add({"dn": f"DC={name},{zone}", "objectClass": "dnsNode", "dnsRecord": ndr_pack(address)})

    name_here("dc1")
    for program in objects:
        functions = runpy.run_path(program)
        functions["extend"](directory)
        directory.transaction_start()
        functions["add"](directory, name_here)
        directory.transaction_commit()


def _wait(folder: pathlib.Path, samba: "subprocess.Popen[bytes]") -> None:
    """Wait until a ticket can be had and LDAP listens on both ports; a controller that ends before that is an error."""
    environment = {**os.environ, "KRB5_CONFIG": str(folder / "krb5.conf"), "KRB5CCNAME": f"FILE:{folder}/ccache"}
    for _ in range(600):
        if samba.poll() is not None:
            raise SystemExit(f"samba ended with {samba.returncode}")
        kinit = subprocess.run(
            ["kinit", f"Administrator@{REALM}"],
            input=PASSWORD.encode(),
            env=environment,
            capture_output=True,
            check=False,
        )
        if kinit.returncode == 0 and _listens(389) and _listens(636):
            return
        time.sleep(0.1)
    raise SystemExit("samba did not answer within a minute")


def _listens(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()
