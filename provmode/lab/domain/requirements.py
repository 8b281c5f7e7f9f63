"""What a domain of the lab needs of this machine, and how to get what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from provmode.lab.domain.controller import SAMBA, SYSTEM_PYTHON

PROGRAMS = {
    "unshare": "util-linux",
    "mount": "mount",
    "kinit": "krb5-user",
    SAMBA: "samba-ad-dc",
}
"""Programs by the Debian package that has them."""
SAMBA_PARTS = {
    "import samba.provision, samba.samdb, samba.net, samba.dckeytab": "python3-samba",
    "import os, samba.param; os.stat(samba.param.setup_dir() + '/provision.ldif')": "samba-ad-provision",
    "import os, samba.param; os.stat(samba.param.modules_dir() + '/ldb/samldb.so')": "samba-dsdb-modules",
}
"""Statements that fail on the system's Python without a Debian package; the first one's package all of them need."""
MODULES = {"gssapi": "kerberos", "krb5": "kerberos", "sansldap": "ad", "dns": "ad"}
"""Modules of this Python by provmode's extra that has them."""
CLONE, MOST, APPARMOR = (
    "kernel.unprivileged_userns_clone",
    "user.max_user_namespaces",
    "kernel.apparmor_restrict_unprivileged_userns",
)
FORBIDS = {CLONE: "0", MOST: "0", APPARMOR: "1"}
"""Kernel settings by the value with which only root can make user namespaces."""
CURES = {CLONE: "1", MOST: "10000", APPARMOR: "0"}
APART = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
"""A network, mounts and processes of its own, which end with the program that made them."""
AS_USER = ("--user", "--map-root-user")
"""In these namespaces, the rights that Samba needs; outside of them, none."""
_TRY = """
import sys
for statement in sys.argv[1:]:
    try:
        exec(statement)
    except (ImportError, OSError):
        print(statement)
"""


class DomainImpossible(Exception):
    """Something is missing; the message says what, and how to get it."""


def find_way_in(settings: Path = Path("/proc/sys")) -> Sequence[str]:
    """Return the beginning of the command that runs a program in namespaces of its own.

    Raises:
        DomainImpossible: something is missing for a domain.
    """
    missing = [*_missing_packages()]
    if missing:
        raise DomainImpossible(
            f"a domain needs Debian's {_list(missing)}: sudo apt-get install --no-install-recommends "
            f"{' '.join(missing)}"
        )
    modules = _missing_modules()
    if modules:
        extras = sorted({MODULES[name] for name in modules})
        raise DomainImpossible(
            f"a domain needs the libraries of provmode's {_list([f'extra `{each}`' for each in extras])} (Python has "
            f"no {_list(modules)}): docs/install.md says how to install them"
        )
    if not Path("/etc/resolv.conf").exists():  # mounts need something that they lie over
        raise DomainImpossible(
            "a domain needs the file /etc/resolv.conf, over which it lays its own: make an empty one"
        )
    return _way_in(settings)


def _missing_packages() -> Iterator[str]:
    """Yield the Debian packages that are missing."""
    found: set[str] = set()
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None and package not in found:
            found.add(package)
            yield package
    for statement in _failing(SYSTEM_PYTHON, list(SAMBA_PARTS)):
        yield SAMBA_PARTS[statement]


def _missing_modules() -> Sequence[str]:
    """Return the modules that cannot be imported: a system's library behind them can be missing as well."""
    failing = _failing(sys.executable, [f"import {name}" for name in MODULES])
    return [name for name in MODULES if f"import {name}" in failing]


def _failing(python: str, statements: Sequence[str]) -> Sequence[str]:
    """Return those of *statements* that fail on a *python*; all, if there is no such program."""
    try:
        ran = subprocess.run(
            [python, "-c", _TRY, *statements], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except OSError:
        return statements
    return ran.stdout.splitlines() if ran.returncode == 0 else statements


def _way_in(settings: Path) -> Sequence[str]:
    """Return the command that makes the namespaces: as root without a user namespace, if that works.

    Raises:
        DomainImpossible: the kernel refuses; the message names the setting, if there is one.
    """
    said = ""
    for way in ([APART] if os.geteuid() == 0 else []) + [(*AS_USER, *APART)]:
        tried = subprocess.run(["unshare", *way, "true"], capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            return ("unshare", *way)
        said = said or tried.stderr.strip()
    for setting, value in FORBIDS.items():
        path = settings / setting.replace(".", "/")
        if path.exists() and path.read_text(encoding="ascii").strip() == value:
            raise DomainImpossible(
                f"a domain needs user namespaces, and {setting} is {value} here: sudo sysctl {setting}={CURES[setting]}"
            )
    raise DomainImpossible(
        f"a domain needs namespaces of its own, and this machine gives none ({said}); containers often forbid them: "
        "run it outside of one"
    )


def _list(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
