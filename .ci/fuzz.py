"""A coverage-guided fuzzer for what reads bytes of an unknown server: HTTP answers and sealed bodies.

Run it when `provmode/transport/framing.py` or `sealed_body.py` changes; it needs `atheris`, which no lock holds:

    pip install atheris
    python .ci/fuzz.py tests/transport/corpus -max_total_time=300

The folder holds the inputs that each reached something new; `tests/transport/test_corpus.py` reads them in every run.
An input is a stream: its first byte says into pieces of which size it is cut.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(include=["provmode.transport.framing", "provmode.transport.sealed_body"]):
    from provmode.transport import framing, sealed_body


def one(data: bytes) -> None:
    """Read *data*; anything but an answer and the errors that are promised ends the fuzzer."""
    size, stream = 1 + data[0] % 64 if data else 1, data[1:]
    reader, answer = framing.AnswerReader(1 << 16), None
    try:
        for start in range(0, len(stream), size):
            answer = reader.feed(stream[start : start + size])
            if answer is not None:
                break
        else:
            answer = reader.feed(b"")
    except (framing.NotHttp, framing.TooLarge, framing.CutOff):
        return
    for protocol in (sealed_body.NEGOTIATE, sealed_body.KERBEROS):
        try:
            length, signature, sealed = sealed_body.unpack(protocol, answer.body)
        except sealed_body.SealError:
            continue
        again = sealed_body.unpack(protocol, sealed_body.pack(protocol, length, signature, sealed))
        assert again == (length, signature, sealed)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
