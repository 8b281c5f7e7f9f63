"""One lab in several processes: the PCs are shared out over them, and their control channels are joined to one.

Each process is a `worker` with a lab of its own. They have the account's password and the CA in common, and count time
from the same moment. A worker gets its share on its standard input and ends when that ends, so none outlives this
process, however it ends.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from provmode.lab.server.control import STOP
from provmode.lab.server.hosting import LabHost

LINE_LIMIT = 2**26
"""Bytes of an answer: the mutations of all PCs of a process are one line."""
_WHOLE_FLEET = ("advance", "mutations", "requests")
"""The requests that may name no PC: they go to all processes."""
_PATIENCE = 30.0
"""Seconds that a process has to end by itself."""


class WorkerEnded(RuntimeError):
    """A process of the lab ended; the message has its last words."""


class _Worker:
    """One process of the lab, from this side."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._process = subprocess.Popen(
            [sys.executable, "-m", "provmode.lab.server.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this process, which then ends the others
        )
        self._answers = asyncio.StreamReader(limit=LINE_LIMIT)
        self._errors = asyncio.StreamReader(limit=LINE_LIMIT)
        self._asking = asyncio.Lock()
        self.ended: asyncio.Future[None] | None = None
        self._ready = False
        self._last_words = ""
        self._transports: list[asyncio.BaseTransport] = []

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def begin(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Hand over its share; return its ``ready`` line once its PCs listen.

        Raises:
            WorkerEnded: it ended instead.
        """
        await self._connect(self._answers, self._process.stdout)
        await self._connect(self._errors, self._process.stderr)
        self.ended = asyncio.ensure_future(self._listen())
        ready = await self.ask(job)
        self._ready = True
        return ready

    async def _connect(self, reader: asyncio.StreamReader, pipe: IO[bytes] | None) -> None:
        """Let *reader* read from *pipe*."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        self._transports.append(transport)

    async def _listen(self) -> None:
        """Repeat what it says on standard error, until it ends; what it says before it is ready is for `last_words`."""
        while line := await self._errors.readline():
            text = line.decode("utf-8", "replace").rstrip()
            if self._ready:
                print(text, file=sys.stderr, flush=True)
            self._last_words = text or self._last_words

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send one line and return the next.

        Raises:
            WorkerEnded: it has ended.
        """
        assert self._process.stdin is not None
        async with self._asking:
            try:
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                self._process.stdin.flush()
                line = await self._answers.readline()
            except BrokenPipeError:
                line = b""
        if not line:
            assert self.ended is not None
            await self.ended
            raise self.obituary()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def obituary(self) -> WorkerEnded:
        """Return the error that says how it ended."""
        code = self._process.wait()
        how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
        words = self._last_words.removeprefix("lab: ")
        return WorkerEnded(f"process {self._number} of the lab ended {how}{': ' if words else ''}{words}")

    def dismiss(self) -> None:
        """Ask it to end."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended already

    async def wait(self) -> None:
        """Wait until it has ended; kill it if it does not."""
        try:
            if self.ended is not None:
                await asyncio.wait_for(self.ended, _PATIENCE)
        except asyncio.TimeoutError:
            self._process.kill()
        self._process.wait()
        for transport in self._transports:
            transport.close()


class SharedLab:
    """A fleet shared out over processes; an asynchronous context manager, as `hosting.Lab` is."""

    def __init__(self, names: Sequence[str], jobs: Sequence[Mapping[str, Any]]) -> None:
        self._names = names
        self._jobs = jobs
        self._workers: list[_Worker] = []
        self._owners: dict[str, _Worker] = {}
        self.hosts: list[LabHost] = []
        """In the order of the names."""

    @property
    def pids(self) -> list[int]:
        """The ids of the other processes."""
        return [worker.pid for worker in self._workers]

    async def __aenter__(self) -> SharedLab:
        try:
            self._workers += [_Worker(number) for number in range(1, len(self._jobs) + 1)]
            started = await _all([worker.begin(job) for worker, job in zip(self._workers, self._jobs, strict=True)])
        except BaseException:
            await self.stop()
            raise
        hosts: dict[str, LabHost] = {}
        for worker, ready in zip(self._workers, started, strict=True):
            for host in ready["hosts"]:
                hosts[host["name"]] = LabHost(**host)
                self._owners[host["name"]] = worker
        self.hosts = [hosts[name] for name in self._names]
        first = started[0]  # the files of all processes are alike
        self.password_file, self.ca_file = Path(first["password_file"]), Path(first["ca_file"])
        self.certificate_file = Path(first["certificate_file"])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.dismiss()
        for worker in self._workers:
            await worker.wait()

    async def while_it_runs(self, work: Awaitable[Any]) -> None:
        """Do *work* as long as all processes run.

        Raises:
            WorkerEnded: one of them has ended.
        """
        task = asyncio.ensure_future(work)
        ends = [worker.ended for worker in self._workers if worker.ended is not None]
        try:
            await asyncio.wait([task, *ends], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
                return
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        raise next(worker for worker in self._workers if worker.ended is not None and worker.ended.done()).obituary()

    async def answer(self, line: str) -> dict[str, Any]:
        """Carry out one request of the control channel, as `control.Control.answer` does."""
        try:
            request = json.loads(line)
        except (ValueError, RecursionError) as error:
            return {"error": f"{type(error).__name__}: {error}"}
        if not isinstance(request, dict):
            return {"error": 'a request is an object: {"op": ...}'}
        operation, host = request.get("op"), request.get("host")
        if operation == STOP:
            return {}
        if host is None and operation in _WHOLE_FLEET:
            return await self._answer_for_all(request)
        owner = self._owners.get(host) if isinstance(host, str) else None
        return await (owner or self._workers[0]).ask(request)  # the first one says what is wrong with other requests

    async def _answer_for_all(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Ask all processes, and join their answers."""
        answers = await _all([worker.ask(request) for worker in self._workers])
        for answer in answers:
            if "error" in answer or answer["result"] is None:
                return answer
        joined = {name: each for answer in answers for name, each in answer["result"].items()}
        return {"result": {name: joined[name] for name in self._names if name in joined}}


async def _all(works: Sequence[Awaitable[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Wait for all of *works*, also if one of them fails; then raise the first failure."""
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
