"""The first process in the namespaces of a domain: ``python -m provmode.lab.domain.inside SOCKET``.

The first line that comes over the socket is the job (`provmode.lab.domain.enter.Job`), others are signals for the
command. Its end is the sign to stop. The answer is one line: the command's exit code, or an error.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from provmode.lab.domain.controller import FOLDER, Controller, ControllerFailed, Setup
from provmode.lab.domain.fleet import directory_of, truth
from provmode.lab.domain.greeting import greeting
from provmode.lab.fleet import compose
from provmode.lab.server.hosting import LabKeys
from provmode.lab.server.processes import WorkerEnded
from provmode.lab.server.run import CarryOut, LabOptions, serve_while
from provmode.lab.server.state import Listening

FIRST = 1
"""The number of the first process among those of the domain."""
LINE_LIMIT = 2**20
"""Bytes of a job."""
PATIENCE = 20.0
"""Seconds that a command has to end after a signal that ends programs, before it is killed."""
_IFF_UP, _SIOCSIFFLAGS = 0x1, 0x8914
NOT_HERE = ("PROVMODE_USER", "PROVMODE_PASSWORD", "KRB5_CLIENT_KTNAME", "KRB5_KTNAME")
"""Variables that are about another domain, and would come before the ticket here."""


def make_network(folder: Path) -> None:
    """Let this network have its loopback interface, and names be asked for at 127.0.0.1 alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n", encoding="ascii")
    _mount("--bind", str(folder / "resolv.conf"), "/etc/resolv.conf")
    switch = Path("/etc/nsswitch.conf")
    if switch.exists():  # systemd-resolved, mDNS and a cache of names answer from outside of this network
        text = switch.read_text(encoding="utf-8", errors="replace")
        (folder / "nsswitch.conf").write_text(re.sub(r"(?m)^hosts:.*$", "hosts: files dns", text), encoding="utf-8")
        _mount("--bind", str(folder / "nsswitch.conf"), str(switch))
    if Path("/run/nscd").is_dir():
        _mount("-t", "tmpfs", "none", "/run/nscd")


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True, text=True)


class Inside:
    """Everything inside, from the job to the exit code."""

    def __init__(self, job: Mapping[str, Any], folder: Path) -> None:
        self._job = job
        self._folder = folder
        self._person = dict(os.environ)
        self._setup, self._options = _plan(job, folder)
        self._controller = Controller(folder, self._setup)
        self._asked: asyncio.Queue[int] = asyncio.Queue()
        self._code = 0

    async def run(self, reader: asyncio.StreamReader) -> int:
        """Run the domain and the command in it; return the command's exit code. Signals come from *reader*."""
        listening = asyncio.ensure_future(self._listen(reader))
        begun = asyncio.ensure_future(self._begin())
        first = asyncio.ensure_future(self._asked.get())
        try:
            await asyncio.wait([begun, first], return_when=asyncio.FIRST_COMPLETED)
            if first.done():  # there is no command yet
                begun.cancel()
                await asyncio.gather(begun, return_exceptions=True)
                return 128 + first.result()
            await begun
            first.cancel()
            await self._with_fleet()
            return self._code
        finally:
            listening.cancel()
            await self._controller.stop()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Note the signals for the command; when nobody is out there any more, the one of a closed terminal."""
        while line := await reader.readline():
            self._asked.put_nowait(json.loads(line)["signal"])
        self._asked.put_nowait(signal.SIGHUP)

    async def _begin(self) -> None:
        """Start the controller and get the ticket."""
        # for the lab: its PCs take tickets with MIT's library, and its own folder is to be in this one
        os.environ.update({**self._controller.environment, "TMPDIR": str(self._folder)})
        (self._folder / "keytabs").mkdir()
        for name, text in (
            ("password", self._job["password"]),
            ("administrator-password", self._setup.administrator_password),
        ):
            (self._folder / name).touch(mode=0o600)
            (self._folder / name).write_text(f"{text}\n", encoding="utf-8")
        await self._controller.start()
        await self._controller.log_on(self._job["user"], self._job["password"])

    async def _with_fleet(self) -> None:
        if self._options is None:
            self._code = await self._command()
            return
        members = compose(self._options.hosts, self._options.seed, self._options.mix, self._options.packages)
        if self._job["truth"]:
            document = json.dumps(truth(members), indent=1, sort_keys=True)
            Path(self._job["truth"]).write_text(document + "\n", encoding="utf-8")

        async def work(lab: Listening, _: CarryOut) -> None:
            shutil.copy(lab.ca_file, self._folder / "ca.pem")
            if self._job["shell"]:
                print(greeting(members, self._setup, self._job["user"]), flush=True)
            self._code = await self._command()

        await serve_while(work, self._options, LabKeys.make(self._job["password"]))

    async def _command(self) -> int:
        """Run the command in the foreground of the terminal, pass signals on to it, and return its exit code."""
        command: Sequence[str] = self._job["command"]
        if self._job["map_to"]:  # in here one is root; the command is to see the names of the person again
            user, group = self._job["map_to"]
            command = ["unshare", "--user", f"--map-user={user}", f"--map-group={group}", "--", *command]

        def begin() -> None:
            os.setpgrp()
            if self._job["terminal"]:
                signal.signal(signal.SIGTTOU, signal.SIG_IGN)
                os.tcsetpgrp(0, os.getpgrp())
                signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            if not self._job["shell"]:  # if it stopped, nobody would let it go on again
                signal.signal(signal.SIGTSTP, signal.SIG_IGN)

        process = await asyncio.create_subprocess_exec(*command, preexec_fn=begin, env=self._environment())
        passing = asyncio.ensure_future(self._pass_on(process.pid))
        try:
            code = await process.wait()
        finally:
            passing.cancel()
        return code if code >= 0 else 128 - code

    async def _pass_on(self, group: int) -> None:
        """Pass signals on to the command. After one that ends programs it has some time, and then ends."""
        while True:
            number = await self._asked.get()
            if self._job["shell"]:
                number = signal.SIGHUP  # a person's shell ends at no other, and tells what runs in it
            _signal_group(group, number)
            if number in (signal.SIGTERM, signal.SIGHUP):
                await asyncio.sleep(PATIENCE)
                _signal_group(group, signal.SIGKILL)

    def _environment(self) -> dict[str, str]:
        """Return what the command finds in its environment: the person's, and the domain."""
        kept = {name: value for name, value in self._person.items() if name not in NOT_HERE}
        path, programs = kept.get("PATH", os.defpath), Path(sys.executable).parent
        if (programs / "provmode").exists():  # it may have been started from a folder that is not in the path
            path = f"{programs}{os.pathsep}{path}"
        return {
            "PROVMODE_PLAN_KEY": secrets.token_hex(16),
            **kept,
            **self._controller.environment,
            "PATH": path,
            "PROVMODE_DOMAIN": str(self._folder),
            "debian_chroot": self._setup.dns_domain,  # the prompts of Debian's shells show it
        }


