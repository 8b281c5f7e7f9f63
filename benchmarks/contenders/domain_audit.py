"""provmode in a domain of the lab: ``domain_audit HOSTS REPEATS``, whole commands with NTLM and with Kerberos.

It first prints the time at which it began, then a line for each run. Tickets are got anew before each run.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.job import Measured

NTLM, TICKETS, TICKETS_OF_PCS = "ntlm", "tickets", "tickets of PCs"
LOOPS = ("provmode", "bare")


def main() -> None:
    """Audit the domain, in each way in turn."""
    print(time.monotonic(), flush=True)
    hosts, repeats = int(sys.argv[1]), int(sys.argv[2])
    for _ in range(repeats):
        for kind in (NTLM, TICKETS, TICKETS_OF_PCS):
            _get_tickets(hosts if kind == TICKETS_OF_PCS else 0)
            print(json.dumps(asdict(_audit(kind, hosts))), flush=True)
    if repeats:
        _loops(hosts, repeats)


def _loops(hosts: int, repeats: int) -> None:
    """Let provmode and pywinrm's bare loop send the same messages with Kerberos, in turn; each prints its line."""
    with tempfile.TemporaryDirectory(prefix="provmode-bench-") as folder:
        inventory, recorded = Path(folder, "pcs.py"), Path(folder, "messages.json")
        pcs = [
            (f"@winrm/PC-{number:05d}", {"winrm_address": f"pc-{number:05d}.corp.example"})
            for number in range(1, hosts + 1)
        ]
        inventory.write_text(f"pcs = ({pcs!r}, {{'winrm_transport': 'kerberos'}})\n", encoding="utf-8")
        _get_tickets(0)
        for kind in ("record", *(LOOPS * repeats)):
            arguments = [kind, str(inventory), str(recorded)]
            subprocess.run([sys.executable, "-m", "benchmarks.contenders.domain_loop", *arguments], check=True)


def _get_tickets(pcs: int) -> None:
    """Leave the own ticket, and those for so many PCs, in the cache."""
    password = Path(os.environ["PROVMODE_DOMAIN"], "password").read_text(encoding="utf-8")
    subprocess.run(["kinit", "provmode"], input=password, text=True, check=True, capture_output=True)
    if pcs:
        services = [f"HTTP/pc-{number:05d}.corp.example" for number in range(1, pcs + 1)]
        subprocess.run(["kvno", "-q", *services], check=True, capture_output=True)


def _audit(kind: str, hosts: int) -> Measured:
    """Run the command and measure it, start-up and imports included."""
    data = {
        "winrm_transport": "ntlm",
        "winrm_user": "LAB\\provmode",
        "winrm_password_file": f"{os.environ['PROVMODE_DOMAIN']}/password",
    }
    arguments = [part for key, value in data.items() for part in ("--data", f"{key}={value}")] if kind == NTLM else []
    command = [sys.executable, "-m", "provmode", "audit", "@ad/corp.example", "--format", "json", *arguments]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    verdicts = [host["verdict"] for host in json.loads(ran.stdout)["hosts"]]
    if verdicts != ["healthy"] * hosts:
        raise SystemExit(f"{kind}: {verdicts.count('healthy')} of {hosts} hosts were found to be what they are")
    return Measured(
        kind,
        hosts=hosts,
        right=hosts,
        cpu=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        wall=wall,
        max_rss=after.ru_maxrss * 1024,
    )


if __name__ == "__main__":
    main()
