"""A lab in a process of its own, for tests, the demo and benchmarks.

Both sides exchange lines of JSON on the lab's standard input and output. The lab ends when its input ends, so it
never outlives the program that started it, however that program ends. This side uses only the standard library,
so it works with and without gevent's monkey patching.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any


class LabError(RuntimeError):
    """The lab did not start, has ended, or rejected a request."""


@dataclass(frozen=True)
class Host:
    """One PC of the lab, and how a client reaches it."""

    name: str
    address: str
    port: int
    scheme: str
    persona: str

    @property
    def url(self) -> str:
        """Return the endpoint."""
        return f"{self.scheme}://{self.address}:{self.port}/wsman"


class LabProcess:
    """A lab of *hosts* PCs; as a context manager it starts on entry and stops on exit.

    *mix* maps personas to their shares (``{"healthy": 9, "overdue": 1}``), *packages* the kinds of PC by their
    provisioning packages; without them the fleet's own are used. The same *seed* gives the same fleet, in however many
    *processes* it runs.
    """

    def __init__(
        self,
        hosts: int,
        seed: int = 1,
        *,
        mix: Mapping[str, float] | None = None,
        packages: Mapping[str, float] | None = None,
        truth: Path | None = None,
        inventory: Path | None = None,
        https: float = 0.0,
        basic: bool = False,
        client_certificates: bool = False,
        keytabs: Path | None = None,
        dns_domain: str | None = None,
        processes: int = 1,
    ) -> None:
        self._arguments = ["--hosts", str(hosts), "--seed", str(seed), "--https", str(https), "--control"]
        for flag, shares in (("--mix", mix), ("--packages", packages)):
            if shares is not None:
                self._arguments += [flag, ",".join(f"{name}={share}" for name, share in shares.items())]
        if dns_domain is not None:
            self._arguments += ["--dns-domain", dns_domain]
        for flag, path in (("--truth", truth), ("--inventory", inventory), ("--keytabs", keytabs)):
            if path is not None:
                self._arguments += [flag, str(path)]
        if processes > 1:
            self._arguments += ["--processes", str(processes)]
        if basic:
            self._arguments.append("--basic")
        if client_certificates:
            self._arguments.append("--client-certificates")
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self.hosts: Sequence[Host] = ()
        self.user = ""
        self.password_file = Path()
        self.ca_file = Path()
        self.certificate_file = Path()

    @property
    def password(self) -> str:
        """Return the password of `user`."""
        return self.password_file.read_text(encoding="utf-8").strip()

    @property
    def pid(self) -> int:
        """Return the process id of the lab."""
        return self._running().pid

    def start(self) -> LabProcess:
        """Start the lab and wait until every port listens.

        Raises:
            LabError: the lab ended instead; its error message is on standard error.

        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", "provmode.lab", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        try:
            ready = self._read()
        except BaseException:
            self.stop()
            raise
        self.hosts = tuple(Host(**host) for host in ready["hosts"])
        self.user = ready["user"]
        self.password_file = Path(ready["password_file"])
        self.ca_file = Path(ready["ca_file"])
        self.certificate_file = Path(ready["certificate_file"])
        return self

    def stop(self) -> None:
        """Stop the lab and wait until it has ended; the lab removes its own files."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.close()  # the lab stops at the end of its input
        except BrokenPipeError:
            pass  # it has ended already
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def __enter__(self) -> LabProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def host(self, name: str) -> Host:
        """Return the PC called *name*."""
        return next(host for host in self.hosts if host.name == name)

    def advance(self, seconds: float, host: str | None = None) -> None:
        """Move the clock of *host*, or of every PC, on by *seconds*."""
        self.ask("advance", seconds=seconds, host=host)

    def mutations(self, host: str | None = None) -> Any:
        """Return what was changed on *host*, or on every PC as a dictionary by name."""
        return self.ask("mutations", host=host)

    def counters(self, host: str | None = None) -> Any:
        """Return the request counters of *host*, or of every PC as a dictionary by name."""
        return self.ask("requests", host=host)

    def inject(self, host: str, **injection: Any) -> None:
        """Inject a fault on *host*: the fields of `provmode.lab.server.injection.Injection`."""
        self.ask("inject", host=host, injection=injection)

    def heal(self, host: str) -> None:
        """Remove every injection on *host*, including the persona's own."""
        self.ask("heal", host=host)

    def logon(self, host: str, **changes: Any) -> None:
        """Change the ways by which *host* lets users log on: the fields of `provmode.lab.server.logon.Logon`.

        Without changes they are again as at the start.
        """
        self.ask("logon", host=host, changes=changes)

    def registry(self, host: str, key: str, value: str) -> Any:
        """Return the data of a registry value, read at the PC itself; ``None``: no such value."""
        return self.ask("registry-read", host=host, key=key, value=value)

    def set_registry(self, host: str, key: str, value: str, data: Any, kind: str) -> None:
        """Write a registry value as a user at the PC does; nothing else changes."""
        self.ask("registry-write", host=host, key=key, value=value, data=data, kind=kind)

    def set_service(self, host: str, service: str, **changes: Any) -> None:
        """Change a service at the PC itself (see ``service-write`` in ``docs/lab.md``); without changes remove it."""
        self.ask("service-write", host=host, service=service, changes=changes)

    def write_file(self, host: str, path: str, data: bytes | None) -> None:
        """Write a file as a user at the PC does, or delete it without *data*."""
        content = None if data is None else base64.b64encode(data).decode()
        self.ask("file-write", host=host, path=path, content=content)

    def set_provisioning(self, host: str, **changes: Any) -> None:
        """Change how packages go on a PC (see ``provisioning`` in ``docs/lab.md``); without changes all goes well."""
        self.ask("provisioning", host=host, changes=changes)

    def end_shells(self, host: str) -> None:
        """End every command shell of a PC, as a restart of WinRM does."""
        self.ask("shells-end", host=host)

    def ask(self, operation: str, **arguments: Any) -> Any:
        """Send one request of the control protocol and return its result.

        Raises:
            LabError: the lab has ended or rejected the request; the message says why.

        """
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps({"op": operation, **arguments}) + "\n")
                process.stdin.flush()
            except BrokenPipeError as error:
                raise LabError("the lab has ended") from error
            answer = self._read()
        if "error" in answer:
            raise LabError(answer["error"])
        return answer.get("result")

    def _running(self) -> subprocess.Popen[str]:
        """Return the process.

        Raises:
            LabError: the lab is not running.
        """
        if self._process is None:
            raise LabError("the lab is not running")
        return self._process

    def _read(self) -> dict[str, Any]:
        """Return the next line from the lab."""
        process = self._running()
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise LabError(f"the lab has ended with exit code {process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
