"""The lowest cost of the same requests with pywinrm: a loop that sends them under gevent and reads nothing.

It sends the same SOAP messages, byte for byte except for the ids, which are new in each run, with the same
authentication, sealing and pool size. It has no inventory, operations, deadlines, verdicts or report, and parses only
the ids of shell and command, which the next message needs. Whether the answers contain the right values is checked
after the measurement.
"""

# ruff: noqa: E402 - sockets are patched before anything imports ssl
from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import re
import sys
import uuid
from pathlib import Path

import gevent.util  # noqa: F401 - gevent itself imports it late
from gevent.pool import Pool
from winrm.protocol import Protocol

from benchmarks.contenders import messages
from benchmarks.contenders.meter import Meter
from benchmarks.job import Host, Job, Read

_VALUE = re.compile(rb"<(?:\w+:)?sValue>([^<]*)<")


def main() -> None:
    """Send every host its messages. Arguments: the job, the file of the messages, the size of the pool."""
    job, recorded, size = Job.read(Path(sys.argv[1])), messages.read(Path(sys.argv[2])), int(sys.argv[3])
    user, password = job.user, job.password
    answers: dict[str, list[bytes]] = {}

    def work(host: Host) -> None:
        answers[host.name] = send(host.url, user, password, recorded[host.name])

    Protocol(job.hosts[0].url, transport="ntlm", username=user, password=password)  # makes its late imports now
    meter = Meter("bare pywinrm")
    pool = Pool(size)
    for host in job.hosts:
        pool.spawn(work, host)
    pool.join()
    meter.stop()
    meter.report(job, {name: _read(recorded[name], received) for name, received in answers.items()})


def send(url: str, user: str, password: str, recorded: list[bytes], transport: str = "ntlm") -> list[bytes]:
    """Send the *recorded* messages to one PC, and return its answers."""
    protocol = _connection(url, user, password, transport)
    answers = []
    known: dict[bytes, bytes] = {}
    for message in recorded:
        if message == messages.CONNECT:
            protocol.transport.close_session()
            protocol = _connection(url, user, password, transport)
            answers.append(b"")
            continue
        message = message.replace(messages.MESSAGE, f"uuid:{uuid.uuid4()}".encode())
        for identity, placeholder in known.items():
            message = message.replace(placeholder, identity)
        answer: bytes = protocol.send_message(message)  # type: ignore[arg-type]  # it accepts bytes too
        messages.learn(answer, known)
        answers.append(answer)
    protocol.transport.close_session()
    return answers


def _connection(url: str, user: str, password: str, transport: str) -> Protocol:
    return Protocol(url, transport=transport, username=user, password=password, message_encryption="always", proxy=None)


def _read(sent: list[bytes], answers: list[bytes]) -> Read:
    """Find the values in the answers to the *sent* messages."""
    mode = excludes = None
    running = False
    for message, answer in zip(sent, answers, strict=True):
        value = _VALUE.search(answer)
        text = value[1].decode() if value is not None else None
        if b">ProvisioningMode<" in message:
            mode = text
        elif b">SystemTaskExcludes<" in message:
            excludes = text
        elif b"Win32_Service" in message:
            running = b">Running<" in answer
    return Read(mode, excludes, running)


if __name__ == "__main__":
    main()
