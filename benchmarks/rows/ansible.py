"""Hosts per second compared with Ansible, which has its own environment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.contest import ROOT, Bench, ContenderFailed, run
from benchmarks.job import Measured
from benchmarks.row import Row

CPU, RATE = 50, 25
CPU_OF_A_LINE, RATE_OF_A_LINE = 14, 5
WHAT = "CPU and hosts/s against Ansible (winrm, raw, a task for each of 5 values)"
TARGET = f"at least {CPU} times its CPU, {RATE} times its hosts/s"
TARGET_OF_A_LINE = f"at least {CPU_OF_A_LINE} times its CPU, {RATE_OF_A_LINE} times its hosts/s"
BEST_CASE = "The same with all values in one hand-joined command line: one task, Ansible at its very best"
ENVIRONMENT = ROOT / ".bench-venv"
REQUIREMENTS = ROOT / "benchmarks" / "ansible-requirements.txt"


def measure(bench: Bench) -> list[Row]:
    """Install Ansible if it is missing, try several numbers of forks and compare with the best."""
    try:
        bench.say("installing Ansible into .bench-venv if it is missing")
        programs = installed()
    except ContenderFailed as error:
        return [Row(WHAT, TARGET, f"not measured: {error}", None)]
    tasks = bench.against(_contender(bench, programs, "tasks", bench.sizes.ansible), bench.sizes.forks)
    line = bench.against(_contender(bench, programs, "line", bench.sizes.ansible_joined), bench.sizes.forks)
    return [
        Row(WHAT, TARGET, tasks.summary("forks"), tasks.cpu_factor >= CPU and tasks.factor >= RATE),
        Row(
            BEST_CASE,
            TARGET_OF_A_LINE,
            line.summary("forks"),
            line.cpu_factor >= CPU_OF_A_LINE and line.factor >= RATE_OF_A_LINE,
        ),
    ]


def _contender(bench: Bench, programs: Path, shape: str, hosts: int) -> Callable[[int], Measured]:
    job = bench.fleet.job(hosts)

    def ansible(forks: int) -> Measured:
        bench.say(f"ansible, {forks} forks, {shape}")
        return run("ansible_raw", job, programs, forks, shape)

    return ansible


def installed() -> Path:
    """Return the bin folder of Ansible's own environment, created on first use.

    Raises:
        ContenderFailed: Ansible cannot be installed; the message is pip's last error.
    """
    programs = ENVIRONMENT / "bin"
    stamp = ENVIRONMENT / ".installed"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return programs
    pip = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in ([sys.executable, "-m", "venv", str(ENVIRONMENT)], [*pip, "--requirement", str(REQUIREMENTS)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            errors = [line for line in (done.stderr or done.stdout).splitlines() if "ERROR" in line]
            raise ContenderFailed(
                f"Ansible could not be installed: {errors[-1][:200] if errors else 'no reason given'}"
            )
    stamp.write_text(wanted, encoding="utf-8")
    return programs
