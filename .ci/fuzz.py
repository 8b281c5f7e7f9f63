"""A coverage-guided fuzzer for what reads hostile bytes: answers of an unknown server, and packages.

Run it when one of those readers changes; it needs `atheris`, which no lock holds:

    pip install atheris
    python .ci/fuzz.py --answers tests/transport/corpus -max_total_time=300
    python .ci/fuzz.py --packages tests/packages/container/corpus -max_total_time=300

`--answers` is `provmode/transport/framing.py` and `sealed_body.py`: an input is a stream, and its first byte says into
pieces of which size it is cut. `--packages` is `provmode/packages`: the first byte of an input says what the
rest is: a whole package, a tree of files, a packed piece or a signature (behind hashes, no fuzzer would get that far).

The folders hold the inputs that each reached something new; `test_corpus.py` beside them reads them in every run.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(include=["provmode.transport.framing", "provmode.transport.sealed_body"]):
    from provmode.transport import framing, sealed_body
with atheris.instrument_imports(include=["provmode.packages"]):
    from provmode.packages import container, errors, lint, read
    from provmode.packages.container import certificates, der, header, signature, signed_data, tree, xpress

KINDS = ("package", "tree", "piece", "signature")


def one_answer(data: bytes) -> None:
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
            length, signed, sealed = sealed_body.unpack(protocol, answer.body)
        except sealed_body.SealError:
            continue
        again = sealed_body.unpack(protocol, sealed_body.pack(protocol, length, signed, sealed))
        assert again == (length, signed, sealed)


def one_package(data: bytes) -> None:
    """Read *data* as what its first byte says; anything but the errors that are promised ends the fuzzer."""
    kind, rest = KINDS[data[0] % len(KINDS)] if data else "package", data[1:]
    with suppress(errors.PackageUnreadable, der.Malformed, certificates.Unsupported, signed_data.NoCertificate):
        if kind == "tree":
            tree.read_tree(rest)
        elif kind == "piece":
            size = 1 + int.from_bytes(rest[:2], "little")
            assert len(xpress.unpack(rest[2:], size)) == size
        elif kind == "signature":
            signed_data.read_signed_data(rest, signature.INDIRECT_DATA).holds()
        else:
            source = container.of_bytes(rest)
            container.signature_of(source, header.read_header(source))
            opened = container.open_container(source)
            for path in opened.files:
                opened.content(path)
            lint.lint(read.read_package(source))


TARGETS = {"--answers": one_answer, "--packages": one_package}

if __name__ == "__main__":
    atheris.Setup(sys.argv, TARGETS[sys.argv[1]])  # libFuzzer passes over options with two hyphens
    atheris.Fuzz()
