"""The Windows programs of an admin: ``reg``, ``sc``, ``net``, ``hostname``, ``whoami``, filters.

Output formats are those of Windows 10 and 11 as published in documentation and forum posts; nothing here was recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Union

from provmode.lab.windows import powershell
from provmode.lab.windows.cmd.certutil import certutil
from provmode.lab.windows.cmd.dism import dism
from provmode.lab.windows.cmd.reg import option, reg
from provmode.lab.windows.cmd.texts import message
from provmode.lab.windows.cmd.wevtutil import wevtutil
from provmode.lab.windows.services import ALREADY_RUNNING, OK, Service
from provmode.lab.windows.session import Session

Program = Callable[["Session", "list[str]"], Union[int, Generator[None, bytes, int]]]

NO_SERVICE, DISABLED, ALREADY, NOT_ACTIVE = 1060, 1058, 1056, 1062

# -- sc and net -------------------------------------------------------------------------------------------------

_STATES = {"Stopped": "1  STOPPED", "Start Pending": "2  START_PENDING", "Stop Pending": "3  STOP_PENDING"}
_START_TYPES = {"Auto": "2   AUTO_START", "Manual": "3   DEMAND_START", "Disabled": "4   DISABLED"}


def _sc(session: Session, words: list[str]) -> int:
    verb = words[0].lower() if words else ""
    if verb in ("query", "queryex") and len(words) == 1:
        for service in session.pc.services:
            if service.state == "Running":
                _print_service(session, service)
        return 0
    verbs: dict[str, Callable[[Session, Service, list[str]], int]] = {
        **{"query": _sc_query, "queryex": _sc_query, "qc": _sc_qc, "start": _sc_start, "stop": _sc_stop},
        "config": _sc_config,
    }
    if verb not in verbs or len(words) < 2:
        session.print("DESCRIPTION:\r\n        SC is a command line program used for communicating with the\r\n")
        return 1639
    service_found = session.pc.services.get(words[1])
    if service_found is None:
        failed = "OpenService FAILED" if verb != "query" else "EnumQueryServicesStatus:OpenService FAILED"
        session.print(f"[SC] {failed} {NO_SERVICE}:\r\n\r\n{message(session.pc, 'no-service')}\r\n")
        return NO_SERVICE
    if service_found.shown != "whole":
        session.print(f"[SC] OpenService FAILED 5:\r\n\r\n{message(session.pc, 'access-denied')}\r\n")
        return 5
    return verbs[verb](session, service_found, words[2:])


def _print_service(session: Session, service: Service) -> None:
    state = _STATES.get(service.state, "4  RUNNING")
    session.print(
        f"\r\nSERVICE_NAME: {service.name} \r\n        TYPE               : 10  WIN32_OWN_PROCESS  \r\n"
        f"        STATE              : {state} \r\n        WIN32_EXIT_CODE    : 0  (0x0)\r\n"
        "        SERVICE_EXIT_CODE  : 0  (0x0)\r\n        CHECKPOINT         : 0x0\r\n"
        "        WAIT_HINT          : 0x0\r\n"
    )


def _sc_query(session: Session, service: Service, words: list[str]) -> int:
    _print_service(session, service)
    return 0


def _sc_qc(session: Session, service: Service, words: list[str]) -> int:
    depends = "\r\n                           : ".join(service.depends_on)
    session.print(
        f"[SC] QueryServiceConfig SUCCESS\r\n\r\nSERVICE_NAME: {service.name}\r\n"
        "        TYPE               : 10  WIN32_OWN_PROCESS \r\n"
        f"        START_TYPE         : {_START_TYPES[service.start_mode]}\r\n"
        "        ERROR_CONTROL      : 1   NORMAL\r\n"
        f"        BINARY_PATH_NAME   : {service.path_name}\r\n        LOAD_ORDER_GROUP   : \r\n"
        f"        TAG                : 0\r\n        DISPLAY_NAME       : {service.display_name}\r\n"
        f"        DEPENDENCIES       : {depends}\r\n        SERVICE_START_NAME : {service.account}\r\n"
    )
    return 0


def _sc_start(session: Session, service: Service, words: list[str]) -> int:
    code = session.pc.services.start(service.name)
    if code != OK:
        number = {ALREADY_RUNNING: ALREADY, 14: DISABLED}.get(code, 1068)
        session.print(f"[SC] StartService FAILED {number}:\r\n\r\n")
        return number
    _print_service(session, session.pc.services.get(service.name) or service)
    return 0


def _sc_stop(session: Session, service: Service, words: list[str]) -> int:
    code = session.pc.services.stop(service.name)
    if code != OK:
        number = {5: NOT_ACTIVE}.get(code, 1051)
        session.print(f"[SC] ControlService FAILED {number}:\r\n\r\n")
        return number
    _print_service(session, session.pc.services.get(service.name) or service)
    return 0


def _sc_config(session: Session, service: Service, words: list[str]) -> int:
    modes = {"auto": "Automatic", "demand": "Manual", "disabled": "Disabled"}
    wanted = option(words, "start=") or next((w[6:] for w in words if w.lower().startswith("start=") and w[6:]), None)
    if wanted is None or wanted.lower() not in modes:
        return 1639
    session.pc.services.change_start_mode(service.name, modes[wanted.lower()])
    session.print("[SC] ChangeServiceConfig SUCCESS\r\n")
    return 0


def _net(session: Session, words: list[str]) -> int:
    if len(words) < 2 or words[0].lower() not in ("start", "stop"):
        return 1
    if session.pc.services.get(words[1]) is None:
        session.print_error(message(session.pc, "no-service"))
        return 2
    act = session.pc.services.start if words[0].lower() == "start" else session.pc.services.stop
    return 0 if act(words[1]) == OK else 2


# -- the rest ---------------------------------------------------------------------------------------------------


def _hostname(session: Session, words: list[str]) -> int:
    session.print(f"{session.pc.computer_name}\r\n")
    return 0


def _ipconfig(session: Session, words: list[str]) -> int:
    """Show the head of the report; addresses are not modelled."""
    if any(word.lower() not in ("/all", "/allcompartments") for word in words):
        session.print("\r\nError: unrecognized or incomplete command line.\r\n\r\nUSAGE:\r\n    ipconfig /all\r\n")
        return 1
    title = "Windows-IP-Konfiguration" if session.pc.german else "Windows IP Configuration"
    session.print(f"\r\n{title}\r\n\r\n")
    if words:
        session.print(f"   Host Name . . . . . . . . . . . . : {session.pc.computer_name}\r\n")
    return 0


def _whoami(session: Session, words: list[str]) -> int:
    session.print(f"{session.user.lower()}\r\n")
    return 0


def _tasklist(session: Session, words: list[str]) -> int:
    session.print("\r\nImage Name                     PID Session Name        Session#    Mem Usage\r\n")
    session.print("========================= ======== ================ =========== ============\r\n")
    for process in session.pc.processes:
        session.print(f"{process.name[:25]:<25} {process.pid:>8} Services                   0      8,192 K\r\n")
    return 0


def _chcp(session: Session, words: list[str]) -> int:
    """Show the console's code page; setting it is not modelled."""
    number = "65001" if session.codec == "utf-8" else session.codec.removeprefix("cp")
    session.print(f"Active code page: {number}\r\n")
    return 0


def _more(session: Session, words: list[str]) -> Generator[None, bytes, int]:
    data = yield
    session.out += data
    return 0


def _sort(session: Session, words: list[str]) -> Generator[None, bytes, int]:
    data = yield
    for line in sorted(data.splitlines(), key=bytes.lower):
        session.out += line + b"\r\n"
    return 0


def _findstr(session: Session, words: list[str]) -> Generator[None, bytes, int]:
    data = yield
    wanted = " ".join(word for word in words if not word.startswith("/")).encode()
    found = [line for line in data.splitlines() if any(word in line for word in wanted.split())]
    for line in found:
        session.out += line + b"\r\n"
    return 0 if found else 1


PROGRAMS: dict[str, Program] = {
    **{
        "certutil": certutil,
        "dism": dism,
        "reg": reg,
        "sc": _sc,
        "net": _net,
        "ipconfig": _ipconfig,
        "hostname": _hostname,
        "whoami": _whoami,
        "tasklist": _tasklist,
        "wevtutil": wevtutil,
    },
    "powershell": powershell.run,
    **{"more": _more, "more.com": _more, "sort": _sort, "findstr": _findstr, "chcp": _chcp, "chcp.com": _chcp},
}
"""The programs, by name without ``.exe``."""
