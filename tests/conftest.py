"""A lab for all tests except its own: one process, a few PCs, injected faults removed after each test."""

from __future__ import annotations

import functools
import itertools
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from provmode.ccm.client import READING_LINES
from provmode.fleet.inventory import Groups
from provmode.lab.domain.controller import FOLDER, Setup
from provmode.lab.domain.enter import Job, Running
from provmode.lab.domain.requirements import find_way_in
from provmode.lab.process import Host, LabProcess
from provmode.packages.on_pc.inventory import READING_LINES as PACKAGE_LINES
from provmode.transport.logons import PROCESS
from provmode.transport.session import Session
from provmode.transport.target import Credentials, Deadlines, Endpoint, Target, Trust

BUSY = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}  # a busy machine is not a failure
settings.register_profile("same", derandomize=True, **BUSY)  # two runs of one commit give the same result
settings.register_profile("search", max_examples=3000, **BUSY)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

SERVERS = {
    "kdc": ("a Kerberos KDC", ("krb5kdc", "kadmin.local", "kinit", "krb5-config", "curl")),
    "gss_ntlmssp": ("NTLM that is not ours (gss-ntlmssp)", ()),
    "active_directory": ("Active Directory (Samba)", ("samba", "samba-tool", "kinit", "unshare")),
    "postgresql": ("PostgreSQL", ("pg_ctl",)),
    "browser": ("a browser (Chromium)", ("chromium",)),
    "systemd": ("systemd's own checks of units (systemd-analyze)", ("systemd-analyze",)),
    "spreadsheet": ("a spreadsheet (Gnumeric)", ("ssconvert",)),
    "wim": ("other readers of packages (wimlib, 7-Zip)", ("wimlib-imagex", "7z")),
    "authenticode": ("others' signatures (osslsigncode, openssl)", ("osslsigncode", "openssl")),
}
"""The servers that tests talk to, by the marker of those tests: a description, and the programs that are needed."""
MODULES = {"kdc": ("gssapi", "krb5", "kerberos"), "active_directory": ("gssapi", "krb5"), "gss_ntlmssp": ("gssapi",)}
"""The Python modules that those tests need besides; `make test` builds them after `make system`."""
LIBRARIES = {"gss_ntlmssp": "gssntlmssp/gssntlmssp.so"}
"""The library that those tests need, in a folder of libraries of the system."""
PROGRAM_FOLDERS = ["/usr/sbin", "/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))]
NEEDS = "needs the server "


def find_library(server: str) -> Path | None:
    """Return the library of a server; ``None`` if it is not on this machine."""
    return next(Path("/usr/lib").glob(f"*/{LIBRARIES[server]}"), None)


@pytest.fixture(scope="session")
def library_of() -> Callable[[str], Path | None]:
    """Find the library of a server."""
    return find_library


def missing_programs(server: str) -> list[str]:
    """Return the programs of a server, its library and the modules for it, that are not on this machine."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *PROGRAM_FOLDERS])
    programs = [program for program in SERVERS[server][1] if shutil.which(program, path=path) is None]
    programs += [LIBRARIES[server]] if server in LIBRARIES and find_library(server) is None else []
    return programs + [f"Python's {name}" for name in MODULES.get(server, ()) if find_spec(name) is None]


def pytest_configure(config: pytest.Config) -> None:
    """Register a marker for each server."""
    config.addinivalue_line("markers", "long: takes over 15 s, mostly of waiting; begun before the others")
    for name, (what, _) in SERVERS.items():
        config.addinivalue_line("markers", f"{name}: needs {what}, which `make system` installs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each process begin with its share of the longest tests, so that none is left over at the end.

    pytest-xdist gives each process an even part of the tests, in order, and those that are done take from the others.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    longest = [item for item in items if item.get_closest_marker("long") is not None]
    rest = iter([item for item in items if item.get_closest_marker("long") is None])
    ordered: list[pytest.Item] = []
    for process in range(processes):
        part = longest[process::processes]
        size = len(items) * (process + 1) // processes - len(items) * process // processes
        ordered += [*part, *itertools.islice(rest, max(0, size - len(part)))]
    items[:] = [*ordered, *rest]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test if its server is missing; in CI, fail it."""
    for name in SERVERS:
        if item.get_closest_marker(name) is not None and missing_programs(name):
            reason = f"{NEEDS}{name}: {', '.join(missing_programs(name))} missing; run `make system` as root"
            if os.environ.get("CI") == "true":
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print one line for each missing server: what was not run, and how to install it."""
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []) if report.longrepr]
    for name, (what, _) in SERVERS.items():
        count = sum(f"{NEEDS}{name}:" in reason for reason in reasons)
        if count:
            missing = ", ".join(missing_programs(name))
            tests, them = (f"{count} tests that need", "them") if count > 1 else ("1 test that needs", "it")
            terminalreporter.write_line(
                f"NOT RUN: {tests} {what}: {missing} missing. To run {them}: sudo make system", yellow=True
            )


@pytest.fixture(scope="session")
def start_kdc() -> Callable[..., Any]:
    """Return the context manager that runs a realm of MIT's (k5test's options), on ports that are free."""
    return _kdc


@contextmanager
def _kdc(**options: Any) -> Iterator[Any]:
    from k5test import K5Realm

    path = os.environ["PATH"]
    os.environ["PATH"] = f"{path}:/usr/sbin:/sbin"  # where Debian keeps the KDC, and a user's path has no such folder
    try:
        realm = K5Realm(start_kadmind=False, portbase=_free_ports(), **options)
    finally:
        os.environ["PATH"] = path
    try:
        yield realm
    finally:
        realm.stop()
        shutil.rmtree(realm.tmpdir, ignore_errors=True)


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Postgres:
    """A running server; it listens on a socket in *folder* alone."""

    folder: Path
    programs: Path
    prefix: tuple[str, ...]
    """What runs a program as the server's user."""

    def sql(self, statement: str) -> str:
        """Run a statement and return what it prints."""
        psql = [*self.prefix, str(self.programs / "psql"), "-XAt", "-h", str(self.folder), "-U", "postgres"]
        ran = subprocess.run([*psql, "-c", statement], capture_output=True, text=True, check=True, cwd=self.folder)
        return ran.stdout.strip()

    def start(self) -> None:
        """Start it."""
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        self._control("-o", options, "start")

    def stop(self) -> None:
        """Stop it as if it were killed."""
        self._control("-m", "immediate", "stop")

    def _control(self, *arguments: str) -> None:
        data, log = str(self.folder / "data"), str(self.folder / "log")
        control = [*self.prefix, str(self.programs / "pg_ctl"), "-D", data, "-l", log, "-s", "-w"]
        subprocess.run([*control, *arguments], check=True, cwd="/", stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server. It refuses to run as root, so root hands it to the package's user."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    prefix = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
    folder = Path("/tmp") / f"provmode-pg-{os.getpid()}"
    folder.mkdir(mode=0o700)
    if prefix:
        shutil.chown(folder, "postgres", "postgres")
    server = Postgres(folder, programs, prefix)
    initdb = [*prefix, str(programs / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-N"]
    try:
        subprocess.run(initdb, check=True, cwd="/", capture_output=True)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Domain:
    """A Samba domain controller in a network of its own."""

    folder: Path
    """Its files; the folder is there for programs in the domain alone."""
    realm: str
    administrator: str
    password: str
    pid: int

    def run(
        self, *command: str, cwd: Path | None = None, timeout: float = 60, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the domain's network, with a ticket of the administrator unless *environment* says more."""
        return subprocess.run(
            [*self.enter(cwd), *command],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **self.environment, **environment},
            timeout=timeout,
        )

    @property
    def environment(self) -> dict[str, str]:
        """What programs in the domain find it by."""
        return {"KRB5_CONFIG": str(self.folder / "krb5.conf"), "KRB5CCNAME": f"FILE:{self.folder / 'tickets'}"}

    def enter(self, cwd: Path | None = None) -> list[str]:
        """Return what to write before a command to run it in the domain's network."""
        enter = ["nsenter", "--target", str(self.pid), "--net", "--mount", "--pid"]
        enter += [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return [*enter, f"--wd={cwd}"] if cwd is not None else enter


@pytest.fixture(scope="session")
def start_domain() -> Callable[..., Any]:
    """Return the context manager that runs a domain controller for LAB.TEST."""
    return _domain


@contextmanager
def _domain(objects: Path | None = None) -> Iterator[Domain]:
    """Run a domain controller, made from nothing. It needs no root: it has namespaces of its own.

    *objects* is a program for Samba's Python, which fills the directory (`provmode/lab/domain/samba_setup.py`).
    """
    administrator, password = "Administrator", "Pa55-word-of-the-lab"
    setup = Setup("lab.test", "LAB", password, program=str(objects or ""))
    job = Job(setup, administrator, password, ["sh", "-c", "echo ready && cat"])
    with Running(find_way_in(), job, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        process = running.process
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            running.wait()  # says why
        yield Domain(FOLDER, setup.realm, administrator, password, running.first_process)
        process.stdin.close()  # its sign to stop
        assert running.wait() == 0
        process.stdout.close()


def _free_ports() -> int:
    """Return the first of ten ports for a KDC, above those that the kernel gives to clients."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for base in range(61000 + process * 200, 65500, 10):
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                for each in (tcp, udp):
                    each.bind(("", base))
            except OSError:
                continue
            return base
    raise RuntimeError("no port is free for a KDC")


MIX = {
    **dict.fromkeys(("armed", "overdue", "no-client"), 1),
    **dict.fromkeys(("refused", "black-hole", "wrong-password", "unresolvable-name"), 1),
    "healthy": 3,
}
ROOT = Path(__file__).parent.parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job that a shell started in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else the programs under test never hear Ctrl-C
Ran = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    """A small lab over sealed HTTP, with a pyinfra inventory of it."""
    folder = tmp_path_factory.mktemp("lab")
    with LabProcess(12, 5, mix=MIX, inventory=folder / "lab.py") as running:
        yield running


@pytest.fixture(scope="session")
def secure_lab() -> Iterator[LabProcess]:
    """A small lab over HTTPS, with Basic offered."""
    with LabProcess(3, 5, mix={"healthy": 1, "bad-certificate": 1}, https=1.0, basic=True) as running:
        yield running


@pytest.fixture
def healthy(lab: LabProcess) -> Iterator[Host]:
    """A PC that answers; injected faults are removed after the test."""
    host = next(host for host in lab.hosts if host.persona == "healthy")
    yield host
    lab.heal(host.name)


def persona(lab: LabProcess, name: str) -> Host:
    """Return the first PC of a persona."""
    return next(host for host in lab.hosts if host.persona == name)


@pytest.fixture
def of_persona() -> Callable[[LabProcess, str], Host]:
    """Find a PC of a persona."""
    return persona


@pytest.fixture
def stack() -> str:
    """The code that speaks HTTP to the PCs: the default, except in the tests that are about both."""
    return "lean"


@pytest.fixture
def connect(stack: Any) -> Iterator[Callable[..., Session]]:
    """Open sessions to PCs of a lab, and close them."""
    opened: list[Session] = []

    def opener(lab: LabProcess, host: Host, *, read_only: bool = False, **changes: Any) -> Session:
        session = Session(
            target(lab, host, **{"stack": stack, **changes}), read_only=read_only, pause=lambda seconds: None
        )
        opened.append(session)
        return session

    yield opener
    for session in opened:
        session.close()


def target(
    lab: LabProcess,
    host: Host,
    *,
    authentication: Any = "ntlm",
    password: str | None = None,
    trust: Trust | None = None,
    deadlines: Deadlines | None = None,
    stack: Any = "lean",
    **credentials: Any,
) -> Target:
    """Return the target of a PC of a lab."""
    return Target(
        Endpoint(host.name, host.address, host.port, host.scheme),  # type: ignore[arg-type]
        Credentials(authentication, lab.user, lab.password if password is None else password, **credentials),
        trust=trust or Trust(ca=lab.ca_file),
        deadlines=deadlines or Deadlines(connect=5, read=20, host=60),
        stack=stack,
        read_only_lines=READING_LINES | PACKAGE_LINES,
    )


@pytest.fixture
def make_target(stack: Any) -> Callable[..., Target]:
    """Make the target of a PC."""
    return functools.partial(target, stack=stack)


@pytest.fixture
def drive() -> Callable[..., Any]:
    """Drive a conversation with the given answers (errors are thrown into it) and return its result."""

    def run(conversation: Generator[Any, Any, Any], *answers: Any) -> Any:
        waiting = list(answers)
        try:
            conversation.send(None)
            while True:
                answer = waiting.pop(0)
                if isinstance(answer, Exception):
                    conversation.throw(answer)
                else:
                    conversation.send(answer)
        except StopIteration as stop:
            assert waiting == []
            return stop.value

    return run


# -- OpenSSL in FIPS mode -------------------------------------------------------------------------------------------


@pytest.fixture
def fips_mode(tmp_path: Path) -> dict[str, str]:
    """The environment of a process whose OpenSSL is in FIPS mode.

    Debian has no module for that mode, so OpenSSL refuses whatever it has. SHA-256, which the module would have, is
    then Python's own; nothing else of the module is given back.
    """
    path = tmp_path / "fips.cnf"
    path.write_text(
        "openssl_conf = init\n[init]\nproviders = providers\nalg_section = algorithms\n"
        "[providers]\ndefault = provider\n[provider]\nactivate = 1\n[algorithms]\ndefault_properties = fips=yes\n"
    )
    (tmp_path / "with sha256").mkdir()
    (tmp_path / "with sha256" / "sitecustomize.py").write_text(
        "import hashlib\nhashlib.sha256 = hashlib.__dict__['__get_builtin_constructor']('sha256')\n"
    )
    modules = os.pathsep.join(filter(None, [str(tmp_path / "with sha256"), os.environ.get("PYTHONPATH")]))
    return {"OPENSSL_CONF": str(path), "PYTHONPATH": modules}


# -- somebody in between -------------------------------------------------------------------------------------------

EditMessage = Callable[[int, bytes], "bytes | list[bytes]"]
"""Takes the number of a message on its connection, from 0, and the message; returns what is passed on."""


class Between:
    """A proxy on a port of its own. *requests* and *answers* keep what came in, before it was edited."""

    def __init__(
        self,
        host: Host,
        *,
        request: EditMessage = lambda number, message: message,
        answer: EditMessage = lambda number, message: message,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._host, self._edit_request, self._edit_answer, self._tls = host, request, answer, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.requests: list[bytes] = []
        self.answers: list[bytes] = []
        self._open: list[socket.socket] = []
        self.host = Host(host.name, "127.0.0.1", self._listener.getsockname()[1], host.scheme, host.persona)
        """The PC, as one reaches it through here."""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._pass_on, args=(connection,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        pc = socket.create_connection((self._host.address, self._host.port))
        self._open += [client, pc]
        try:
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
                trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
                pc = trusting.wrap_socket(pc)
                self._open += [client, pc]
            number = 0
            while message := http_message(client):
                self.requests.append(message)
                pieces = self._edit_request(number, message)
                for piece in pieces if isinstance(pieces, list) else [pieces]:
                    pc.sendall(piece)
                    answer = http_message(pc)
                self.answers.append(answer)
                edited = self._edit_answer(number, answer)
                assert isinstance(edited, bytes)
                client.sendall(edited)
                number += 1
        except OSError:
            pass  # one side has closed the connection, as it should
        finally:
            client.close()
            pc.close()

    def close(self) -> None:
        """Close the port and every connection."""
        self._listener.close()
        for connection in self._open:
            connection.close()


def http_message(connection: socket.socket) -> bytes:
    """Return the next HTTP message; nothing if the connection was closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    head = data.partition(b"\r\n\r\n")[0]
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    missing = len(head) + 4 + int(length.group(1) if length else 0) - len(data)
    while missing > 0:
        piece = connection.recv(missing)
        if not piece:
            return b""
        data += piece
        missing -= len(piece)
    return data


@pytest.fixture
def between() -> Iterator[Callable[..., Between]]:
    """Put somebody in front of a PC."""
    opened: list[Between] = []

    def stand(host: Host, **edits: Any) -> Between:
        opened.append(Between(host, **edits))
        return opened[-1]

    yield stand
    for proxy in opened:
        proxy.close()


# -- inventories without a file ------------------------------------------------------------------------------------


def _place(host: Host) -> dict[str, Any]:
    place = {"winrm_address": host.address, "winrm_port": host.port}
    return {**place, "winrm_connect_deadline": 1} if host.persona == "black-hole" else place


@pytest.fixture
def place_of() -> Callable[[Host], dict[str, Any]]:
    """Return the inventory data that leads to a PC of a lab. Only one that never answers is waited for briefly."""
    return _place


@dataclass(frozen=True)
class FromLab:
    """An inventory that exists only in memory."""

    lab: LabProcess
    name: str = "the lab"
    path: Path | None = None

    def read(self) -> Groups:
        data = {"winrm_user": self.lab.user, "winrm_password_file": str(self.lab.password_file)}
        return {"all": ([(f"@winrm/{host.name}", _place(host)) for host in self.lab.hosts], data)}


@pytest.fixture
def source_of() -> Callable[[LabProcess], FromLab]:
    """Make an inventory of a lab, without a file."""
    return FromLab


@pytest.fixture(scope="session", autouse=True)
def _no_state_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the state of every program under test out of the home of whoever runs the tests."""
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state-of-all"))
    yield
    if before is None:
        del os.environ["XDG_STATE_HOME"]
    else:
        os.environ["XDG_STATE_HOME"] = before


@pytest.fixture(autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the state of the programs of one test, which begins with no password refused."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    PROCESS.forget()
    return folder / "provmode"


# -- units of systemd -----------------------------------------------------------------------------------------------


def _settings(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.fixture(scope="session")
def settings_of() -> Callable[[str], dict[str, list[str]]]:
    """Return the values of each setting of a unit."""
    return _settings


def _words_of(text: str, state: str = "/var/lib") -> list[str]:
    (line,) = _settings(text)["ExecStart"]
    assert line.startswith((":", '":')), "without the colon systemd replaces $ too"
    words = [word.replace("%S", state).replace("%%", "%") for word in shlex.split(line)]
    return [words[0][1:], *words[1:]]


@pytest.fixture(scope="session")
def words_of() -> Callable[..., list[str]]:
    """Return the words of ``ExecStart=`` as systemd makes them: unquoted, and its name of the state folder replaced."""
    return _words_of


@pytest.fixture(scope="session")
def analyze() -> Callable[..., Ran]:
    """Run systemd's own checks."""
    clean = {**os.environ, "TZ": "UTC", "LC_ALL": "C"}
    return lambda *words: subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, env=clean, check=False
    )


# -- programs, as a user runs them ----------------------------------------------------------------------------------


def _run(module: str, folder: Path, *arguments: str, environment: dict[str, str] | None = None, **options: Any) -> Ran:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PROVMODE", "COLUMNS"))}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env={**clean, **(environment or {})},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
        **options,
    )


@pytest.fixture
def pyinfra(tmp_path: Path) -> Callable[..., Ran]:
    """Run pyinfra's own command line in an empty folder."""
    return lambda *arguments, **options: _run("pyinfra", tmp_path, "-y", *arguments, **options)


@pytest.fixture
def provmode(tmp_path: Path) -> Callable[..., Ran]:
    """Run provmode's command line in an empty folder."""
    return lambda *arguments, **options: _run("provmode", tmp_path, *arguments, **options)


@pytest.fixture(scope="session")
def run_on_terminal() -> Callable[..., Ran]:
    """Run provmode's command line in a folder with its output on a terminal of 80 columns, without colour."""
    return _run_on_terminal


@pytest.fixture
def on_terminal(tmp_path: Path) -> Callable[..., Ran]:
    """Run provmode's command line in an empty folder with its output on such a terminal."""
    return lambda *arguments: _run_on_terminal(tmp_path, *arguments)


def _run_on_terminal(folder: Path, *arguments: str) -> Ran:
    """Run provmode with a terminal of 80 columns as its standard output."""
    terminal, its_end = os.openpty()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PROVMODE")}
    program = subprocess.Popen(
        [sys.executable, "-m", "provmode", *arguments],
        cwd=folder,
        env={**clean, "COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=its_end,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(its_end)
    printed = b""
    with program, open(terminal, "rb", buffering=0) as file:
        try:
            while part := file.read(65536):
                printed += part
        except OSError:
            pass  # Linux says so when the last program has closed the terminal
        _, err = program.communicate(timeout=120)
    return Ran(program.args, program.returncode, printed.decode().replace("\r\n", "\n"), err)


@pytest.fixture
def data_of() -> Callable[[LabProcess, Host], list[str]]:
    """Return ``--data`` arguments that reach a PC of a lab."""

    def arguments(lab: LabProcess, host: Host) -> list[str]:
        values = {
            "winrm_address": host.address,
            "winrm_port": host.port,
            "winrm_user": lab.user,
            "winrm_password_file": lab.password_file,
        }
        return [part for key, value in values.items() for part in ("--data", f"{key}={value}")]

    return arguments