def _plan(job: Mapping[str, Any], folder: Path) -> tuple[Setup, LabOptions | None]:
    """Return the domain and the PCs that *job* asks for."""
    setup, fleet = Setup(**job["setup"]), job["fleet"]
    if fleet is None:
        return setup, None
    inventory = Path(fleet["inventory"]) if fleet["inventory"] else None
    keytabs = folder / "keytabs"
    options = LabOptions(**{**fleet, "inventory": inventory}, keytabs=keytabs, own_addresses=True)
    members = compose(options.hosts, options.seed, options.mix, options.packages)
    program = Path(__file__).with_name("fleet_objects.py")
    arguments = directory_of(members, setup.dns_domain, {job["user"]: job["password"]}, keytabs)
    return replace(setup, program=str(program), arguments=arguments), options


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass  # it has ended


async def _run(line: socket.socket) -> None:
    """Take the job, run it, and answer."""
    reader, writer = await asyncio.open_unix_connection(sock=line, limit=LINE_LIMIT)
    job = json.loads(await reader.readline())
    answer: dict[str, Any]
    try:
        _mount("-t", "tmpfs", "-o", "mode=700", "none", str(FOLDER))
        make_network(FOLDER)
        answer = {"exit": await Inside(job, FOLDER).run(reader)}
    except subprocess.CalledProcessError as error:
        answer = {"error": f"{' '.join(error.cmd)}: {error.stderr.strip()}"}
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        answer = {"error": f"{file}{error.strerror or error}"}
    except (ControllerFailed, WorkerEnded, ValueError) as error:
        answer = {"error": str(error)}
    finally:
        _end_all_others()
    writer.write(json.dumps(answer).encode())
    try:
        await writer.drain()
    except ConnectionError:
        pass  # nobody is out there any more
    writer.close()


def _end_all_others() -> None:
    """End every other process inside: what the command left running, and Samba's children."""
    assert os.getpid() == FIRST
    try:
        os.kill(-1, signal.SIGKILL)
        while True:
            os.waitpid(-1, 0)  # they are all ours: this is the first process here
    except (ProcessLookupError, ChildProcessError):
        return  # no process is left


def main() -> None:
    """Run the job that comes over the socket, in namespaces made for it: at the end every process in them is killed."""
    if os.getpid() != FIRST:
        raise SystemExit("this program runs in a domain of `provmode lab --domain` alone")
    asyncio.run(_run(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
