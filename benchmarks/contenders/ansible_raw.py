"""Ansible reads the same values: ``ansible.builtin.raw`` over its winrm connection, one task per value.

Everything that costs Ansible time and is not needed is left out: it gathers no facts and looks nothing up with
PowerShell, and the start-up time of ``ansible-playbook`` is subtracted. The winrm connection wraps every raw command in
PowerShell unless the command begins with ``type``. Each line here does, so that cmd.exe runs it directly (on a real PC,
each task would also have to start a PowerShell).

Runs ``ansible-playbook`` of the given environment, and prints one line like the other contenders.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.contenders.commands import COMMANDS, read
from benchmarks.contenders.meter import Meter
from benchmarks.job import Job

_NOTHING = "type nul"
_RESULT = re.compile(r"^\w+: \[([\w-]+)\](?:: FAILED!)? => (\{.*\})$")


def main() -> None:
    """Arguments: the job, the bin folder of Ansible's environment, forks, ``tasks`` or ``line``.

    ``line`` puts all values into one command line and so into one task: Ansible's best case, which nobody writes in a
    playbook.
    """
    job, programs, forks, shape = Job.read(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    with tempfile.TemporaryDirectory(prefix="provmode-bench-ansible-") as name:
        folder = Path(name)
        (folder / "inventory.json").write_text(json.dumps(_inventory(job)), encoding="utf-8")
        (folder / "play.json").write_text(json.dumps(_play(shape)), encoding="utf-8")
        command = [str(programs / "ansible-playbook"), "-i", "inventory.json", "-f", forks, "-v", "play.json"]
        started = time.perf_counter()
        _run([*command, "--list-hosts"], folder, programs)
        startup = time.perf_counter() - started
        meter = Meter(f"ansible, {forks} forks, a {shape[:4]} each", children=True)
        output = _run(command, folder, programs)
        meter.stop()
    outputs = _outputs(output)
    values = {host.name: read(outputs[host.name]) for host in job.hosts}
    meter.report(job, values, startup=startup, note=f"{startup:.1f} s of start-up subtracted")


def _run(command: list[str], folder: Path, programs: Path) -> str:
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_RETRY_FILES_ENABLED": "false",
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 2):  # 2: a host failed; the comparison of the values will report it
        raise SystemExit(f"ansible-playbook ended with {done.returncode}: {(done.stderr or done.stdout)[-400:]}")
    return done.stdout


def _inventory(job: Job) -> dict[str, Any]:
    common = {
        "ansible_connection": "winrm",
        "ansible_shell_type": "cmd",
        "ansible_winrm_scheme": "http",
        "ansible_winrm_transport": "ntlm",
        "ansible_winrm_message_encryption": "always",
        "ansible_user": job.user,
        "ansible_password": job.password,
    }
    hosts = {host.name: {"ansible_host": host.address, "ansible_port": host.port} for host in job.hosts}
    return {"all": {"hosts": hosts, "vars": common}}


def _play(shape: str) -> list[dict[str, Any]]:
    """Return the playbook; it prints the value's name before each output."""
    lines = [f"{_NOTHING} & echo @{name} & {line}" for name, line in COMMANDS.items()]
    if shape == "line":
        lines = [" & ".join(lines)]
    tasks = [{"ansible.builtin.raw": line, "failed_when": False, "changed_when": False} for line in lines]
    return [{"hosts": "all", "gather_facts": False, "tasks": tasks}]


def _outputs(text: str) -> Mapping[str, Mapping[str, str]]:
    """Return the output of each host for each value, from what ``ansible-playbook -v`` prints."""
    outputs: dict[str, dict[str, str]] = defaultdict(dict)
    for line in text.splitlines():
        result = _RESULT.match(line)
        if result is None:
            continue
        for part in ("\r\n" + json.loads(result[2]).get("stdout", "")).split("\r\n@")[1:]:
            name, _, output = part.partition("\r\n")
            outputs[result[1]][name.strip()] = output
    return outputs


if __name__ == "__main__":
    main()
