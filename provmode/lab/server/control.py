"""The control channel of a lab: JSON lines, one request and one answer each.

First comes ``{"op": "ready", ...}`` with what a client needs (`provmode.lab.server.state.describe`); then every
request ``{"op": ..., ...}`` is answered with ``{"result": ...}`` or ``{"error": "..."}``. ``stop`` and the end of
the input end the lab. A line that is no request is answered too: a slip of somebody who types ends no lab.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from collections.abc import Callable, Mapping
from typing import Any

from provmode.lab.server.hosting import HostSpec, Lab
from provmode.lab.server.injection import Injection
from provmode.lab.server.local_registry import read_registry, write_registry
from provmode.lab.server.service import WinRMService
from provmode.lab.server.state import describe
from provmode.lab.windows.pc import PC

STOP = "stop"


class Control:
    """Carries out the requests of the channel on *lab*."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._specs = {spec.name: spec for spec in lab.specs}
        self._operations: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
            "advance": self._advance,
            "mutations": self._mutations,
            "requests": self._requests,
            "inject": self._inject,
            "heal": self._heal,
            "registry-read": self._registry_read,
            "registry-write": self._registry_write,
        }

    def answer(self, line: str) -> dict[str, Any]:
        """Carry out one request and return its answer; what is wrong with it is said in ``error``.

        The answer to ``stop`` is empty: there is none.
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

    @property
    def operations(self) -> tuple[str, ...]:
        """Return what can be asked."""
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
            raise TypeError(f"{request['host']} is no modelled PC")
        return machine

    def _service(self, request: Mapping[str, Any]) -> WinRMService:
        """Return the service of the PC a request names."""
        spec = self._spec(request)
        if spec.name not in self._lab.services:
            raise ValueError(f"{spec.name} never answers")
        return self._lab.services[spec.name]

    def _advance(self, request: Mapping[str, Any]) -> None:
        """Move the clocks on: of one PC, or of all."""
        host = request.get("host")
        self._lab.advance(float(request["seconds"]), None if host is None else self._spec(request).name)

    def _mutations(self, request: Mapping[str, Any]) -> Any:
        """Return what was changed over the wire."""
        if request.get("host") is not None:
            return _mutations(self._spec(request))
        return {name: _mutations(spec) for name, spec in self._specs.items()}

    def _requests(self, request: Mapping[str, Any]) -> Any:
        """Return the counters."""
        if request.get("host") is not None:
            return self._service(request).counters.to_json()
        return {name: service.counters.to_json() for name, service in self._lab.services.items()}

    def _inject(self, request: Mapping[str, Any]) -> None:
        """Let something go wrong."""
        self._service(request).injections.add(Injection.from_json(request["injection"]))

    def _heal(self, request: Mapping[str, Any]) -> None:
        """Let everything go right again."""
        self._service(request).injections.clear()

    def _registry_read(self, request: Mapping[str, Any]) -> Any:
        """Return a registry value's data."""
        return read_registry(self._pc(request), request["key"], request["value"])

    def _registry_write(self, request: Mapping[str, Any]) -> None:
        """Write a registry value by hand."""
        write_registry(self._pc(request), request["key"], request["value"], request["data"], request["kind"])


def _mutations(spec: HostSpec) -> list[dict[str, str]]:
    """Return what was changed on a PC, in order: when, what, and by which road."""
    return [mutation.to_json() for mutation in spec.machine.mutations]


async def attend(lab: Lab) -> None:
    """Serve the control channel on standard input and output until it ends."""
    control = Control(lab)
    reader = asyncio.StreamReader(limit=2**24)
    transport = await _connect(reader)
    _say({"op": "ready", **describe(lab)})
    try:
        while line := await reader.readline():
            answer = control.answer(line.decode("utf-8", "replace"))
            if not answer:
                return
            _say(answer)
    finally:
        if transport is not None:
            transport.close()


async def _connect(reader: asyncio.StreamReader) -> asyncio.BaseTransport | None:
    """Let *reader* have standard input; a file or a device other than a terminal cannot be waited for: no transport."""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()):
        reader.feed_data(sys.stdin.buffer.read())
        reader.feed_eof()
        return None
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return transport


def _say(document: Mapping[str, Any]) -> None:
    """Write one line and send it off."""
    print(json.dumps(document), flush=True)
