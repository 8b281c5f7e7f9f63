"""The control channel of a lab: lines of JSON, one request and one answer each.

The lab first writes ``{"op": "ready", ...}`` with what a client needs (`provmode.lab.server.state.describe`). It then
answers every request ``{"op": ..., ...}`` with ``{"result": ...}`` or ``{"error": "..."}``. ``stop`` and the end of the
input end the lab. A line that is not a request is answered with an error: a typing mistake does not end the lab.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from provmode.lab.server.hosting import HostSpec, Lab
from provmode.lab.server.injection import Injection
from provmode.lab.server.local_packages import write_file, write_provisioning
from provmode.lab.server.local_registry import read_registry, write_registry
from provmode.lab.server.local_services import write_service
from provmode.lab.server.service import WinRMService
from provmode.lab.server.state import Listening, describe
from provmode.lab.windows.pc import PC

STOP = "stop"


class Control:
    """Carries out the channel's requests on *lab*."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._specs = {spec.name: spec for spec in lab.specs}
        self._operations: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
            "advance": self._advance,
            "mutations": self._mutations,
            "requests": self._requests,
            "inject": self._inject,
            "heal": self._heal,
            "logon": self._logon,
            "registry-read": self._registry_read,
            "registry-write": self._registry_write,
            "service-write": self._service_write,
            "file-write": self._file_write,
            "provisioning": self._provisioning,
            "shells-end": self._shells_end,
        }

    def answer(self, line: str) -> dict[str, Any]:
        """Carry out one request and return its answer; ``error`` says what is wrong with a request.

        ``stop`` returns an empty dictionary: send no answer.
        """
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                return {"error": 'a request is an object: {"op": ...}'}
            if request.get("op") == STOP:
                return {}
            operation = self._operations.get(str(request.get("op")))
            if operation is None:
                return {"error": f"no such operation: {request.get('op')!r}; there are {', '.join(self.operations)}"}
            return {"result": operation(request)}
        except KeyError as error:
            return {"error": f"{error} is missing"}
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    async def carry_out(self, line: str) -> dict[str, Any]:
        """Do as `answer`; for `serve_control`."""
        return self.answer(line)

    @property
    def operations(self) -> tuple[str, ...]:
        """Return the names of all operations."""
        return (*self._operations, STOP)

    def _spec(self, request: Mapping[str, Any]) -> HostSpec:
        """Return the PC a request names."""
        name = request["host"]
        if name not in self._specs:
            raise ValueError(f"no such PC: {name}")
        return self._specs[name]

    def _pc(self, request: Mapping[str, Any]) -> PC:
        """Return the modelled PC a request names."""
        machine = self._spec(request).machine
        if not isinstance(machine, PC):
            raise TypeError(f"{request['host']} is not a modelled PC")
        return machine

    def _service(self, request: Mapping[str, Any]) -> WinRMService:
        """Return the service of the PC a request names."""
        spec = self._spec(request)
        if spec.name not in self._lab.services:
            raise ValueError(f"{spec.name} never answers")
        return self._lab.services[spec.name]

    def _advance(self, request: Mapping[str, Any]) -> None:
        """Move the clock of one PC, or of all, on."""
        host = request.get("host")
        self._lab.advance(float(request["seconds"]), None if host is None else self._spec(request).name)

    def _mutations(self, request: Mapping[str, Any]) -> Any:
        """Return the changes of one PC, or of all."""
        if request.get("host") is not None:
            return _mutations(self._spec(request))
        return {name: _mutations(spec) for name, spec in self._specs.items()}

    def _requests(self, request: Mapping[str, Any]) -> Any:
        """Return the counters."""
        if request.get("host") is not None:
            return _counted(self._service(request))
        return {name: _counted(service) for name, service in self._lab.services.items()}

    def _inject(self, request: Mapping[str, Any]) -> None:
        """Inject a fault."""
        self._service(request).injections.add(Injection.from_json(request["injection"]))

    def _heal(self, request: Mapping[str, Any]) -> None:
        """Remove every injection."""
        self._service(request).injections.clear()

    def _logon(self, request: Mapping[str, Any]) -> None:
        """Change the ways by which a PC lets users log on."""
        self._lab.change_logon(self._spec(request).name, dict(request["changes"]))

    def _registry_read(self, request: Mapping[str, Any]) -> Any:
        """Return a registry value's data."""
        return read_registry(self._pc(request), request["key"], request["value"])

    def _registry_write(self, request: Mapping[str, Any]) -> None:
        """Write a registry value as a user at the PC does."""
        write_registry(self._pc(request), request["key"], request["value"], request["data"], request["kind"])

    def _service_write(self, request: Mapping[str, Any]) -> None:
        """Change a service as it is kept at the PC; the PC does nothing on account of it."""
        write_service(self._pc(request), request["service"], request["changes"])

    def _file_write(self, request: Mapping[str, Any]) -> None:
        """Write a file as a user at the PC does."""
        write_file(self._pc(request), request["path"], request["content"])

    def _provisioning(self, request: Mapping[str, Any]) -> None:
        """Change how adding, removing and applying packages goes."""
        write_provisioning(self._pc(request), request["changes"])

    def _shells_end(self, request: Mapping[str, Any]) -> None:
        """End every command shell of a PC, as a restart of WinRM does."""
        self._service(request).shells.end_all()


def _counted(service: WinRMService) -> dict[str, Any]:
    """Return the counters of a PC, and as ``shells`` how many command shells are open there now."""
    return {**service.counters.to_json(), "shells": service.shells.open}


def _mutations(spec: HostSpec) -> list[dict[str, str]]:
    """Return the changes of a PC in order: ``when``, ``what`` and ``road``."""
    return [mutation.to_json() for mutation in spec.machine.mutations]


async def serve_control(lab: Listening, carry_out: Callable[[str], Awaitable[dict[str, Any]]]) -> None:
    """Serve the control channel on standard input and output until it ends; *carry_out* answers a request."""
    reader = asyncio.StreamReader(limit=2**24)
    transport = await _connect(reader)
    _write_line({"op": "ready", **describe(lab)})
    try:
        while line := await reader.readline():
            answer = await carry_out(line.decode("utf-8", "replace"))
            if not answer:
                return
            _write_line(answer)
    finally:
        if transport is not None:
            transport.close()


async def _connect(reader: asyncio.StreamReader) -> asyncio.BaseTransport | None:
    """Connect *reader* to standard input; a file or device is read at once, as asyncio cannot wait for it."""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()):
        reader.feed_data(sys.stdin.buffer.read())
        reader.feed_eof()
        return None
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return transport


def _write_line(document: Mapping[str, Any]) -> None:
    """Write one line of JSON to standard output and flush it."""
    print(json.dumps(document), flush=True)
